/**
 * Multi-head Latent Attention in both its forms.
 *
 * Keys and values of all heads are made from one latent vector a token, and only that latent and one rotated key are
 * cached. The **naive** form expands them to keys and values per head and attends as usual. The **absorbed** form folds
 * the expansion into the queries and the outputs, and reads the cache as it lies: more arithmetic for each pair of query
 * and key, none for each cached token. So absorbed pays when few queries meet a long cache, naive when many queries come
 * at once; `auto` counts multiply-adds and takes the cheaper.
 *
 * Source: DeepSeek-V2 paper, section 2.1; DeepSeek-V3 report, section 2.1.1; `MLA.forward` in DeepSeek's
 * inference/model.py.
 */
import {
  type AttentionOptions,
  attentionWeights,
  type Backend,
  cacheRows,
  type LatentCacheView,
  latentNormEps,
  MarianaError,
  type ModelConfig,
  qkHeadDim,
  ropeParameters,
  softmaxScale,
  type Tensor,
} from '@mariana/core';
import { AbsorbedProjections } from './absorbed-projections.ts';
import type { LayerCache } from './cache/latent-cache.ts';
import { SingleLayerCache } from './cache/latent-cache.ts';
import { PagePool } from './cache/page-pool.ts';
import { Layer, type LayerLoadOptions, type Weights } from './layer.ts';
import { Linear, sourceOf } from './linear.ts';
import { loadParts } from './load-parts.ts';
import { RmsNorm } from './rms-norm.ts';
import { RotaryEmbedding, type RotaryTables } from './rotary-embedding.ts';

export type AttentionForm = 'auto' | 'naive' | 'absorbed';

export interface AttentionForwardOptions {
  /** Past of the sequence; new tokens are appended. Default: none, x is the whole sequence. */
  readonly cache?: LayerCache;
  /** Sequences of equal length stacked in x, one after the other. Only without a cache. Default 1. */
  readonly batch?: number;
  /** Default `auto`. */
  readonly form?: AttentionForm;
  /**
   * Tokens whose output is wanted: `last` runs the last one alone, while all go into the cache; takes a cache. Default
   * `all`.
   */
  readonly outputs?: 'all' | 'last';
  /** Rotary tables of the tokens of x, where the caller shares them between layers. Default: made here. */
  readonly rotary?: RotaryTables;
  /**
   * Sees what each head takes of each token: F32 [batch, heads, queries, keys], rows of which sum to one; freed when it
   * returns. Computed beside the output, which does not change; costs nothing unless given.
   */
  readonly onAttention?: (weights: Tensor) => void | Promise<void>;
}

/** Takes what attention multiplies, and is told what it stands for. */
type Watch = ((scores: Tensor, options: AttentionOptions) => void) | undefined;

interface Projections {
  /** From the input to queries: one matrix, or two with a norm between (`q_lora_rank`). */
  readonly query: Linear | { readonly down: Linear; readonly norm: RmsNorm; readonly up: Linear };
  /** `kv_a_proj_with_mqa`: [kv_lora_rank + qk_rope_head_dim, hidden_size]. */
  readonly kvDown: Linear;
  readonly kvNorm: RmsNorm;
  /** `kv_b_proj`: [heads * (qk_nope_head_dim + v_head_dim), kv_lora_rank], per head [key | value]. */
  readonly kvUp: Linear;
  readonly output: Linear;
}

export class MultiHeadLatentAttention extends Layer {
  readonly config: ModelConfig;
  readonly rotaryEmbedding: RotaryEmbedding;
  readonly #projections: Projections;
  readonly #absorbed: AbsorbedProjections;

  private constructor(config: ModelConfig, projections: Projections, absorbed: AbsorbedProjections) {
    super(projections.output.backend);
    this.config = config;
    this.rotaryEmbedding = new RotaryEmbedding(ropeParameters(config));
    this.#projections = projections;
    this.#absorbed = absorbed;
  }

  /**
   * Reads `model.layers.<layer>.self_attn`.
   *
   * @throws MarianaError `TENSOR_MISSING`, `TENSOR_MISMATCH`, `TENSOR_INVALID`, or what the source throws.
   */
  static async load(
    config: ModelConfig,
    weights: Weights,
    { layer, backend }: LayerLoadOptions,
  ): Promise<MultiHeadLatentAttention> {
    const at = (name: string) => `model.layers.${layer}.self_attn.${name}.weight`;
    const linear = (name: string, out: number, inputs: number) =>
      Linear.load(config, weights, at(name), { shape: [out, inputs], backend });
    const norm = (name: string, width: number) =>
      RmsNorm.load(weights, at(name), { width, epsilon: latentNormEps, backend });
    const { hiddenSize, qLoraRank, kvLoraRank, numAttentionHeads: heads } = config;
    const queryWidth = heads * qkHeadDim(config);
    const kvUpShape = [heads * (config.qkNopeHeadDim + config.vHeadDim), kvLoraRank] as const;
    return loadParts(async (keep) => {
      const kvUp = await keep(linear('kv_b_proj', ...kvUpShape));
      const projections: Projections = {
        query:
          qLoraRank === null
            ? await keep(linear('q_proj', queryWidth, hiddenSize))
            : {
                down: await keep(linear('q_a_proj', qLoraRank, hiddenSize)),
                norm: await keep(norm('q_a_layernorm', qLoraRank)),
                up: await keep(linear('q_b_proj', queryWidth, qLoraRank)),
              },
        kvDown: await keep(linear('kv_a_proj_with_mqa', kvLoraRank + config.qkRopeHeadDim, hiddenSize)),
        kvNorm: await keep(norm('kv_a_layernorm', kvLoraRank)),
        kvUp,
        output: await keep(linear('o_proj', hiddenSize, heads * config.vHeadDim)),
      };
      const source = sourceOf(config, weights, at('kv_b_proj'), kvUpShape);
      return new MultiHeadLatentAttention(config, projections, new AbsorbedProjections(config, kvUp, source));
    });
  }

  /**
   * A cache for this layer alone.
   *
   * @param options - `tokens`: most tokens that it will hold; `dtype`: `f32` (default) or `bf16`.
   */
  createCache({ tokens, dtype = 'f32' }: { tokens: number; dtype?: 'f32' | 'bf16' }): SingleLayerCache {
    const width = this.config.kvLoraRank + this.config.qkRopeHeadDim;
    return new SingleLayerCache(
      new PagePool({ backend: this.backend, layers: 1, width, maxTokens: tokens, initialTokens: tokens, dtype }),
    );
  }

  /**
   * Attention of every token of x to itself and to those before it.
   *
   * @param x - F32 [tokens, hidden_size], already normed.
   * @returns F32 [tokens or 1, hidden_size]; the caller owns it.
   * @throws MarianaError `SHAPE_MISMATCH`, `CONTEXT_EXCEEDED` if the cache is full.
   */
  async forward(x: Tensor, options: AttentionForwardOptions = {}): Promise<Tensor> {
    const { cache, batch = 1 } = options;
    const tokens = this.#checkInput(x, options);
    const start = cache?.length ?? 0;
    // Tokens before the first whose output is wanted.
    const skipped = options.outputs === 'last' ? Math.max(0, tokens - 1) : 0;
    const queries = tokens - skipped;
    const form = this.chooseForm(queries / batch, start + tokens / batch, options);
    if (form === 'absorbed') await this.#absorbed.prepare();
    const own = options.rotary ? undefined : this.rotaryEmbedding.tables(this.backend, start, tokens / batch, batch);
    const { backend } = this;
    let seen: Tensor | undefined;
    const watch: Watch =
      options.onAttention &&
      ((scores, how) => {
        seen = backend.keep(attentionWeights(backend, scores, how));
      });
    let output: Tensor | undefined;
    try {
      const rotary = options.rotary ?? own!;
      output = backend.scope(() => {
        const from = (tensor: Tensor) => (skipped === 0 ? tensor : backend.slice(tensor, 0, skipped, tokens));
        const query = this.#query(from(x), { cos: from(rotary.cos), sin: from(rotary.sin) });
        const rows = this.#latentRows(x, rotary);
        const heads =
          cache === undefined
            ? this.#attendNaive(query, rows, { batch, queryStart: 0, watch })
            : this.#attendCached(query, cache.append(rows), { form, queryStart: start + skipped, watch });
        return this.#projections.output.forward(backend.reshape(heads, [queries, heads.size / queries]));
      });
      if (seen !== undefined) await options.onAttention?.(seen);
      return output;
    } catch (error) {
      output?.dispose();
      throw error;
    } finally {
      seen?.dispose();
      own?.[Symbol.dispose]();
    }
  }

  /** The form that `forward` takes for `queries` new tokens in a sequence of `length` tokens. */
  chooseForm(
    queries: number,
    length: number,
    { form = 'auto', cache }: Pick<AttentionForwardOptions, 'form' | 'cache'> = {},
  ): 'naive' | 'absorbed' {
    if (cache === undefined) return 'naive';
    if (form !== 'auto') return form;
    const { kvLoraRank, qkNopeHeadDim, qkRopeHeadDim, vHeadDim } = this.config;
    const expand = kvLoraRank * (qkNopeHeadDim + vHeadDim);
    const naive = length * expand + queries * length * (qkNopeHeadDim + qkRopeHeadDim + vHeadDim);
    const absorbed = queries * expand + queries * length * (2 * kvLoraRank + qkRopeHeadDim);
    return absorbed <= naive ? 'absorbed' : 'naive';
  }

  protected override children(): readonly Layer[] {
    const { query, kvDown, kvNorm, kvUp, output } = this.#projections;
    const queryLayers = query instanceof Linear ? [query] : [query.down, query.norm, query.up];
    return [...queryLayers, kvDown, kvNorm, kvUp, output];
  }

  override dispose(): void {
    super.dispose();
    this.#absorbed.dispose();
  }

  #checkInput(x: Tensor, { cache, batch = 1, form, outputs }: AttentionForwardOptions): number {
    const [tokens, width] = x.shape;
    if (x.rank !== 2 || tokens === undefined || width !== this.config.hiddenSize || tokens % batch !== 0) {
      throw new MarianaError(
        'SHAPE_MISMATCH',
        `MultiHeadLatentAttention: takes [tokens, ${this.config.hiddenSize}] with tokens in ${batch} equal sequences, not a ${x}`,
      );
    }
    if (cache !== undefined && batch !== 1) {
      throw new MarianaError('INVALID_ARGUMENT', 'MultiHeadLatentAttention: a cache holds one sequence; use batch 1');
    }
    if (cache === undefined && outputs === 'last') {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        'MultiHeadLatentAttention: the last output alone needs a cache; pass one',
      );
    }
    if (cache === undefined && form === 'absorbed') {
      throw new MarianaError('INVALID_ARGUMENT', 'MultiHeadLatentAttention: the absorbed form reads a cache; pass one');
    }
    return tokens;
  }

  /** Queries [tokens, heads, nope + rope], the rope part rotated. */
  #query(x: Tensor, rotary: Pick<RotaryTables, 'cos' | 'sin'>): Tensor {
    const { backend, config } = this;
    const { query } = this.#projections;
    const flat =
      query instanceof Linear ? query.forward(x) : query.up.forward(query.norm.forward(query.down.forward(x)));
    const heads = backend.reshape(flat, [x.shape[0]!, config.numAttentionHeads, qkHeadDim(config)]);
    const [nope, rope] = split(backend, heads, 2, config.qkNopeHeadDim);
    return backend.concat([nope, this.rotaryEmbedding.apply(backend, rope, rotary)], 2);
  }

  /** What the cache keeps of each token: [tokens, kv_lora_rank + rope], the latent normed, the key rotated. */
  #latentRows(x: Tensor, rotary: RotaryTables): Tensor {
    const { backend, config } = this;
    const { kvDown, kvNorm } = this.#projections;
    const [latent, rope] = split(backend, kvDown.forward(x), 1, config.kvLoraRank);
    const key = backend.reshape(rope, [x.shape[0]!, 1, config.qkRopeHeadDim]);
    const rotated = backend.reshape(this.rotaryEmbedding.apply(backend, key, rotary), rope.shape);
    return backend.concat([kvNorm.forward(latent), rotated], 1);
  }

  #attendCached(
    query: Tensor,
    view: LatentCacheView,
    { form, queryStart, watch }: { form: 'naive' | 'absorbed'; queryStart: number; watch: Watch },
  ): Tensor {
    const { backend } = this;
    if (form === 'absorbed') return this.#attendAbsorbed(query, view, queryStart, watch);
    const rows = backend.upload(cacheRows(view, 0, view.length), [view.length]);
    const all = backend.cast(backend.gather(view.pool, rows), 'f32');
    return this.#attendNaive(query, all, { batch: 1, queryStart, watch });
  }

  /** Expands latents to keys and values per head. query [tokens, heads, D], rows [keys, latent + rope]. */
  #attendNaive(
    query: Tensor,
    rows: Tensor,
    { batch, queryStart, watch }: { batch: number; queryStart: number; watch: Watch },
  ): Tensor {
    const { backend, config } = this;
    const { numAttentionHeads: heads, qkNopeHeadDim, qkRopeHeadDim, vHeadDim } = config;
    const keys = rows.shape[0]!;
    const [latent, rope] = split(backend, rows, 1, config.kvLoraRank);
    const expanded = backend.reshape(this.#projections.kvUp.forward(latent), [keys, heads, qkNopeHeadDim + vHeadDim]);
    const [nope, value] = split(backend, expanded, 2, qkNopeHeadDim);
    // Every head gets the same rotated key; adding zeros broadcasts it.
    const zeros = backend.upload(new Float32Array(heads), [1, heads, 1]);
    const shared = backend.binary('add', backend.reshape(rope, [keys, 1, qkRopeHeadDim]), zeros);
    const key = backend.concat([nope, shared], 2);
    const perSequence = (x: Tensor) => backend.reshape(x, [batch, x.shape[0]! / batch, ...x.shape.slice(1)]);
    const [q, k] = [perSequence(query), perSequence(key)];
    const options = { scale: softmaxScale(config), queryStart };
    if (watch) {
      const headsFirst = (x: Tensor) => backend.transpose(x, [0, 2, 1, 3]);
      watch(backend.matmul(headsFirst(q), headsFirst(k), { transposeB: true }), options);
    }
    return backend.attention(q, k, perSequence(value), options);
  }

  /** Folds the key expansion into the query and the value expansion into the output. query [tokens, heads, D]. */
  #attendAbsorbed(query: Tensor, view: LatentCacheView, queryStart: number, watch: Watch): Tensor {
    const { backend, config } = this;
    const { key, value } = this.#absorbed;
    const [nope, rope] = split(backend, query, 2, config.qkNopeHeadDim);
    const folded = backend.concat([backend.groupedLinear(nope, key), rope], 2);
    const options = { scale: softmaxScale(config), queryStart };
    if (watch) {
      const rows = backend.upload(cacheRows(view, 0, view.length), [view.length]);
      const cached = backend.cast(backend.gather(view.pool, rows), 'f32');
      const [queries, heads, width] = folded.shape as readonly [number, number, number];
      // All heads read the same rows, so this is one matrix product.
      const headsFirst = backend.reshape(backend.transpose(folded, [1, 0, 2]), [heads * queries, width]);
      const scores = backend.matmul(headsFirst, cached, { transposeB: true });
      watch(backend.reshape(scores, [1, heads, queries, view.length]), options);
    }
    const latent = backend.latentAttention(folded, view, { ...options, latentDim: config.kvLoraRank });
    return backend.groupedLinear(latent, value);
  }
}

/** Cuts an axis in two at `at`. */
function split(backend: Backend, x: Tensor, axis: number, at: number): [Tensor, Tensor] {
  return [backend.slice(x, axis, 0, at), backend.slice(x, axis, at, x.shape[axis]!)];
}
