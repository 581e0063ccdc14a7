/**
 * Rotary position embedding with YaRN context extension.
 *
 * Every step is rounded to float32 where the original implementations round, angles included: the product of position
 * and frequency in double precision differs from theirs by 3.7e-3 at position 163839 (TRAPS.md section 3).
 *
 * Source: `precompute_freqs_cis` in DeepSeek's inference/model.py; `DeepseekV3YarnRotaryEmbedding` shipped with the
 * checkpoints; YaRN paper (arXiv 2309.00071).
 */
import { type Backend, MarianaError, type RopeParameters, type Tensor, type YarnScaling } from '@mariana/core';

const f32 = Math.fround;

/** cos and sin of the angles of T consecutive positions, F32 [T, dim / 2] each. */
export interface RotaryTables extends Disposable {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export class RotaryEmbedding {
  readonly parameters: RopeParameters;
  /** Frequencies in radians a position, dim / 2 of them, float32. */
  readonly inverseFrequencies: Float32Array;
  // Tables grow by doubling, since a session asks for one position after the other.
  #cos = new Float32Array(0);
  #sin = new Float32Array(0);

  constructor(parameters: RopeParameters) {
    this.parameters = parameters;
    this.inverseFrequencies = inverseFrequencies(parameters);
  }

  /**
   * Tables of the positions `start` to `start + count - 1`, on a backend. The caller owns them.
   *
   * @param repeat - How many times to lay them one after the other, for sequences stacked in a batch. Default 1.
   */
  tables(backend: Backend, start: number, count: number, repeat = 1): RotaryTables {
    const half = this.inverseFrequencies.length;
    this.#extend(start + count);
    const upload = (table: Float32Array) => {
      const rows = table.subarray(start * half, (start + count) * half);
      const data = repeat === 1 ? rows : new Float32Array(repeat * rows.length);
      if (repeat > 1) for (let i = 0; i < repeat; i++) data.set(rows, i * rows.length);
      return backend.upload(data, [repeat * count, half]);
    };
    const [cos, sin] = [upload(this.#cos), upload(this.#sin)];
    return {
      cos,
      sin,
      [Symbol.dispose]() {
        cos.dispose();
        sin.dispose();
      },
    };
  }

  /**
   * Rotates x, F32 [T, heads, dim], by the positions of the tables. The result is in interleaved order whatever the
   * order of the checkpoint, which no score depends on.
   */
  apply(backend: Backend, x: Tensor, { cos, sin }: Pick<RotaryTables, 'cos' | 'sin'>): Tensor {
    if (this.parameters.interleave) return backend.rotary(x, cos, sin);
    const [tokens, heads, dim] = x.shape;
    if (tokens === undefined || heads === undefined || dim === undefined) {
      throw new MarianaError('SHAPE_MISMATCH', `RotaryEmbedding: takes [tokens, heads, dim], not a ${x}`);
    }
    return backend.scope(() => {
      const halves = backend.reshape(x, [tokens, heads, 2, dim / 2]);
      const pairs = backend.reshape(backend.transpose(halves, [0, 1, 3, 2]), x.shape);
      return backend.rotary(pairs, cos, sin);
    });
  }

  #extend(positions: number): void {
    const half = this.inverseFrequencies.length;
    const have = this.#cos.length / half;
    if (positions <= have) return;
    const want = Math.max(positions, 2 * have, 64);
    const [cos, sin] = [new Float32Array(want * half), new Float32Array(want * half)];
    cos.set(this.#cos);
    sin.set(this.#sin);
    const factor = f32(this.parameters.attentionFactor);
    for (let position = have; position < want; position++) {
      this.inverseFrequencies.forEach((frequency, i) => {
        const angle = f32(position * frequency);
        cos[position * half + i] = f32(Math.cos(angle)) * factor;
        sin[position * half + i] = f32(Math.sin(angle)) * factor;
      });
    }
    this.#cos = cos;
    this.#sin = sin;
  }
}

/** theta^(-2i / dim), under YaRN blended with its `factor`-th by how often a frequency turns within the old context. */
function inverseFrequencies({ theta, dim, scaling }: RopeParameters): Float32Array {
  const plain = Float32Array.from({ length: dim / 2 }, (_, i) => 1 / f32(theta ** f32((2 * i) / dim)));
  if (scaling === null) return plain;
  const ramp = yarnRamp(scaling, theta, dim);
  return plain.map((frequency, i) => {
    // The original stores 1 - ramp and subtracts that from 1 again; the roundings show at far positions.
    const keep = f32(1 - ramp(i));
    return f32(f32(frequency / scaling.factor) * f32(1 - keep)) + f32(frequency * keep);
  });
}

/** 0 for pairs that turn fast enough to be kept, 1 for those to be stretched, linear between. */
function yarnRamp(scaling: YarnScaling, theta: number, dim: number): (pair: number) => number {
  const pairOfRotations = (rotations: number) =>
    (dim * Math.log(scaling.originalMaxPositionEmbeddings / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(Math.floor(pairOfRotations(scaling.betaFast)), 0);
  // dim - 1, not dim / 2 - 1: the originals have it so, and trained with it.
  const high = Math.min(Math.ceil(pairOfRotations(scaling.betaSlow)), dim - 1);
  const width = high === low ? 0.001 : high - low;
  return (pair) => f32(Math.min(Math.max(f32(f32(pair - low) / f32(width)), 0), 1));
}
