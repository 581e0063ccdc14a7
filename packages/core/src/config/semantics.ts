/**
 * What a config means: which layers hold experts, how the router turns scores into weights, how scores in attention
 * are scaled and positions rotated. Published implementations differ in details here; each function says which one it
 * follows. "HUB" is the modeling_deepseek.py shipped with the checkpoints, "HF" the class in transformers, "DS" the
 * inference code of the DeepSeek-V3 repository.
 */
import { MarianaError } from '../errors.ts';
import type { ModelConfig, YarnScaling } from './model-config.ts';

/**
 * Epsilon of `q_a_layernorm` and `kv_a_layernorm`. HUB and HF construct these two norms with the class default, not
 * with `rms_norm_eps`; the two differ in Moonlight (1e-5). DS has 1e-6 everywhere.
 */
export const latentNormEps = 1e-6;

/**
 * Whether decoder layer `layer` has routed experts (else a dense feed-forward). Layers from `numHiddenLayers` on are
 * the multi-token-prediction ones, which follow the same rule. As in HUB; HF and DS leave `moe_layer_freq` out, and it
 * is 1 in every published checkpoint.
 */
export function isMoeLayer(config: ModelConfig, layer: number): boolean {
  return config.nRoutedExperts > 0 && layer >= config.firstKDenseReplace && layer % config.moeLayerFreq === 0;
}

/**
 * Decoder layers in the file: those of the main model and, after them, the multi-token-prediction ones.
 */
export function layerCount(config: ModelConfig): number {
  return config.numHiddenLayers + config.numNextnPredictLayers;
}

/** Query and key dimensions of a head: `qkNopeHeadDim + qkRopeHeadDim`. */
export function qkHeadDim(config: ModelConfig): number {
  return config.qkNopeHeadDim + config.qkRopeHeadDim;
}

/** How the router of one MoE layer works; see `routerParameters`. */
export interface RouterParameters {
  readonly nRoutedExperts: number;
  readonly numExpertsPerTok: number;
  /** Over all experts of the layer: sigmoid of each logit, or softmax. */
  readonly scoring: 'sigmoid' | 'softmax';
  /** Whether `e_score_correction_bias` is added to the scores for choosing (never for weighing): `noaux_tc`. */
  readonly correctionBias: boolean;
  /** Groups of neighbouring experts; 1 means that a token may choose from all. */
  readonly nGroup: number;
  /** Best groups kept; experts of the others count as minus infinity. */
  readonly topkGroup: number;
  /** A group's score: the sum of its two best biased scores, or its best score. */
  readonly groupScore: 'top2' | 'max';
  /** Whether the chosen scores are divided by their sum. */
  readonly normalize: boolean;
  /** Added to that sum, so that scores which all underflow give zero weights and not NaN. */
  readonly normalizeEpsilon: number;
  /** Factor on the weights, after normalising. */
  readonly scale: number;
}

/**
 * The router's rules.
 *
 * Weights: for `sigmoid` they are normalised whenever `norm_topk_prob` says so and then scaled (HF; HUB would not
 * normalise a single expert, DS always normalises). For `softmax` they are normalised only if `norm_topk_prob` and more
 * than one expert is chosen, and then NOT scaled (HUB; DS never normalises, HF ignores the key). Published configs meet
 * none of these differences: `sigmoid` comes with `norm_topk_prob: true` and several experts, `softmax` with `false`.
 *
 * `greedy` takes no notice of groups, whatever `n_group` says.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a model without experts.
 */
export function routerParameters(config: ModelConfig): RouterParameters {
  if (config.nRoutedExperts === 0) {
    throw new MarianaError('INVALID_ARGUMENT', 'this config has no router: n_routed_experts is 0');
  }
  const sigmoid = config.scoringFunc === 'sigmoid';
  const normalize = config.normTopkProb && (sigmoid || config.numExpertsPerTok > 1);
  const grouped = config.topkMethod !== 'greedy';
  return {
    nRoutedExperts: config.nRoutedExperts,
    numExpertsPerTok: config.numExpertsPerTok,
    scoring: config.scoringFunc,
    correctionBias: config.topkMethod === 'noaux_tc',
    nGroup: grouped ? config.nGroup : 1,
    topkGroup: grouped ? config.topkGroup : 1,
    groupScore: config.topkMethod === 'noaux_tc' ? 'top2' : 'max',
    normalize,
    normalizeEpsilon: 1e-20,
    scale: normalize && !sigmoid ? 1 : config.routedScalingFactor,
  };
}

/** How positions rotate; see `ropeParameters`. */
export interface RopeParameters {
  /** Base of the frequencies: theta^(-2i/dim) for i < dim/2. */
  readonly theta: number;
  /** Dimensions rotated, `qk_rope_head_dim`. */
  readonly dim: number;
  /** Pairs are (2i, 2i+1) in the checkpoint's order; false: (i, i + dim/2). */
  readonly interleave: boolean;
  /** YaRN scaling of the frequencies, or null. It applies whatever the length of the prompt. */
  readonly scaling: YarnScaling | null;
  /** Factor on cos and sin: m(mscale) / m(mscale_all_dim), 1 without YaRN. As HUB. */
  readonly attentionFactor: number;
}

/** How positions rotate, in attention of every layer. */
export function ropeParameters(config: ModelConfig): RopeParameters {
  const scaling = config.ropeScaling;
  return {
    theta: config.ropeTheta,
    dim: config.qkRopeHeadDim,
    interleave: config.ropeInterleave,
    scaling,
    attentionFactor: scaling
      ? yarnMagnitude(scaling.factor, scaling.mscale) / yarnMagnitude(scaling.factor, scaling.mscaleAllDim)
      : 1,
  };
}

/** YaRN's m(a) = 0.1 a ln(factor) + 1, or 1 for a factor of at most 1 (YaRN paper, section 3.4). */
export function yarnMagnitude(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/**
 * Factor on attention scores before softmax: (nope + rope)^-0.5, times m(mscale_all_dim)^2 under YaRN. As HUB and DS;
 * transformers' own DeepSeek-V2 class leaves the square out.
 */
export function softmaxScale(config: ModelConfig): number {
  const scale = qkHeadDim(config) ** -0.5;
  const scaling = config.ropeScaling;
  return scaling ? scale * yarnMagnitude(scaling.factor, scaling.mscaleAllDim) ** 2 : scale;
}
