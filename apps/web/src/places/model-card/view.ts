/**
 * What a model card shows, and how that is written into the address, so that it can be shared: a preset, what of its
 * config was changed, in the checkpoint's own words, and the reader's choices. Only what differs from the default is
 * written, and a config that was dropped in becomes the preset that it differs least from, and the differences.
 */
import {
  type JsonObject,
  type JsonValue,
  MarianaError,
  type ModelConfig,
  type PresetName,
  parseConfig,
  parseJson,
  preset,
  presetNames,
  publishedTraining,
} from '@mariana/core';

/** Keys of a config.json that a card depends on, all in the address under their own names. */
const CONFIG_KEYS = [
  'architectures',
  'model_type',
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'q_lora_rank',
  'kv_lora_rank',
  'qk_nope_head_dim',
  'qk_rope_head_dim',
  'v_head_dim',
  'max_position_embeddings',
  'n_routed_experts',
  'n_shared_experts',
  'num_experts_per_tok',
  'moe_intermediate_size',
  'first_k_dense_replace',
  'moe_layer_freq',
  'scoring_func',
  'topk_method',
  'n_group',
  'topk_group',
  'num_nextn_predict_layers',
  'tie_word_embeddings',
  'quantization_config',
] as const;

export type ConfigKey = (typeof CONFIG_KEYS)[number];

/** Formats of cached numbers. */
export const CACHE_DTYPES = ['bf16', 'e4m3', 'f32'] as const;
export type CacheDtype = (typeof CACHE_DTYPES)[number];

/** Longest context that a card reckons with: 128 K. */
export const LONGEST_CONTEXT = 131_072;

/** What a card shows. */
export interface CardView {
  readonly preset: PresetName;
  /** What to call a config that is no preset: the name of its file. Null for a preset. */
  readonly name: string | null;
  /** Keys that differ from the preset's; undefined stands for a key that the config has not. */
  readonly changes: Readonly<Partial<Record<ConfigKey, JsonValue | undefined>>>;
  /** Tokens of context, 1 to `LONGEST_CONTEXT`. */
  readonly context: number;
  /** Groups of the grouped attention that is compared with. */
  readonly groups: number;
  readonly cache: CacheDtype;
  /** Tokens to train on; null for what was published, or else 20 for each active parameter. */
  readonly tokens: number | null;
}

/** What is seen first. */
export const FIRST_VIEW: CardView = {
  preset: 'deepseek-v3',
  name: null,
  changes: {},
  context: LONGEST_CONTEXT,
  groups: 8,
  cache: 'bf16',
  tokens: null,
};

/** A view of a preset, with the choices of the one before. */
export function viewOfPreset(name: PresetName, before: CardView = FIRST_VIEW): CardView {
  return { ...before, preset: name, name: null, changes: {}, tokens: null };
}

/**
 * A view of a config.json as somebody dropped it in.
 *
 * @throws MarianaError `CONFIG_INVALID` with line and column if it is no JSON; what `parseConfig` throws.
 */
export function viewOfText(text: string, source: string, before: CardView = FIRST_VIEW): CardView {
  const json = parseText(text, source);
  const config = parseConfig(json, { source });
  const [closest] = presetNames
    .map((name) => ({ name, changes: differences(config.raw, preset(name).raw) }))
    .sort((a, b) => Object.keys(a.changes).length - Object.keys(b.changes).length);
  const { name, changes } = closest!;
  const isPreset = Object.keys(changes).length === 0;
  return { ...before, preset: name, name: isPreset ? null : source, changes, tokens: null };
}

function parseText(text: string, source: string): unknown {
  if (text.trim() === '') {
    throw new MarianaError('CONFIG_INVALID', `${source}: the file is empty; drop the config.json of a model here`);
  }
  try {
    return parseJson(text, source);
  } catch (cause) {
    const message = `${cause instanceof Error ? cause.message : String(cause)}; correct the file and drop it again`;
    throw new MarianaError('CONFIG_INVALID', message, { cause });
  }
}

/** Keys of `config` that are not as in `base`. */
function differences(config: JsonObject, base: JsonObject): CardView['changes'] {
  const changes: Partial<Record<ConfigKey, JsonValue | undefined>> = {};
  for (const key of CONFIG_KEYS) {
    if (JSON.stringify(config[key]) !== JSON.stringify(base[key])) changes[key] = config[key];
  }
  return changes;
}

/** A view with one key of its config changed; a value as the preset has it is no change. */
export function withChange(view: CardView, key: ConfigKey, value: JsonValue | undefined): CardView {
  const { [key]: _, ...others } = view.changes;
  const same = JSON.stringify(preset(view.preset).raw[key]) === JSON.stringify(value);
  return { ...view, changes: same ? others : { ...others, [key]: value } };
}

/**
 * The config that a view is of.
 *
 * @throws MarianaError what `parseConfig` throws, if the changes do not go together.
 */
export function configOf(view: CardView): ModelConfig {
  if (Object.keys(view.changes).length === 0) return preset(view.preset);
  const json: Record<string, JsonValue> = { ...preset(view.preset).raw };
  for (const [key, value] of Object.entries(view.changes)) {
    if (value === undefined) delete json[key];
    else json[key] = value;
  }
  return parseConfig(json, { source: titleOf(view) });
}

/** What to call the model. */
export function titleOf(view: CardView): string {
  if (view.name !== null) return view.name;
  return Object.keys(view.changes).length === 0 ? view.preset : `${view.preset}, changed`;
}

/** Whether the model is the preset itself, of which things were published. */
export function published(view: CardView) {
  return Object.keys(view.changes).length === 0 ? publishedTraining(view.preset) : null;
}

/** The view as parameters of an address. */
export function viewToParameters(view: CardView): URLSearchParams {
  const parameters = new URLSearchParams({ preset: view.preset });
  if (view.name !== null) parameters.set('name', view.name);
  for (const [key, value] of Object.entries(view.changes)) parameters.set(key, written(value));
  if (view.context !== FIRST_VIEW.context) parameters.set('context', String(view.context));
  if (view.groups !== FIRST_VIEW.groups) parameters.set('groups', String(view.groups));
  if (view.cache !== FIRST_VIEW.cache) parameters.set('cache', view.cache);
  if (view.tokens !== null) parameters.set('tokens', String(view.tokens));
  return parameters;
}

/**
 * The view of an address. Parameters that nobody knows are left alone.
 *
 * @throws MarianaError `USAGE` for a value that cannot be understood; the message names parameter and range.
 */
export function viewFromParameters(parameters: URLSearchParams): CardView {
  const changes: Partial<Record<ConfigKey, JsonValue | undefined>> = {};
  const name = choice(parameters, 'preset', presetNames, FIRST_VIEW.preset);
  for (const key of CONFIG_KEYS) {
    const text = parameters.get(key);
    if (text !== null) changes[key] = read(text);
  }
  const tokens = parameters.get('tokens');
  return {
    preset: name,
    name: parameters.get('name'),
    changes,
    context: whole(parameters, 'context', FIRST_VIEW.context, LONGEST_CONTEXT),
    groups: whole(parameters, 'groups', FIRST_VIEW.groups, 1 << 14),
    cache: choice(parameters, 'cache', CACHE_DTYPES, FIRST_VIEW.cache),
    tokens: tokens === null ? null : amount('tokens', tokens),
  };
}

/** Numbers and names stand as they are; what is left out is empty; all else is JSON. */
function written(value: JsonValue | undefined): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') return JSON.stringify(value);
  return value === '' || isJson(value) ? JSON.stringify(value) : value;
}

function read(text: string): JsonValue | undefined {
  if (text === '') return undefined;
  return isJson(text) ? (JSON.parse(text) as JsonValue) : text;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function choice<T extends string>(parameters: URLSearchParams, key: string, values: readonly T[], preset: T): T {
  const text = parameters.get(key) ?? preset;
  const found = values.find((value) => value === text);
  if (found !== undefined) return found;
  throw usage(key, text, `use one of ${values.join(', ')}`);
}

function whole(parameters: URLSearchParams, key: string, preset: number, most: number): number {
  const text = parameters.get(key);
  if (text === null) return preset;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw usage(key, text, `use a whole number from 1 to ${most}`);
}

function amount(key: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value > 0 && value <= 1e18) return value;
  throw usage(key, text, 'use a number above 0, at most 1e18');
}

function usage(key: string, value: string, advice: string): MarianaError {
  return new MarianaError('USAGE', `address, ${key}=${value}: this cannot be shown; ${advice}`, {
    details: { key, value },
  });
}
