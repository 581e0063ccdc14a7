/** Model configs by name. */
import { MarianaError } from '../errors.ts';
import type { JsonObject, ModelConfig } from './model-config.ts';
import { parseConfig } from './parse-config.ts';
import { deepseekV2Lite, deepseekV3, kimiK2, moonlight16bA3b } from './presets-published.ts';
import { bench1b, small, tiny, tinyMtp } from './presets-small.ts';

const PRESETS = {
  'deepseek-v3': deepseekV3,
  'deepseek-v2-lite': deepseekV2Lite,
  'moonlight-16b-a3b': moonlight16bA3b,
  'kimi-k2': kimiK2,
  'bench-1b': bench1b,
  small,
  'tiny-mtp': tinyMtp,
  tiny,
} as const satisfies Record<string, JsonObject>;

/** The name of a preset. */
export type PresetName = keyof typeof PRESETS;

/** Every preset, published models first, then from large to small. */
export const presetNames: readonly PresetName[] = Object.freeze(Object.keys(PRESETS) as PresetName[]);

/** Whether `name` is a preset. */
export function isPresetName(name: unknown): name is PresetName {
  return typeof name === 'string' && Object.hasOwn(PRESETS, name);
}

/**
 * The config of a preset.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a name that is not in `presetNames`.
 */
export function preset(name: PresetName): ModelConfig {
  if (!isPresetName(name)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `there is no preset ${JSON.stringify(name)}; there are ${presetNames.join(', ')}`,
      { details: { name, presetNames } },
    );
  }
  return parseConfig(PRESETS[name], { source: `preset ${name}` });
}
