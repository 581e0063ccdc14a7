/** The gated feed-forward: dense layers, shared experts, and each routed expert have this form. */
import type { ModelConfig, Tensor } from '@mariana/core';
import { Layer, type LoadOptions, type Weights } from './layer.ts';
import { Linear } from './linear.ts';
import { loadParts } from './load-parts.ts';

/** down(silu(gate(x)) * up(x)) (DS `MLP`, where gate is w1, down w2 and up w3). */
export class FeedForward extends Layer {
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;

  constructor(gate: Linear, up: Linear, down: Linear) {
    super(down.backend);
    this.gate = gate;
    this.up = up;
    this.down = down;
  }

  /**
   * Reads `<prefix>.gate_proj`, `up_proj` and `down_proj`.
   *
   * @param options - `prefix`: such as `model.layers.0.mlp`; `width`: inner width.
   */
  static async load(
    config: ModelConfig,
    weights: Weights,
    { prefix, width, backend }: LoadOptions & { readonly prefix: string; readonly width: number },
  ): Promise<FeedForward> {
    const { hiddenSize } = config;
    const linear = (name: string, shape: readonly [number, number]) =>
      Linear.load(config, weights, `${prefix}.${name}.weight`, { shape, backend });
    return loadParts(
      async (keep) =>
        new FeedForward(
          await keep(linear('gate_proj', [width, hiddenSize])),
          await keep(linear('up_proj', [width, hiddenSize])),
          await keep(linear('down_proj', [hiddenSize, width])),
        ),
    );
  }

  /** F32 [tokens, hidden_size] to the same shape. */
  async forward(x: Tensor): Promise<Tensor> {
    return this.backend.scope(() => this.down.forward(this.backend.swiglu(this.gate.forward(x), this.up.forward(x))));
  }

  protected override children(): readonly Layer[] {
    return [this.gate, this.up, this.down];
  }
}
