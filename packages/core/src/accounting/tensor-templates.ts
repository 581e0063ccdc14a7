/**
 * Which tensors one part of a model is made of: names (Hugging Face's, below `model.layers.N.`) and shapes, as they
 * follow from the config. The list of a checkpoint's tensors, the count of parameters and the size of a file all come
 * from here, so they cannot disagree.
 */
import type { ModelConfig } from '../config/model-config.ts';
import { isMoeLayer, qkHeadDim } from '../config/semantics.ts';

/** What a tensor is, for accounting and for initialisation. */
export type TensorKind =
  | 'embedding'
  | 'head'
  | 'norm'
  | 'q_proj'
  | 'q_a_proj'
  | 'q_b_proj'
  | 'kv_a_proj'
  | 'kv_b_proj'
  | 'o_proj'
  | 'dense_mlp'
  | 'routed_expert'
  | 'shared_experts'
  | 'router'
  | 'router_bias'
  | 'eh_proj';

/** One tensor of a part, or one of each routed expert. */
export interface TensorTemplate {
  /** Name within its part, for example `self_attn.o_proj.weight`; of an expert: `gate_proj.weight`. */
  readonly suffix: string;
  /** [out_features, in_features] of a weight, [features] of a norm or bias. */
  readonly shape: readonly number[];
  readonly kind: TensorKind;
}

/**
 * Projections that may be stored in FP8, INT8 or INT4. DeepSeek keeps embedding, head, norms, router and `eh_proj` in
 * BF16 (README_WEIGHTS of DeepSeek-V3), and so does everything here.
 */
export function isQuantizable(kind: TensorKind): boolean {
  return QUANTIZABLE.has(kind);
}

const QUANTIZABLE: ReadonlySet<TensorKind> = new Set<TensorKind>([
  'q_proj',
  'q_a_proj',
  'q_b_proj',
  'kv_a_proj',
  'kv_b_proj',
  'o_proj',
  'dense_mlp',
  'routed_expert',
  'shared_experts',
]);

/** Everything in decoder layer `layer` but the routed experts, in checkpoint order, names below `model.layers.N.`. */
export function layerTemplates(config: ModelConfig, layer: number): TensorTemplate[] {
  const { hiddenSize } = config;
  return [
    norm('input_layernorm.weight', hiddenSize),
    ...attentionTemplates(config),
    norm('post_attention_layernorm.weight', hiddenSize),
    ...(isMoeLayer(config, layer) ? moeTemplates(config) : mlp(config, 'mlp.', config.intermediateSize, 'dense_mlp')),
  ];
}

/** One routed expert, names below `model.layers.N.mlp.experts.E.`. */
export function expertTemplates(config: ModelConfig): TensorTemplate[] {
  return mlp(config, '', config.moeIntermediateSize, 'routed_expert');
}

/** What a multi-token-prediction layer has before its decoder layer, names below `model.layers.N.`. */
export function mtpInputTemplates(config: ModelConfig): TensorTemplate[] {
  const { hiddenSize, vocabSize } = config;
  return [
    { suffix: 'embed_tokens.weight', shape: [vocabSize, hiddenSize], kind: 'embedding' },
    norm('enorm.weight', hiddenSize),
    norm('hnorm.weight', hiddenSize),
    { suffix: 'eh_proj.weight', shape: [hiddenSize, 2 * hiddenSize], kind: 'eh_proj' },
  ];
}

/** What a multi-token-prediction layer has after its decoder layer. */
export function mtpOutputTemplates(config: ModelConfig): TensorTemplate[] {
  return [
    norm('shared_head.norm.weight', config.hiddenSize),
    { suffix: 'shared_head.head.weight', shape: [config.vocabSize, config.hiddenSize], kind: 'head' },
  ];
}

function attentionTemplates(config: ModelConfig): TensorTemplate[] {
  const { hiddenSize, numAttentionHeads: heads, qLoraRank, kvLoraRank } = config;
  const queries = heads * qkHeadDim(config);
  const query: TensorTemplate[] =
    qLoraRank === null
      ? [{ suffix: 'self_attn.q_proj.weight', shape: [queries, hiddenSize], kind: 'q_proj' }]
      : [
          { suffix: 'self_attn.q_a_proj.weight', shape: [qLoraRank, hiddenSize], kind: 'q_a_proj' },
          norm('self_attn.q_a_layernorm.weight', qLoraRank),
          { suffix: 'self_attn.q_b_proj.weight', shape: [queries, qLoraRank], kind: 'q_b_proj' },
        ];
  return [
    ...query,
    {
      suffix: 'self_attn.kv_a_proj_with_mqa.weight',
      shape: [kvLoraRank + config.qkRopeHeadDim, hiddenSize],
      kind: 'kv_a_proj',
    },
    norm('self_attn.kv_a_layernorm.weight', kvLoraRank),
    {
      suffix: 'self_attn.kv_b_proj.weight',
      shape: [heads * (config.qkNopeHeadDim + config.vHeadDim), kvLoraRank],
      kind: 'kv_b_proj',
    },
    { suffix: 'self_attn.o_proj.weight', shape: [hiddenSize, heads * config.vHeadDim], kind: 'o_proj' },
  ];
}

function moeTemplates(config: ModelConfig): TensorTemplate[] {
  const templates: TensorTemplate[] = [
    { suffix: 'mlp.gate.weight', shape: [config.nRoutedExperts, config.hiddenSize], kind: 'router' },
  ];
  if (config.topkMethod === 'noaux_tc') {
    templates.push({
      suffix: 'mlp.gate.e_score_correction_bias',
      shape: [config.nRoutedExperts],
      kind: 'router_bias',
    });
  }
  if (config.nSharedExperts > 0) {
    const width = config.nSharedExperts * config.moeIntermediateSize;
    templates.push(...mlp(config, 'mlp.shared_experts.', width, 'shared_experts'));
  }
  return templates;
}

function mlp(config: ModelConfig, prefix: string, width: number, kind: TensorKind): TensorTemplate[] {
  return [
    { suffix: `${prefix}gate_proj.weight`, shape: [width, config.hiddenSize], kind },
    { suffix: `${prefix}up_proj.weight`, shape: [width, config.hiddenSize], kind },
    { suffix: `${prefix}down_proj.weight`, shape: [config.hiddenSize, width], kind },
  ];
}

function norm(suffix: string, width: number): TensorTemplate {
  return { suffix, shape: [width], kind: 'norm' };
}
