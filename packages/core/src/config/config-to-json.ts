/**
 * Writes a `ModelConfig` back as config.json. What came from a file goes back as it was, unknown keys and spelling
 * included; only what was changed since (`{ ...config, numHiddenLayers: 4 }`) is written over it.
 */
import { invalidConfig } from './json.ts';
import type {
  Fp8Quantization,
  IntegerQuantization,
  JsonObject,
  JsonValue,
  ModelConfig,
  YarnScaling,
} from './model-config.ts';
import { parseConfig } from './parse-config.ts';

/** Fields that are one key with the same value. */
const PLAIN_KEYS = {
  modelType: 'model_type',
  vocabSize: 'vocab_size',
  hiddenSize: 'hidden_size',
  intermediateSize: 'intermediate_size',
  numHiddenLayers: 'num_hidden_layers',
  numAttentionHeads: 'num_attention_heads',
  numKeyValueHeads: 'num_key_value_heads',
  qLoraRank: 'q_lora_rank',
  kvLoraRank: 'kv_lora_rank',
  qkNopeHeadDim: 'qk_nope_head_dim',
  qkRopeHeadDim: 'qk_rope_head_dim',
  vHeadDim: 'v_head_dim',
  maxPositionEmbeddings: 'max_position_embeddings',
  ropeInterleave: 'rope_interleave',
  rmsNormEps: 'rms_norm_eps',
  nRoutedExperts: 'n_routed_experts',
  nSharedExperts: 'n_shared_experts',
  numExpertsPerTok: 'num_experts_per_tok',
  moeIntermediateSize: 'moe_intermediate_size',
  firstKDenseReplace: 'first_k_dense_replace',
  moeLayerFreq: 'moe_layer_freq',
  scoringFunc: 'scoring_func',
  topkMethod: 'topk_method',
  nGroup: 'n_group',
  topkGroup: 'topk_group',
  normTopkProb: 'norm_topk_prob',
  routedScalingFactor: 'routed_scaling_factor',
  numNextnPredictLayers: 'num_nextn_predict_layers',
  tieWordEmbeddings: 'tie_word_embeddings',
  hiddenAct: 'hidden_act',
  initializerRange: 'initializer_range',
  auxLossAlpha: 'aux_loss_alpha',
  seqAux: 'seq_aux',
  bosTokenId: 'bos_token_id',
} as const satisfies Partial<Record<keyof ModelConfig, string>>;

const ARCHITECTURE = { deepseek_v3: 'DeepseekV3ForCausalLM', deepseek_v2: 'DeepseekV2ForCausalLM' } as const;

/**
 * The JSON of a config.json for `config`. `parseConfig(configToJson(config))` equals `config`, and for a config that
 * was read and not changed the result equals the JSON that was read.
 *
 * @throws MarianaError `CONFIG_INVALID` or `CONFIG_UNSUPPORTED` if a changed field made the config unsound.
 */
export function configToJson(config: ModelConfig): JsonObject {
  const before = parseConfig(config.raw);
  const json: Record<string, JsonValue> = { ...config.raw };
  const changed = (field: keyof ModelConfig): boolean =>
    JSON.stringify(config[field]) !== JSON.stringify(before[field]);
  for (const [field, key] of Object.entries(PLAIN_KEYS) as [keyof typeof PLAIN_KEYS, string][]) {
    if (changed(field)) json[key] = config[field];
  }
  if (changed('family')) {
    json.architectures = [ARCHITECTURE[config.family]];
    json.model_type = config.modelType;
  }
  if (changed('eosTokenId')) {
    json.eos_token_id = config.eosTokenId.length > 1 ? config.eosTokenId : (config.eosTokenId[0] ?? null);
  }
  if (changed('dtype')) json['dtype' in json ? 'dtype' : 'torch_dtype'] = config.dtype;
  if (changed('ropeTheta') || changed('ropeScaling')) {
    // One spelling, the one of the checkpoints; the other would now contradict it.
    delete json.rope_parameters;
    json.rope_theta = config.ropeTheta;
    json.rope_scaling = config.ropeScaling && ropeJson(config.ropeScaling);
  }
  if (changed('quantizationConfig') || changed('integerQuantization')) {
    json.quantization_config = quantizationOf(config);
  }
  return parseConfig(json, { source: 'changed config' }).raw;
}

function quantizationOf({ quantizationConfig: fp8, integerQuantization: integers }: ModelConfig): JsonObject | null {
  if (fp8 !== null && integers !== null) {
    const expected = 'FP8 or integers, not both';
    throw invalidConfig('changed config', ['quantization_config'], { fp8, integers }, expected);
  }
  return (fp8 && fp8Json(fp8)) ?? (integers && integersJson(integers));
}

function integersJson({ quantMethod, format, groupSize }: IntegerQuantization): JsonObject {
  return { quant_method: quantMethod, format, group_size: groupSize };
}

function ropeJson(scaling: YarnScaling): JsonObject {
  return {
    type: scaling.type,
    factor: scaling.factor,
    original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
    beta_fast: scaling.betaFast,
    beta_slow: scaling.betaSlow,
    mscale: scaling.mscale,
    mscale_all_dim: scaling.mscaleAllDim,
  };
}

function fp8Json(quantization: Fp8Quantization): JsonObject {
  return {
    activation_scheme: quantization.activationScheme,
    fmt: quantization.fmt,
    quant_method: quantization.quantMethod,
    weight_block_size: quantization.weightBlockSize,
    ...(quantization.scaleFmt ? { scale_fmt: quantization.scaleFmt } : {}),
    ...(quantization.modulesToNotConvert.length ? { modules_to_not_convert: quantization.modulesToNotConvert } : {}),
  };
}
