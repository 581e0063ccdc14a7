/** Composites as kernels and ports have got them wrong: most of these are bugs of well-known implementations. */
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  type AttentionOptions,
  type Backend,
  type ExpertWeights,
  type LatentAttentionOptions,
  type LatentCacheView,
  MemorySource,
  type QuantizeActivationsOptions,
  type QuantizedActivations,
  type Routing,
  type RoutingOptions,
  range,
  readBytes,
  scalar,
  type Tensor,
  type Weight,
  type WeightSource,
} from '@mariana/core';
import type { Mutant } from './mutant.ts';

class EpsilonOutsideTheRoot extends ReferenceBackend {
  override rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    return this.scope(() => {
      const mean = this.binary(
        'div',
        this.reduce('sum', this.binary('mul', x, x), -1, { keepDims: true }),
        scalar(this, x.shape.at(-1)!),
      );
      const root = this.binary('add', this.unary('sqrt', mean), scalar(this, epsilon));
      return this.binary('mul', this.binary('div', x, root), weight);
    });
  }
}

class RotatesHalves extends ReferenceBackend {
  override rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    const [tokens, heads, width] = x.shape as [number, number, number];
    if (width % 2 !== 0) return super.rotary(x, cos, sin);
    return this.scope(() => {
      const swap = (y: Tensor, sizes: [number, number]) =>
        this.reshape(this.transpose(this.reshape(y, [tokens, heads, ...sizes]), [0, 1, 3, 2]), x.shape);
      return swap(super.rotary(swap(x, [2, width / 2]), cos, sin), [width / 2, 2]);
    });
  }
}

class GateAndUpSwapped extends ReferenceBackend {
  override swiglu(gate: Tensor, up: Tensor): Tensor {
    return super.swiglu(up, gate);
  }
}

class SwigluLeaks extends ReferenceBackend {
  override swiglu(gate: Tensor, up: Tensor): Tensor {
    this.keep(this.unary('neg', gate));
    return super.swiglu(gate, up);
  }
}

class SoftmaxInPlace extends ReferenceBackend {
  override softmax(x: Tensor): Tensor {
    const y = super.softmax(x);
    this.data(x).set(this.data(y));
    return y;
  }
}

class SoftmaxWithoutMax extends ReferenceBackend {
  override softmax(x: Tensor): Tensor {
    return this.scope(() => {
      const exp = this.unary('exp', x);
      return this.binary('div', exp, this.reduce('sum', exp, -1, { keepDims: true }));
    });
  }
}

class MasksWithZero extends ReferenceBackend {
  #isRouting = false;
  override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    this.#isRouting = true;
    try {
      return super.route(logits, bias, options);
    } finally {
      this.#isRouting = false;
    }
  }
  override where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    if (!this.#isRouting) return super.where(condition, a, b);
    return this.scope(() => super.where(condition, a, scalar(this, 0)));
  }
}

/** A router that is given other options than it was told. */
const misroutes = (change: (options: RoutingOptions) => Partial<RoutingOptions>) =>
  class extends ReferenceBackend {
    override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
      return super.route(logits, bias, { ...options, ...change(options) });
    }
  };

class WeighsWithBias extends ReferenceBackend {
  override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    const routing = super.route(logits, bias, options);
    if (bias === null || options.groups !== 1) return routing;
    const weights = this.scope(() => {
      const biased = this.binary('add', routing.scores, bias);
      const [tokens, experts] = biased.shape as [number, number];
      const start = this.reshape(range(this, tokens, experts), [tokens, 1]);
      return this.gather(this.reshape(biased, [biased.size]), this.binary('add', routing.indices, start));
    });
    routing.weights.dispose();
    return { ...routing, weights };
  }
}

class IgnoresBias extends ReferenceBackend {
  override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    if (bias !== null && bias.shape[0] !== logits.shape[1]) return super.route(logits, bias, options);
    return super.route(logits, null, options);
  }
}

class IgnoresQueryStart extends ReferenceBackend {
  override attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    return super.attention(q, k, v, { scale: options.scale });
  }
}

class SeesTheFuture extends ReferenceBackend {
  override attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    return super.attention(q, k, v, { ...options, queryStart: (options.queryStart ?? 0) + 1 });
  }
}

class ForgetsPageOrder extends ReferenceBackend {
  override latentAttention(q: Tensor, cache: LatentCacheView, options: LatentAttentionOptions): Tensor {
    return super.latentAttention(q, { ...cache, pages: cache.pages.slice().sort() }, options);
  }
}

class ReadsWholePages extends ReferenceBackend {
  override latentAttention(q: Tensor, cache: LatentCacheView, options: LatentAttentionOptions): Tensor {
    const length =
      cache.length > 0 ? Math.min(cache.pages.length, Math.ceil(cache.length / cache.pageSize)) * cache.pageSize : 0;
    // Later rows weigh nothing, but what is in them is still multiplied.
    return super.latentAttention(q, { ...cache, length: Math.max(length, cache.length) }, options);
  }
}

class QuantizesWithoutFloor extends ReferenceBackend {
  override quantizeActivations(x: Tensor, options?: QuantizeActivationsOptions): QuantizedActivations {
    if (x.dtype !== 'f32' || x.rank === 0 || x.size === 0) return super.quantizeActivations(x, options);
    return this.scope(() => {
      const large = this.binary('mul', x, scalar(this, 2 ** 20));
      const { codes, scales } = super.quantizeActivations(large, options);
      return { codes, scales: this.binary('div', scales, scalar(this, 2 ** 20)) };
    });
  }
}

class PowerOfTwoBelow extends ReferenceBackend {
  override quantizeActivations(x: Tensor, options?: QuantizeActivationsOptions): QuantizedActivations {
    if (options?.scaleFormat !== 'ue8m0') return super.quantizeActivations(x, options);
    return this.scope(() => {
      const { codes, scales } = super.quantizeActivations(x, options);
      return { codes, scales: this.binary('div', scales, scalar(this, 2)) };
    });
  }
}

class LinearInBf16 extends ReferenceBackend {
  override linear(x: Tensor, weight: Weight): Tensor {
    if (x.dtype !== 'f32') return super.linear(x, weight);
    return this.scope(() => super.linear(this.cast(this.cast(x, 'bf16'), 'f32'), weight));
  }
}

class LinearForgetsVectors extends ReferenceBackend {
  override linear(x: Tensor, weight: Weight): Tensor {
    const y = super.linear(x, weight);
    return x.rank === 1 ? this.scope(() => this.reshape(y, [1, y.size])) : y;
  }
}

class LosesShares extends ReferenceBackend {
  override async experts(x: Tensor, routing: Pick<Routing, 'indices' | 'weights'>, weights: ExpertWeights) {
    using ones = this.upload(new Float32Array(routing.weights.size).fill(0.5), routing.weights.shape);
    return await super.experts(x, { indices: routing.indices, weights: ones }, weights);
  }
}

class LastExpertIsFirst extends ReferenceBackend {
  override experts(x: Tensor, routing: Pick<Routing, 'indices' | 'weights'>, weights: ExpertWeights) {
    return super.experts(x, routing, { ...weights, down: weights.down.map((_, i) => weights.down[i && i - 1]!) });
  }
}

/** A loader that misreads what it is given. */
const misloads = (change: (source: WeightSource) => Promise<WeightSource>) =>
  class extends ReferenceBackend {
    override async loadWeight(source: WeightSource): Promise<Weight> {
      return super.loadWeight(await change(source));
    }
  };

const SwapsNibbles = misloads(async (source) => {
  if (source.format !== 'int4') return source;
  const codes = (await readBytes(source.values)).map((byte) => (byte << 4) | (byte >> 4));
  return { ...source, values: new MemorySource(codes) };
});

const TakesBlocksAlongRows = misloads(async (source) =>
  'blockSize' in source && source.shape[0] > 128 && source.shape[1] <= 128
    ? { ...source, scales: new MemorySource((await readBytes(source.scales)).map((_, i, all) => all[i % 4]!)) }
    : source,
);

const DividesByScales = misloads(async (source) => {
  if (!('scales' in source)) return source;
  const scales = new Float32Array((await readBytes(source.scales)).buffer).map((scale) => 1 / scale);
  return { ...source, scales: new MemorySource(new Uint8Array(scales.buffer)) };
});

const TakesNaNCodes = misloads(async (source) => {
  if (source.format !== 'fp8') return source;
  const codes = (await readBytes(source.values)).map((code) => ((code & 0x7f) === 0x7f ? code & 0x80 : code));
  return { ...source, values: new MemorySource(codes) };
});

class MisjudgesBytes extends ReferenceBackend {
  override weightBytes(source: Pick<WeightSource, 'format' | 'shape'>): number {
    return source.shape[0] * source.shape[1];
  }
}

class LeaksFailedLoads extends ReferenceBackend {
  override async loadWeights(sources: readonly WeightSource[]): Promise<Weight[]> {
    const weights: Weight[] = [];
    for (const source of sources) weights.push(await this.loadWeight(source));
    return weights;
  }
}

const mutant = (wrong: string, caughtBy: string, Kind: new () => Backend): Mutant => ({
  wrong,
  caughtBy,
  create: () => new Kind(),
});

export const compositeMutants: readonly Mutant[] = [
  mutant('epsilon is added to the root', 'rmsNorm', EpsilonOutsideTheRoot),
  mutant('halves are rotated, not pairs', 'rotary', RotatesHalves),
  mutant('gate and up are swapped', 'swiglu', GateAndUpSwapped),
  mutant('a composite leaks a tensor', 'swiglu', SwigluLeaks),
  mutant('softmax works in place', 'softmax', SoftmaxInPlace),
  mutant('softmax does not subtract the maximum', 'softmax', SoftmaxWithoutMax),
  mutant('groups are masked with zero', 'route', MasksWithZero),
  mutant(
    'a group is scored by its best expert where two should count',
    'route',
    misroutes(() => ({ groupScore: 'max' })),
  ),
  mutant(
    'weights are always normalised',
    'route',
    misroutes(() => ({ normalize: true })),
  ),
  mutant(
    'normalised weights are not scaled',
    'route',
    misroutes(({ normalize, scale }) => ({ scale: normalize ? 1 : scale })),
  ),
  mutant(
    'scores are always sigmoids',
    'route',
    misroutes(() => ({ scoring: 'sigmoid' })),
  ),
  mutant('weights carry the bias', 'route', WeighsWithBias),
  mutant('the bias is ignored', 'route', IgnoresBias),
  mutant('queryStart is ignored', 'attention', IgnoresQueryStart),
  mutant('a query sees one key too many', 'attention', SeesTheFuture),
  mutant('pages are read in ascending order', 'latentAttention', ForgetsPageOrder),
  mutant('a page is read to its end', 'latentAttention', ReadsWholePages),
  mutant('scales have no floor', 'quantizeActivations', QuantizesWithoutFloor),
  mutant('ue8m0 rounds down', 'quantizeActivations', PowerOfTwoBelow),
  mutant('activations are rounded to BF16', 'linear', LinearInBf16),
  mutant('a vector becomes a matrix', 'linear', LinearForgetsVectors),
  mutant('all experts of a token weigh the same', 'experts', LosesShares),
  mutant('an expert has the down projection of its neighbour', 'experts', LastExpertIsFirst),
  mutant('nibbles are swapped', 'loadWeight', SwapsNibbles),
  mutant('a second row of blocks has the scales of the first', 'loadWeight', TakesBlocksAlongRows),
  mutant('scales are divided by', 'loadWeight', DividesByScales),
  mutant('FP8 NaN codes are taken for zero', 'loadWeight', TakesNaNCodes),
  mutant('weightBytes counts elements', 'weightBytes', MisjudgesBytes),
  mutant('loadWeights leaks what it had when it fails', 'loadWeights', LeaksFailedLoads),
];
