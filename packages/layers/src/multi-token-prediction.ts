/**
 * Multi-token prediction: one more decoder layer that, from the main model's state at a token and the embedding of the
 * next token, predicts the one after that. Used as a second training objective, and to draft tokens for speculative
 * decoding.
 *
 * DeepSeek published no code for it. The wiring (embedding first in the concatenation; hidden state taken after the
 * model's final norm) is that of vLLM's deepseek_mtp.py and SGLang's deepseek_nextn.py (TRAPS.md section 7).
 *
 * Source: DeepSeek-V3 report, section 2.2.
 */
import type { ModelConfig, Tensor } from '@mariana/core';
import { type DecoderForwardOptions, DecoderLayer } from './decoder-layer.ts';
import { Embedding } from './embedding.ts';
import { Layer, type LoadOptions, type Weights } from './layer.ts';
import { Linear } from './linear.ts';
import { loadParts } from './load-parts.ts';
import { RmsNorm } from './rms-norm.ts';

export interface MultiTokenPredictionLoadOptions extends LoadOptions {
  /** Which MTP module, from 0; its weights are `model.layers.<num_hidden_layers + depth>`. Default 0. */
  readonly depth?: number;
}

export interface MultiTokenPredictionInput {
  /** I32 [tokens]: at row i the token that follows the one whose state is `hidden[i]`. */
  readonly nextIds: Tensor;
  /** F32 [tokens, hidden_size]: the main model's output after its final norm. */
  readonly hidden: Tensor;
}

export interface MultiTokenPredictionForwardOptions extends DecoderForwardOptions {
  /** For which rows logits are wanted. Default `all`. */
  readonly logits?: 'all' | 'last';
}

export class MultiTokenPrediction extends Layer {
  readonly embedding: Embedding;
  readonly embeddingNorm: RmsNorm;
  readonly hiddenNorm: RmsNorm;
  readonly projection: Linear;
  readonly decoder: DecoderLayer;
  readonly headNorm: RmsNorm;
  readonly head: Linear;

  private constructor(parts: {
    embedding: Embedding;
    embeddingNorm: RmsNorm;
    hiddenNorm: RmsNorm;
    projection: Linear;
    decoder: DecoderLayer;
    headNorm: RmsNorm;
    head: Linear;
  }) {
    super(parts.projection.backend);
    this.embedding = parts.embedding;
    this.embeddingNorm = parts.embeddingNorm;
    this.hiddenNorm = parts.hiddenNorm;
    this.projection = parts.projection;
    this.decoder = parts.decoder;
    this.headNorm = parts.headNorm;
    this.head = parts.head;
  }

  static async load(
    config: ModelConfig,
    weights: Weights,
    { depth = 0, backend }: MultiTokenPredictionLoadOptions,
  ): Promise<MultiTokenPrediction> {
    const layer = config.numHiddenLayers + depth;
    const at = (name: string) => `model.layers.${layer}.${name}.weight`;
    const { hiddenSize, vocabSize, rmsNormEps } = config;
    const norm = (name: string) => RmsNorm.load(weights, at(name), { width: hiddenSize, epsilon: rmsNormEps, backend });
    // The checkpoint holds copies of the main model's embedding and head here; some converters leave them out.
    const stored = (own: string, main: string) => (weights.has(own) ? own : main);
    const embedding = stored(at('embed_tokens'), 'model.embed_tokens.weight');
    const head = stored(at('shared_head.head'), config.tieWordEmbeddings ? embedding : 'lm_head.weight');
    const linear = (name: string, shape: readonly [number, number]) =>
      Linear.load(config, weights, name, { shape, backend });
    return loadParts(
      async (keep) =>
        new MultiTokenPrediction({
          embedding: await keep(Embedding.load(config, weights, embedding, { backend })),
          embeddingNorm: await keep(norm('enorm')),
          hiddenNorm: await keep(norm('hnorm')),
          projection: await keep(linear(at('eh_proj'), [hiddenSize, 2 * hiddenSize])),
          decoder: await keep(DecoderLayer.load(config, weights, { layer, backend })),
          headNorm: await keep(norm('shared_head.norm')),
          head: await keep(linear(head, [vocabSize, hiddenSize])),
        }),
    );
  }

  /**
   * Row i predicts the token after `nextIds[i]`.
   *
   * @returns `hidden`: the module's residual stream, F32 [tokens or 1, hidden_size]; `logits`: F32 [tokens or 1, vocab_size].
   *   The caller owns both.
   */
  async forward(
    { nextIds, hidden }: MultiTokenPredictionInput,
    { logits: wanted = 'all', ...options }: MultiTokenPredictionForwardOptions = {},
  ): Promise<{ hidden: Tensor; logits: Tensor }> {
    const { backend } = this;
    using x = backend.scope(() => {
      const embedded = this.embeddingNorm.forward(this.embedding.forward(nextIds));
      return this.projection.forward(backend.concat([embedded, this.hiddenNorm.forward(hidden)], 1));
    });
    const out = await this.decoder.forward(x, options);
    const logits = backend.scope(() => {
      const tokens = out.shape[0]!;
      const rows = wanted === 'last' && tokens > 1 ? backend.slice(out, 0, tokens - 1, tokens) : out;
      return this.head.forward(this.headNorm.forward(rows));
    });
    return { hidden: out, logits };
  }

  protected override children(): readonly Layer[] {
    const { embedding, embeddingNorm, hiddenNorm, projection, decoder, headNorm, head } = this;
    return [embedding, embeddingNorm, hiddenNorm, projection, decoder, headNorm, head];
  }
}
