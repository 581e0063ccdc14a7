/**
 * The router: which experts each token goes to, and with what weights.
 *
 * Source: DeepSeek-V3 report, section 2.1.2; `Gate.forward` in DeepSeek's inference/model.py; TRAPS.md section 4.
 */
import {
  type ModelConfig,
  type Routing,
  type RoutingOptions,
  readVector,
  routerParameters,
  type Tensor,
} from '@mariana/core';
import { Layer, type LayerLoadOptions, type Weights } from './layer.ts';
import { Linear } from './linear.ts';
import { loadParts } from './load-parts.ts';

export class Router extends Layer {
  readonly options: RoutingOptions;
  readonly gate: Linear;
  #correctionBias: Tensor | null;

  /**
   * @param gate - [n_routed_experts, hidden_size].
   * @param correctionBias - F32 [n_routed_experts] (`e_score_correction_bias`), or null; the layer takes both over.
   */
  constructor(gate: Linear, correctionBias: Tensor | null, options: RoutingOptions) {
    super(gate.backend);
    this.gate = gate;
    this.#correctionBias = correctionBias;
    this.options = options;
  }

  /** Reads `model.layers.<layer>.mlp.gate`. */
  static async load(config: ModelConfig, weights: Weights, { layer, backend }: LayerLoadOptions): Promise<Router> {
    const at = `model.layers.${layer}.mlp.gate`;
    const { nRoutedExperts, numExpertsPerTok, ...rules } = routerParameters(config);
    const shape = [nRoutedExperts, config.hiddenSize] as const;
    return loadParts(async (keep) => {
      const gate = await keep(Linear.load(config, weights, `${at}.weight`, { shape, backend, precise: true }));
      const bias = rules.correctionBias
        ? await readVector(weights, `${at}.e_score_correction_bias`, nRoutedExperts, backend)
        : null;
      return new Router(gate, bias, {
        scoring: rules.scoring,
        topK: numExpertsPerTok,
        groups: rules.nGroup,
        topGroups: rules.topkGroup,
        groupScore: rules.groupScore,
        normalize: rules.normalize,
        scale: rules.scale,
      });
    });
  }

  /**
   * The bias that balances load, added to the scores for the choice only. No gradient reaches it, so it is not among the
   * parameters; setting it disposes the old one.
   */
  get correctionBias(): Tensor | null {
    return this.#correctionBias;
  }

  set correctionBias(bias: Tensor | null) {
    if (bias !== this.#correctionBias) this.#correctionBias?.dispose();
    this.#correctionBias = bias && this.backend.keep(bias);
  }

  /** Routes tokens: x F32 [tokens, hidden_size]. The caller owns the three tensors of the result. */
  forward(x: Tensor): Routing {
    return this.backend.scope(() => this.backend.route(this.gate.forward(x), this.#correctionBias, this.options));
  }

  protected override children(): readonly Layer[] {
    return [this.gate];
  }

  override dispose(): void {
    super.dispose();
    this.#correctionBias?.dispose();
  }
}
