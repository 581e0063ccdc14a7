/**
 * The whole network, from token ids to logits (DS `Transformer`; HF `DeepseekV3ForCausalLM`). It is a layer like the
 * others: it knows no tokenizer, no sampling and no files, and runs on whatever backend it was loaded on.
 */
import { isMoeLayer, MarianaError, type ModelConfig, type Routing, ropeParameters, type Tensor } from '@mariana/core';
import type { LatentCache } from './cache/latent-cache.ts';
import { DecoderLayer } from './decoder-layer.ts';
import { Embedding } from './embedding.ts';
import { Layer, type LoadOptions, type Weights } from './layer.ts';
import { Linear } from './linear.ts';
import { loadParts } from './load-parts.ts';
import type { AttentionForm } from './multi-head-latent-attention.ts';
import { MultiTokenPrediction } from './multi-token-prediction.ts';
import { RmsNorm } from './rms-norm.ts';
import { RotaryEmbedding } from './rotary-embedding.ts';

export interface TransformerLoadOptions extends LoadOptions {
  /** Load the multi-token-prediction modules too, if the checkpoint has any. Default false. */
  readonly mtp?: boolean;
  /** Called after each part, with the number of parts loaded and of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the loading between two parts. */
  readonly signal?: AbortSignal;
}

export interface TransformerForwardOptions {
  /** Past of the sequence; the new tokens are appended and become part of it. Default: none. */
  readonly cache?: LatentCache;
  /** Sequences of equal length stacked in `ids`. Only without a cache. Default 1. */
  readonly batch?: number;
  /** For which tokens logits are wanted. Default `all`. */
  readonly logits?: 'all' | 'last' | 'none';
  /** Form of attention. Default `auto`. */
  readonly form?: AttentionForm;
  /** Sees each MoE layer's routing. */
  readonly onRouting?: (layer: number, routing: Routing) => void | Promise<void>;
  /** Sees the residual stream before the first layer (0) and after each (1, 2, ...). */
  readonly onHidden?: (index: number, hidden: Tensor) => void | Promise<void>;
  /** Sees what each head of a layer takes of each token: F32 [batch, heads, queries, keys], freed when it returns. */
  readonly onAttention?: (layer: number, weights: Tensor) => void | Promise<void>;
  /** Layers that `onAttention` sees. Default: all. */
  readonly attentionLayers?: readonly number[];
}

export interface TransformerOutput extends Disposable {
  /** F32 [tokens, hidden_size], after the final norm. */
  readonly hidden: Tensor;
  /** F32 [tokens or 1, vocab_size], or null if none were wanted. */
  readonly logits: Tensor | null;
}

export class Transformer extends Layer {
  readonly config: ModelConfig;
  readonly embedding: Embedding;
  readonly layers: readonly DecoderLayer[];
  readonly norm: RmsNorm;
  /** The output matrix; the embedding itself where `tie_word_embeddings` is set. */
  readonly head: Linear | Embedding;
  /** Multi-token-prediction modules, empty unless they were asked for. */
  readonly mtp: readonly MultiTokenPrediction[];
  readonly #rotary: RotaryEmbedding;

  private constructor(
    config: ModelConfig,
    parts: {
      embedding: Embedding;
      layers: readonly DecoderLayer[];
      norm: RmsNorm;
      head: Linear | Embedding;
      mtp: readonly MultiTokenPrediction[];
    },
  ) {
    super(parts.embedding.backend);
    this.config = config;
    this.embedding = parts.embedding;
    this.layers = parts.layers;
    this.norm = parts.norm;
    this.head = parts.head;
    this.mtp = parts.mtp;
    this.#rotary = new RotaryEmbedding(ropeParameters(config));
  }

  /**
   * Reads all weights that the config asks for.
   *
   * @throws MarianaError `TENSOR_MISSING`, `TENSOR_MISMATCH`, `TENSOR_INVALID`, or what the source throws; what was
   *   loaded until then is freed.
   */
  static async load(config: ModelConfig, weights: Weights, options: TransformerLoadOptions): Promise<Transformer> {
    const { backend, mtp = false, onProgress, signal } = options;
    const modules = mtp ? config.numNextnPredictLayers : 0;
    const total = config.numHiddenLayers + modules + 3;
    let done = 0;
    return loadParts(async (keep) => {
      const load = async <L extends Layer>(part: Promise<L>): Promise<L> => {
        const layer = await keep(part);
        signal?.throwIfAborted();
        onProgress?.(++done, total);
        return layer;
      };
      const embedding = await load(Embedding.load(config, weights, 'model.embed_tokens.weight', { backend }));
      const layers: DecoderLayer[] = [];
      for (let layer = 0; layer < config.numHiddenLayers; layer++) {
        layers.push(await load(DecoderLayer.load(config, weights, { layer, backend })));
      }
      const { hiddenSize: width, rmsNormEps: epsilon, vocabSize } = config;
      const norm = await load(RmsNorm.load(weights, 'model.norm.weight', { width, epsilon, backend }));
      const shape = [vocabSize, width] as const;
      const head = config.tieWordEmbeddings
        ? embedding
        : await load(Linear.load(config, weights, 'lm_head.weight', { shape, backend }));
      const drafts: MultiTokenPrediction[] = [];
      for (let depth = 0; depth < modules; depth++) {
        drafts.push(await load(MultiTokenPrediction.load(config, weights, { depth, backend })));
      }
      return new Transformer(config, { embedding, layers, norm, head, mtp: drafts });
    });
  }

  /**
   * Runs tokens through the network.
   *
   * @param ids - Token ids, each below vocab_size.
   * @returns Hidden states and logits, which the caller owns.
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`; `CONTEXT_EXCEEDED` if the cache is full.
   */
  async forward(ids: ArrayLike<number>, options: TransformerForwardOptions = {}): Promise<TransformerOutput> {
    const { backend, config } = this;
    const { cache, batch = 1, logits = 'all', form = 'auto', onRouting, onHidden, onAttention } = options;
    checkTokens(ids, config.vocabSize);
    const tokens = ids.length;
    cache?.reserve(tokens);
    using rotary = this.#rotary.tables(backend, cache?.length ?? 0, tokens / batch, batch);
    let x = this.embed(ids);
    try {
      await onHidden?.(0, x);
      for (const [index, layer] of this.layers.entries()) {
        const observe =
          onRouting && isMoeLayer(config, index) ? (routing: Routing) => onRouting(index, routing) : undefined;
        const isWatched = onAttention && (options.attentionLayers?.includes(index) ?? true);
        const next = await layer.forward(x, {
          batch,
          form,
          rotary,
          ...(cache && { cache: cache.layer(index) }),
          ...(observe && { onRouting: observe }),
          ...(isWatched && { onAttention: (weights: Tensor) => onAttention(index, weights) }),
        });
        x.dispose();
        x = next;
        await onHidden?.(index + 1, x);
      }
      const output = backend.scope(() => this.#finish(x, logits));
      cache?.advance(tokens);
      return {
        ...output,
        [Symbol.dispose]() {
          output.hidden.dispose();
          output.logits?.dispose();
        },
      };
    } finally {
      x.dispose();
    }
  }

  /** Embeds token ids: F32 [tokens, hidden_size]. */
  embed(ids: ArrayLike<number>): Tensor {
    checkTokens(ids, this.config.vocabSize);
    using indices = this.backend.upload(Int32Array.from(ids), [ids.length]);
    return this.embedding.forward(indices);
  }

  /** Logits of hidden states that have passed the final norm: F32 [tokens, vocab_size]. */
  logits(hidden: Tensor): Tensor {
    return this.backend.linear(hidden, this.head.weight);
  }

  #finish(x: Tensor, wanted: 'all' | 'last' | 'none'): { hidden: Tensor; logits: Tensor | null } {
    const hidden = this.norm.forward(x);
    const tokens = hidden.shape[0]!;
    const rows = wanted === 'last' && tokens > 1 ? this.backend.slice(hidden, 0, tokens - 1, tokens) : hidden;
    return { hidden, logits: wanted === 'none' ? null : this.logits(rows) };
  }

  protected override children(): readonly Layer[] {
    const head = this.head === this.embedding ? [] : [this.head];
    return [this.embedding, ...this.layers, this.norm, ...head, ...this.mtp];
  }
}

/** @throws MarianaError `TOKEN_OUT_OF_RANGE` for the first id that is not a token of the vocabulary. */
export function checkTokens(ids: ArrayLike<number>, vocabSize: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
    throw new MarianaError(
      'TOKEN_OUT_OF_RANGE',
      `token ${i} has id ${id}, but the vocabulary has ids 0 to ${vocabSize - 1}; is it this model's tokenizer?`,
      { details: { position: i, id, vocabSize } },
    );
  }
}
