/**
 * DeepSeekMoE: many small routed experts, of which each token takes a few, beside shared experts that every token
 * takes.
 *
 * Source: DeepSeekMoE paper (arXiv 2401.06066); DeepSeek-V3 report, section 2.1.2; `MoE.forward` in DeepSeek's
 * inference/model.py.
 */
import type { ExpertWeights, ModelConfig, Routing, Tensor, Weight } from '@mariana/core';
import { FeedForward } from './feed-forward.ts';
import { Layer, type LayerLoadOptions, type Parameter, type Weights, weightParameter } from './layer.ts';
import { sourceOf } from './linear.ts';
import { loadParts } from './load-parts.ts';
import { Router } from './router.ts';

export interface MoeForwardOptions {
  /** Sees the routing of the tokens before it is freed: for pictures, for load statistics, for balance losses. */
  readonly onRouting?: (routing: Routing) => void | Promise<void>;
}

export class DeepSeekMoE extends Layer {
  readonly router: Router;
  readonly experts: ExpertWeights;
  /** All shared experts as one feed-forward, n_shared_experts times as wide; null if the model has none. */
  readonly shared: FeedForward | null;
  readonly #prefix: string;

  constructor(prefix: string, router: Router, experts: ExpertWeights, shared: FeedForward | null) {
    super(router.backend);
    this.#prefix = prefix;
    this.router = router;
    this.experts = experts;
    this.shared = shared;
  }

  /** Reads `model.layers.<layer>.mlp`: router, routed and shared experts. */
  static async load(config: ModelConfig, weights: Weights, options: LayerLoadOptions): Promise<DeepSeekMoE> {
    const { layer, backend } = options;
    const { hiddenSize, moeIntermediateSize: width } = config;
    const prefix = `model.layers.${layer}.mlp`;
    const stack = (name: string, shape: readonly [number, number]) =>
      backend.loadWeights(
        Array.from({ length: config.nRoutedExperts }, (_, expert) =>
          sourceOf(config, weights, expertName(prefix, expert, name), shape),
        ),
      );
    const sharedExperts = () => {
      const options = { prefix: `${prefix}.shared_experts`, width: config.nSharedExperts * width, backend };
      return FeedForward.load(config, weights, options);
    };
    return loadParts(async (keep) => {
      const router = await keep(Router.load(config, weights, options));
      const experts = {
        gate: await keep(stack('gate_proj', [width, hiddenSize])),
        up: await keep(stack('up_proj', [width, hiddenSize])),
        down: await keep(stack('down_proj', [hiddenSize, width])),
      };
      const shared = config.nSharedExperts === 0 ? null : await keep(sharedExperts());
      return new DeepSeekMoE(prefix, router, experts, shared);
    });
  }

  /** F32 [tokens, hidden_size] to the same shape. */
  async forward(x: Tensor, { onRouting }: MoeForwardOptions = {}): Promise<Tensor> {
    const { backend } = this;
    const routing = this.router.forward(x);
    try {
      await onRouting?.(routing);
      using routed = await backend.experts(x, routing, this.experts);
      if (this.shared === null) return backend.reshape(routed, routed.shape);
      using shared = await this.shared.forward(x);
      return backend.binary('add', routed, shared);
    } finally {
      for (const tensor of Object.values(routing) as Tensor[]) tensor.dispose();
    }
  }

  protected override children(): readonly Layer[] {
    return this.shared ? [this.router, this.shared] : [this.router];
  }

  protected override ownParameters(): Parameter[] {
    const parameters = (name: string, weights: readonly Weight[]) =>
      weights.map((weight, expert) => weightParameter(expertName(this.#prefix, expert, name), weight));
    const { gate, up, down } = this.experts;
    return [...parameters('gate_proj', gate), ...parameters('up_proj', up), ...parameters('down_proj', down)];
  }

  override dispose(): void {
    super.dispose();
    for (const weights of Object.values(this.experts) as (readonly Weight[])[]) {
      for (const weight of weights) weight.dispose();
    }
  }
}

function expertName(prefix: string, expert: number, name: string): string {
  return `${prefix}.experts.${expert}.${name}.weight`;
}
