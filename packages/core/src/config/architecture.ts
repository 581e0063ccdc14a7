/**
 * Decides whether a config.json is one of ours, before its numbers are read. `architectures` speaks first, because
 * models exist that differ from their neighbours only there; `model_type` decides where it is silent. Models that
 * borrow a known name but attend differently (sparse indexers, plain multi-head attention, sliding windows) are
 * refused here: loading them would give fluent nonsense.
 */
import { MarianaError } from '../errors.ts';
import { invalidConfig, isJsonObject, showValue } from './json.ts';
import type { JsonObject, ModelFamily } from './model-config.ts';

const FAMILY_OF_MODEL_TYPE: ReadonlyMap<string, ModelFamily> = new Map([
  ['deepseek_v3', 'deepseek_v3'],
  ['deepseek_v2', 'deepseek_v2'],
  ['kimi_k2', 'deepseek_v3'],
]);

const FAMILY_OF_ARCHITECTURE: ReadonlyMap<string, ModelFamily> = new Map([
  ['DeepseekV3ForCausalLM', 'deepseek_v3'],
  ['DeepseekV2ForCausalLM', 'deepseek_v2'],
]);

/** The `model_type` values that Mariana loads. */
export const supportedModelTypes: readonly string[] = [...FAMILY_OF_MODEL_TYPE.keys()];

/** The `architectures` entries that Mariana loads. */
export const supportedArchitectures: readonly string[] = [...FAMILY_OF_ARCHITECTURE.keys()];

/**
 * The family of a config, from `architectures` and `model_type`.
 *
 * @throws MarianaError `CONFIG_INVALID` if neither key is usable, `CONFIG_UNSUPPORTED` for a model of another kind.
 */
export function modelFamily(raw: JsonObject, source: string): { family: ModelFamily; modelType: string } {
  const architecture = firstArchitecture(raw, source);
  const modelType = raw.model_type ?? null;
  if (modelType !== null && (typeof modelType !== 'string' || modelType === '')) {
    throw invalidConfig(source, ['model_type'], modelType, `one of ${supportedModelTypes.join(', ')}`);
  }
  if (modelType === null && architecture === null) {
    throw invalidConfig(source, ['model_type'], undefined, `one of ${supportedModelTypes.join(', ')}`);
  }
  if (modelType !== null && !FAMILY_OF_MODEL_TYPE.has(modelType)) {
    throw unsupported(source, 'model_type', modelType, `it loads ${supportedModelTypes.join(', ')}`);
  }
  if (architecture !== null && !FAMILY_OF_ARCHITECTURE.has(architecture)) {
    throw unsupported(source, 'architectures', architecture, `it loads ${supportedArchitectures.join(', ')}`);
  }
  refuseOtherAttention(raw, source);
  const family = FAMILY_OF_ARCHITECTURE.get(architecture ?? '') ?? FAMILY_OF_MODEL_TYPE.get(modelType ?? '')!;
  return { family, modelType: modelType ?? family };
}

function firstArchitecture(raw: JsonObject, source: string): string | null {
  const list = raw.architectures ?? null;
  if (list === null) return null;
  const expected = `a list with one of ${supportedArchitectures.join(', ')}`;
  if (!Array.isArray(list)) throw invalidConfig(source, ['architectures'], list, expected);
  if (list.length > 1) throw invalidConfig(source, ['architectures'], list, expected);
  const first: unknown = list[0];
  if (first === undefined) return null;
  if (typeof first !== 'string') throw invalidConfig(source, ['architectures', 0], first, expected);
  return first;
}

/** Keys by which other attention mechanisms show themselves under a familiar model type. */
function refuseOtherAttention(raw: JsonObject, source: string): void {
  if (raw.use_mla === false) {
    throw unsupported(source, 'use_mla', false, 'it needs multi-head latent attention');
  }
  for (const key of ['index_topk', 'index_n_heads', 'index_head_dim']) {
    if (typeof raw[key] === 'number' && raw[key] > 0) {
      throw unsupported(source, key, raw[key], 'sparse attention (DeepSeek-V3.2) is not among what it computes');
    }
  }
  for (const key of ['sliding_window', 'linear_attn_config']) {
    const value = raw[key];
    if ((typeof value === 'number' && value > 0 && raw.use_sliding_window !== false) || isJsonObject(value)) {
      throw unsupported(source, key, value, 'every layer must attend to the whole context');
    }
  }
  const layerTypes = raw.layer_types;
  if (Array.isArray(layerTypes)) {
    const other: unknown = layerTypes.find((type) => type !== 'full_attention');
    if (other !== undefined) {
      throw unsupported(source, 'layer_types', other, 'every layer must attend to the whole context');
    }
  }
}

/** One `CONFIG_UNSUPPORTED`: a well-formed config of something that Mariana does not compute. */
export function unsupported(source: string, path: string, value: unknown, why: string): MarianaError {
  return new MarianaError('CONFIG_UNSUPPORTED', `${source}: ${path} ${showValue(value)} is not supported; ${why}`, {
    details: { source, path, value },
  });
}
