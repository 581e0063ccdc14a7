/**
 * The config of a `deepseek2` GGUF file: the inverse of what llama.cpp's converter writes (conversion/base.py and
 * deepseek.py, `set_gguf_parameters`), with the rules by which its loader reads files of other ages
 * (src/models/deepseek2.cpp). The result is a config.json, parsed like any other.
 *
 * What a file does not say, and what is taken for it:
 * - the family. Sigmoid scores mean DeepSeek-V3's rules, softmax DeepSeek-V2's.
 * - `topk_method`. `noaux_tc` for sigmoid; for softmax `group_limited_greedy` if there is more than one group, else
 *   `greedy`. (llama.cpp ranks the groups of softmax models otherwise than DeepSeek does; here they are ranked as
 *   DeepSeek ranks them.)
 * - groups, in files from before llama.cpp knew them: one group, all experts.
 * - the epsilon of the two norms inside attention. llama.cpp uses `rms_norm_eps` for all norms; here it is 1e-6 as in
 *   the original implementations (`latentNormEps`).
 * - `mscale`. Files say `mscale_all_dim` only, as `yarn_log_multiplier`; the two are equal unless an `attn_factor` says
 *   otherwise. Without either key they are 1 and 0, the defaults of the config class.
 * - `moe_layer_freq` (1), `rope_interleave` (true: the converter keeps that order), `num_nextn_predict_layers` (0: the
 *   converter drops those layers), and what concerns training only.
 */

import type { JsonObject, ModelConfig } from '../../../config/model-config.ts';
import { parseConfig } from '../../../config/parse-config.ts';
import { MarianaError } from '../../../errors.ts';
import { quote } from '../../quote.ts';
import type { GgufFile } from '../gguf-file.ts';
import { MetadataKeys } from '../metadata-keys.ts';
import { mscalesOf } from './yarn.ts';

/** The architecture that llama.cpp calls DeepSeek-V2, V3, R1, Moonlight and Kimi-K2. */
export const ARCHITECTURE = 'deepseek2';

/** Keys of models that share the architecture's name but compute something else; 0 and absent mean "not used". */
const FOREIGN_KEYS = [
  ['attention.temperature_scale', 'attention temperature'],
  ['attention.indexer.top_k', 'sparse attention'],
  ['attention.sliding_window', 'sliding-window attention'],
  ['nextn_predict_layers', 'multi-token-prediction layers in a GGUF file'],
] as const;

const GATING_SOFTMAX = 1;
const GATING_SIGMOID = 2;

/**
 * The config of a `deepseek2` GGUF file.
 *
 * @param extra further keys of config.json, such as a `quantization_config`
 * @throws MarianaError `CONFIG_UNSUPPORTED` for another architecture or something that the family does not compute,
 *   `CONFIG_INVALID` for keys that are missing, absurd or contradict each other.
 */
export function configFromGguf(file: GgufFile, extra: JsonObject = {}): ModelConfig {
  const keys = new MetadataKeys(file.metadata, file.name);
  checkArchitecture(keys);
  const key = (name: string) => `${ARCHITECTURE}.${name}`;
  const whole = (name: string) => keys.whole(key(name));
  const needed = (name: string): number => {
    const value = whole(name);
    if (value === undefined) throw keys.invalid(key(name), 'a whole number');
    return value;
  };
  const heads = needed('attention.head_count');
  const rope = needed('rope.dimension_count');
  const layers = needed('block_count');
  const vocabulary = whole('vocab_size') ?? file.entry('token_embd.weight').shape[0] ?? 0;
  const experts = whole('expert_count') ?? 0;
  const gating = gatingOf(keys, whole('expert_gating_func') ?? 0, layers, vocabulary);
  const groups = whole('expert_group_count') || 1;
  const sigmoid = gating === GATING_SIGMOID;
  const json: JsonObject = {
    architectures: [sigmoid ? 'DeepseekV3ForCausalLM' : 'DeepseekV2ForCausalLM'],
    model_type: sigmoid ? 'deepseek_v3' : 'deepseek_v2',
    vocab_size: vocabulary,
    hidden_size: needed('embedding_length'),
    intermediate_size: needed('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    q_lora_rank: queryRank(file),
    kv_lora_rank: needed('attention.kv_lora_rank'),
    // Files from before the projections of keys and values were split have the head sizes under the plain names.
    qk_nope_head_dim: (whole('attention.key_length_mla') ?? needed('attention.key_length')) - rope,
    qk_rope_head_dim: rope,
    v_head_dim: whole('attention.value_length_mla') ?? needed('attention.value_length'),
    max_position_embeddings: needed('context_length'),
    rope_theta: keys.real(key('rope.freq_base')) ?? 10_000,
    rope_scaling: ropeScaling(keys),
    rms_norm_eps: keys.real(key('attention.layer_norm_rms_epsilon')) ?? 1e-6,
    n_routed_experts: experts || null,
    n_shared_experts: whole('expert_shared_count') ?? 0,
    num_experts_per_tok: experts === 0 ? null : needed('expert_used_count'),
    moe_intermediate_size: experts === 0 ? null : needed('expert_feed_forward_length'),
    first_k_dense_replace: Math.min(layers, whole('leading_dense_block_count') ?? 0),
    moe_layer_freq: 1,
    scoring_func: sigmoid ? 'sigmoid' : 'softmax',
    topk_method: sigmoid ? 'noaux_tc' : groups > 1 ? 'group_limited_greedy' : 'greedy',
    n_group: groups,
    topk_group: whole('expert_group_used_count') || 1,
    norm_topk_prob: keys.flag(key('expert_weights_norm')) ?? false,
    routed_scaling_factor: keys.real(key('expert_weights_scale')) || 1,
    num_nextn_predict_layers: 0,
    tie_word_embeddings: !file.has('output.weight'),
    hidden_act: 'silu',
    bos_token_id: keys.whole('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: endTokens(keys),
    ...extra,
  };
  return parseConfig(json, { source: file.name });
}

function checkArchitecture(keys: MetadataKeys): void {
  const architecture = keys.text('general.architecture');
  if (architecture === undefined) throw keys.invalid('general.architecture', quote(ARCHITECTURE));
  if (architecture !== ARCHITECTURE) {
    throw unsupported(keys, 'general.architecture', quote(architecture), `it loads ${quote(ARCHITECTURE)}`);
  }
  const splits = keys.whole('split.count') ?? 1;
  if (splits > 1) {
    throw unsupported(keys, 'split.count', String(splits), 'merge the parts with llama-gguf-split --merge first');
  }
  for (const [name, what] of FOREIGN_KEYS) {
    const value = keys.real(`${ARCHITECTURE}.${name}`) ?? 0;
    if (value !== 0) throw unsupported(keys, `${ARCHITECTURE}.${name}`, String(value), `${what} is not computed`);
  }
}

/** How experts are scored. Old files do not say: they are of DeepSeek-V2, but for one model, known by its size. */
function gatingOf(keys: MetadataKeys, gating: number, layers: number, vocabulary: number): number {
  if (gating === 0) return (layers === 47 || layers === 48) && vocabulary === 154_880 ? GATING_SIGMOID : GATING_SOFTMAX;
  if (gating === GATING_SOFTMAX || gating === GATING_SIGMOID) return gating;
  const key = `${ARCHITECTURE}.expert_gating_func`;
  throw unsupported(keys, key, String(gating), 'routers score by softmax (1) or sigmoid (2)');
}

/** The rank of the query's projection, which the tensors tell better than the key: that may be absent, or zero. */
function queryRank(file: GgufFile): number | null {
  const name = 'blk.0.attn_q_a.weight';
  return file.has(name) ? (file.entry(name).shape[0] ?? null) : null;
}

function ropeScaling(keys: MetadataKeys): JsonObject | null {
  const key = (name: string) => `${ARCHITECTURE}.rope.scaling.${name}`;
  const factor = keys.real(key('factor'));
  const type = keys.text(key('type')) ?? (factor === undefined || factor === 1 ? 'none' : 'linear');
  if (type === 'none') return null;
  if (type !== 'yarn')
    throw unsupported(keys, key('type'), quote(type), 'positions are scaled by "yarn" or not at all');
  const extrapolation = keys.real(key('yarn_ext_factor')) ?? 1;
  if (extrapolation !== 1) throw unsupported(keys, key('yarn_ext_factor'), String(extrapolation), 'it must be 1');
  const original = keys.whole(key('original_context_length'));
  if (factor === undefined) throw keys.invalid(key('factor'), 'a number');
  if (original === undefined) throw keys.invalid(key('original_context_length'), 'a whole number');
  const { mscale, mscaleAllDim } = mscalesOf(factor, {
    logMultiplier: keys.real(key('yarn_log_multiplier')),
    attentionFactor: keys.real(key('attn_factor')),
  });
  return {
    type: 'yarn',
    factor,
    original_max_position_embeddings: original,
    beta_fast: keys.real(key('yarn_beta_fast')) ?? 32,
    beta_slow: keys.real(key('yarn_beta_slow')) ?? 1,
    mscale,
    mscale_all_dim: mscaleAllDim,
  };
}

function endTokens(keys: MetadataKeys): number | readonly number[] | null {
  const ids = ['eos', 'eot', 'eom'].flatMap((name) => keys.whole(`tokenizer.ggml.${name}_token_id`) ?? []);
  const [first, ...rest] = new Set(ids);
  if (first === undefined) return null;
  return rest.length === 0 ? first : [first, ...rest];
}

function unsupported(keys: MetadataKeys, key: string, value: string, why: string): MarianaError {
  return new MarianaError('CONFIG_UNSUPPORTED', `${keys.source}: ${key} ${value} is not supported; ${why}`, {
    details: { source: keys.source, path: key, value },
  });
}
