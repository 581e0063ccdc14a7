/**
 * Reads a config.json: decides the family, checks each key (schema.ts), fills in the defaults of the family's own
 * config class, and refuses combinations that no model of the family computes. The rule for defaults: a key that
 * says how to compute has the default of the class in the model's published code; a key that says how big the model
 * is has none and must be there.
 */
import { countParameters } from '../accounting/count-parameters.ts';
import { MarianaError } from '../errors.ts';
import { modelFamily, unsupported } from './architecture.ts';
import { formatPath, frozenJson, invalidConfig, isJsonObject } from './json.ts';
import type { Fp8Quantization, IntegerQuantization, JsonObject, ModelConfig, ModelFamily } from './model-config.ts';
import { readRope } from './parse-rope.ts';
import { type ConfigKeys, configSchema, type QuantizationKeys } from './schema.ts';

/** Options of `parseConfig`. */
export interface ParseConfigOptions {
  /** What to call the file in messages. Default `config.json`. */
  source?: string;
}

/** A thousand times the largest model of the family; up to here byte and operation counts are exact in a double. */
const MAX_PARAMETERS = 1e15;

/** Defaults of configuration_deepseek.py as shipped with the checkpoints of either family. */
const FAMILY_DEFAULTS = {
  deepseek_v3: {
    firstKDenseReplace: 3,
    scoringFunc: 'sigmoid',
    topkMethod: 'noaux_tc',
    nGroup: 8,
    topkGroup: 4,
    normTopkProb: true,
    routedScalingFactor: 2.5,
  },
  deepseek_v2: {
    firstKDenseReplace: 0,
    scoringFunc: 'softmax',
    topkMethod: 'greedy',
    nGroup: 1,
    topkGroup: 1,
    normTopkProb: false,
    routedScalingFactor: 1,
  },
} as const satisfies Record<ModelFamily, object>;

/**
 * Parses the JSON of a config.json into a `ModelConfig`.
 *
 * Family: `DeepseekV3ForCausalLM` (V3, R1, V3.1, Moonlight, Kimi-K2) or `DeepseekV2ForCausalLM`; where `architectures`
 * is absent, `model_type` (`deepseek_v3`, `kimi_k2`, `deepseek_v2`) decides. An absent, null or zero `q_lora_rank`
 * means a plain `q_proj` (as DeepSeek's own inference code and vLLM read it). `n_routed_experts: null` or 0 means a
 * model without experts.
 *
 * @param json the parsed JSON; copied, never modified.
 * @throws MarianaError `CONFIG_INVALID` if a key is missing, absurd or contradicts another (`details.path` names it);
 *   `CONFIG_UNSUPPORTED` if the file is sound but describes a model that Mariana does not compute.
 */
export function parseConfig(json: unknown, options: ParseConfigOptions = {}): ModelConfig {
  const source = options.source ?? 'config.json';
  const raw = frozenJson(json, source);
  if (!isJsonObject(raw)) throw invalidConfig(source, [], raw, 'a JSON object');
  const { family, modelType } = modelFamily(raw, source);
  const keys = checkKeys(raw, source);
  refuseUnsupportedKeys(keys, source);
  const defaults = FAMILY_DEFAULTS[family];
  const config: ModelConfig = {
    family,
    modelType,
    vocabSize: keys.vocab_size,
    hiddenSize: keys.hidden_size,
    intermediateSize: keys.intermediate_size,
    numHiddenLayers: keys.num_hidden_layers,
    numAttentionHeads: keys.num_attention_heads,
    numKeyValueHeads: keys.num_key_value_heads ?? keys.num_attention_heads,
    qLoraRank: keys.q_lora_rank ? keys.q_lora_rank : null,
    kvLoraRank: keys.kv_lora_rank,
    qkNopeHeadDim: keys.qk_nope_head_dim,
    qkRopeHeadDim: keys.qk_rope_head_dim,
    vHeadDim: keys.v_head_dim,
    maxPositionEmbeddings: keys.max_position_embeddings,
    ...readRope(keys, source),
    ropeInterleave: keys.rope_interleave ?? true,
    rmsNormEps: keys.rms_norm_eps ?? 1e-6,
    ...readExperts(keys, source),
    firstKDenseReplace: keys.first_k_dense_replace ?? defaults.firstKDenseReplace,
    moeLayerFreq: keys.moe_layer_freq ?? 1,
    ...readRouter(keys, defaults, source),
    // An explicit null says "no groups"; only an absent key takes the family's default.
    nGroup: keys.n_group === undefined ? defaults.nGroup : (keys.n_group ?? 1),
    topkGroup: keys.topk_group === undefined ? defaults.topkGroup : (keys.topk_group ?? 1),
    normTopkProb: keys.norm_topk_prob ?? defaults.normTopkProb,
    routedScalingFactor: keys.routed_scaling_factor ?? defaults.routedScalingFactor,
    numNextnPredictLayers: keys.num_nextn_predict_layers ?? 0,
    tieWordEmbeddings: keys.tie_word_embeddings ?? false,
    hiddenAct: 'silu',
    initializerRange: keys.initializer_range ?? 0.02,
    auxLossAlpha: keys.aux_loss_alpha ?? 0.001,
    seqAux: keys.seq_aux ?? true,
    bosTokenId: keys.bos_token_id ?? null,
    eosTokenId: [keys.eos_token_id ?? []].flat(),
    dtype: keys.dtype ?? keys.torch_dtype ?? null,
    ...readQuantization(keys.quantization_config ?? null, source),
    raw,
  };
  checkCombinations(config, source);
  return config;
}

function checkKeys(raw: JsonObject, source: string): ConfigKeys {
  const result = configSchema.safeParse(raw);
  if (result.success) return result.data;
  const issues = result.error.issues;
  const first = issues[0]!;
  const value = first.path.reduce<unknown>(
    (part, key) =>
      typeof part === 'object' && part !== null ? (part as Record<PropertyKey, unknown>)[key] : undefined,
    raw,
  );
  const error = invalidConfig(source, first.path, value, first.message, result.error);
  if (issues.length === 1) throw error;
  const others = issues.slice(1).map((issue) => formatPath(issue.path));
  throw new MarianaError('CONFIG_INVALID', `${error.message} (also wrong: ${others.slice(0, 5).join(', ')})`, {
    cause: result.error,
    details: { ...error.details, others },
  });
}

function refuseUnsupportedKeys(keys: ConfigKeys, source: string): void {
  const { hidden_act: act } = keys;
  if (act !== undefined && act !== null && act !== 'silu') {
    throw unsupported(source, 'hidden_act', act, 'the family uses "silu"');
  }
  for (const key of ['attention_bias', 'mlp_bias'] as const) {
    if (keys[key]) throw unsupported(source, key, true, 'the projections of the family have no bias');
  }
}

/** Expert counts: needed, all of them, unless the file says that there are no experts. */
function readExperts(keys: ConfigKeys, source: string) {
  if (keys.n_routed_experts === undefined) {
    throw invalidConfig(source, ['n_routed_experts'], undefined, 'a whole number, or null for a model without experts');
  }
  if (!keys.n_routed_experts) {
    return { nRoutedExperts: 0, nSharedExperts: 0, numExpertsPerTok: 0, moeIntermediateSize: 0 };
  }
  if (keys.n_shared_experts === undefined) {
    throw invalidConfig(source, ['n_shared_experts'], undefined, 'a whole number, or null for none');
  }
  const needed = (key: 'num_experts_per_tok' | 'moe_intermediate_size'): number => {
    const value = keys[key];
    if (!value) throw invalidConfig(source, [key], value, 'a whole number above 0, since there are routed experts');
    return value;
  };
  return {
    nRoutedExperts: keys.n_routed_experts,
    nSharedExperts: keys.n_shared_experts ?? 0,
    numExpertsPerTok: needed('num_experts_per_tok'),
    moeIntermediateSize: needed('moe_intermediate_size'),
  };
}

function readRouter(
  keys: ConfigKeys,
  defaults: (typeof FAMILY_DEFAULTS)[ModelFamily],
  source: string,
): Pick<ModelConfig, 'scoringFunc' | 'topkMethod'> {
  const scoringFunc = keys.scoring_func ?? defaults.scoringFunc;
  // The config class of V2 spells its own default "gready", and files written from it carry that.
  const topkMethod = keys.topk_method === 'gready' ? 'greedy' : (keys.topk_method ?? defaults.topkMethod);
  if (scoringFunc !== 'sigmoid' && scoringFunc !== 'softmax') {
    throw unsupported(source, 'scoring_func', scoringFunc, 'the router scores by "sigmoid" or "softmax"');
  }
  if (topkMethod !== 'noaux_tc' && topkMethod !== 'greedy' && topkMethod !== 'group_limited_greedy') {
    throw unsupported(source, 'topk_method', topkMethod, 'it is "noaux_tc", "greedy" or "group_limited_greedy"');
  }
  if ((scoringFunc === 'sigmoid') !== (topkMethod === 'noaux_tc')) {
    throw unsupported(
      source,
      'topk_method',
      topkMethod,
      `with scoring_func "${scoringFunc}": the family pairs "sigmoid" with "noaux_tc", "softmax" with the others`,
    );
  }
  return { scoringFunc, topkMethod };
}

/** The one `quantization_config` is of one of two kinds. */
function readQuantization(
  keys: QuantizationKeys | null,
  source: string,
): Pick<ModelConfig, 'quantizationConfig' | 'integerQuantization'> {
  if (keys === null) return { quantizationConfig: null, integerQuantization: null };
  if (keys.quant_method === 'fp8') return { quantizationConfig: readFp8(keys, source), integerQuantization: null };
  if (keys.quant_method === 'mariana') {
    return { quantizationConfig: null, integerQuantization: readIntegers(keys, source) };
  }
  const why = 'packed weights are read in "fp8" or as converted by "mariana"';
  throw unsupported(source, 'quantization_config.quant_method', keys.quant_method, why);
}

function readIntegers(keys: QuantizationKeys, source: string): IntegerQuantization {
  const path = 'quantization_config';
  const { format, group_size: groupSize } = keys;
  if (format !== 'int8' && format !== 'int4') {
    throw invalidConfig(source, [path, 'format'], format, '"int8" or "int4"');
  }
  if (groupSize !== 32 && groupSize !== 64 && groupSize !== 128) {
    throw invalidConfig(source, [path, 'group_size'], groupSize, '32, 64 or 128');
  }
  return { quantMethod: 'mariana', format, groupSize };
}

function readFp8(keys: QuantizationKeys, source: string): Fp8Quantization {
  const path = 'quantization_config';
  if ((keys.fmt ?? 'e4m3') !== 'e4m3') throw unsupported(source, `${path}.fmt`, keys.fmt, 'FP8 weights are "e4m3"');
  if ((keys.activation_scheme ?? 'dynamic') !== 'dynamic') {
    throw unsupported(source, `${path}.activation_scheme`, keys.activation_scheme, 'activations are scaled "dynamic"');
  }
  const scaleFmt = keys.scale_fmt ?? null;
  if (scaleFmt !== null && scaleFmt !== 'ue8m0') {
    throw unsupported(source, `${path}.scale_fmt`, scaleFmt, 'it is "ue8m0" or absent');
  }
  if (!keys.weight_block_size) {
    throw invalidConfig(source, [path, 'weight_block_size'], keys.weight_block_size, 'rows and columns, as [128, 128]');
  }
  return {
    quantMethod: 'fp8',
    fmt: 'e4m3',
    activationScheme: 'dynamic',
    weightBlockSize: keys.weight_block_size,
    scaleFmt,
    modulesToNotConvert: keys.modules_to_not_convert ?? keys.ignored_layers ?? [],
  };
}

/** What no single key can show. */
function checkCombinations(config: ModelConfig, source: string): void {
  const refuse = (key: string, value: unknown, expected: string): never => {
    throw invalidConfig(source, [key], value, expected);
  };
  if (config.qkRopeHeadDim % 2 !== 0) {
    refuse('qk_rope_head_dim', config.qkRopeHeadDim, 'an even number, since dimensions rotate in pairs');
  }
  if (config.numKeyValueHeads !== config.numAttentionHeads) {
    refuse(
      'num_key_value_heads',
      config.numKeyValueHeads,
      `num_attention_heads (${config.numAttentionHeads}): latent attention has a key and a value per head`,
    );
  }
  if (config.nRoutedExperts > 0) checkGroups(config, refuse);
  const { total, mtp } = countParameters(config);
  if (total + (mtp?.own ?? 0) > MAX_PARAMETERS) {
    const expected = `sizes that make fewer than ${MAX_PARAMETERS} parameters, not ${total}`;
    throw invalidConfig(source, [], config.raw, expected);
  }
}

function checkGroups(config: ModelConfig, refuse: (key: string, value: unknown, expected: string) => never): void {
  const { nRoutedExperts, numExpertsPerTok, topkMethod } = config;
  const grouped = topkMethod !== 'greedy';
  const nGroup = grouped ? config.nGroup : 1;
  const topkGroup = grouped ? config.topkGroup : 1;
  if (nRoutedExperts % nGroup !== 0) {
    refuse('n_group', nGroup, `a divisor of n_routed_experts (${nRoutedExperts})`);
  }
  if (topkGroup > nGroup) refuse('topk_group', topkGroup, `at most n_group (${nGroup})`);
  const perGroup = nRoutedExperts / nGroup;
  if (topkMethod === 'noaux_tc' && nGroup > 1 && perGroup < 2) {
    refuse('n_group', nGroup, `groups of two experts or more (n_routed_experts is ${nRoutedExperts})`);
  }
  if (numExpertsPerTok > perGroup * topkGroup) {
    refuse('num_experts_per_tok', numExpertsPerTok, `at most ${perGroup * topkGroup}, the experts of the kept groups`);
  }
}
