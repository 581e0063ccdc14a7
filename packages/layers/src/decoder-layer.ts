/** One decoder layer: attention and feed-forward, each behind a norm and beside a residual connection (DS `Block`). */
import { isMoeLayer, type ModelConfig, type Tensor } from '@mariana/core';
import { DeepSeekMoE, type MoeForwardOptions } from './deepseek-moe.ts';
import { FeedForward } from './feed-forward.ts';
import { Layer, type LayerLoadOptions, type Weights } from './layer.ts';
import { loadParts } from './load-parts.ts';
import { type AttentionForwardOptions, MultiHeadLatentAttention } from './multi-head-latent-attention.ts';
import { RmsNorm } from './rms-norm.ts';

export type DecoderForwardOptions = AttentionForwardOptions & MoeForwardOptions;

export class DecoderLayer extends Layer {
  readonly inputNorm: RmsNorm;
  readonly attention: MultiHeadLatentAttention;
  readonly postAttentionNorm: RmsNorm;
  readonly feedForward: DeepSeekMoE | FeedForward;

  constructor(
    inputNorm: RmsNorm,
    attention: MultiHeadLatentAttention,
    postAttentionNorm: RmsNorm,
    feedForward: DeepSeekMoE | FeedForward,
  ) {
    super(attention.backend);
    this.inputNorm = inputNorm;
    this.attention = attention;
    this.postAttentionNorm = postAttentionNorm;
    this.feedForward = feedForward;
  }

  /** Reads `model.layers.<layer>`. */
  static async load(config: ModelConfig, weights: Weights, options: LayerLoadOptions): Promise<DecoderLayer> {
    const { layer, backend } = options;
    const prefix = `model.layers.${layer}`;
    const norm = (name: string) =>
      RmsNorm.load(weights, `${prefix}.${name}.weight`, {
        width: config.hiddenSize,
        epsilon: config.rmsNormEps,
        backend,
      });
    const feedForward = (): Promise<DeepSeekMoE | FeedForward> =>
      isMoeLayer(config, layer)
        ? DeepSeekMoE.load(config, weights, options)
        : FeedForward.load(config, weights, { prefix: `${prefix}.mlp`, width: config.intermediateSize, backend });
    return loadParts(
      async (keep) =>
        new DecoderLayer(
          await keep(norm('input_layernorm')),
          await keep(MultiHeadLatentAttention.load(config, weights, options)),
          await keep(norm('post_attention_layernorm')),
          await keep(feedForward()),
        ),
    );
  }

  /** The residual stream, F32 [tokens, hidden_size], after this layer; of the last token alone if only that is wanted. */
  async forward(x: Tensor, options: DecoderForwardOptions = {}): Promise<Tensor> {
    const { backend } = this;
    using attended = await this.#attend(x, options);
    using h = this.#addLast(x, attended);
    using fed = await this.#feed(h, options);
    return backend.binary('add', h, fed);
  }

  /** Adds to the last rows of x, of which there may be more. */
  #addLast(x: Tensor, attended: Tensor): Tensor {
    const { backend } = this;
    const [rows, wanted] = [x.shape[0]!, attended.shape[0]!];
    if (rows === wanted) return backend.binary('add', x, attended);
    return backend.scope(() => backend.binary('add', backend.slice(x, 0, rows - wanted, rows), attended));
  }

  async #attend(x: Tensor, options: DecoderForwardOptions): Promise<Tensor> {
    using normed = this.inputNorm.forward(x);
    return await this.attention.forward(normed, options);
  }

  async #feed(h: Tensor, options: DecoderForwardOptions): Promise<Tensor> {
    using normed = this.postAttentionNorm.forward(h);
    return await this.feedForward.forward(normed, options);
  }

  protected override children(): readonly Layer[] {
    return [this.inputNorm, this.attention, this.postAttentionNorm, this.feedForward];
  }
}
