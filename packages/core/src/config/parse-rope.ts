/**
 * Reads the two spellings of rotary settings: `rope_theta` with `rope_scaling` (the checkpoints), and
 * `rope_parameters`, which holds both (newer transformers). A file that has both spellings must say the same twice.
 */
import { unsupported } from './architecture.ts';
import { invalidConfig } from './json.ts';
import type { ModelConfig, YarnScaling } from './model-config.ts';
import type { ConfigKeys, RopeKeys } from './schema.ts';

type Rope = Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'>;

/** Base of the rotary frequencies where the file gives none, in every config class of the family. */
const DEFAULT_THETA = 10_000;

/**
 * @throws MarianaError `CONFIG_INVALID` for a missing or contradictory key, `CONFIG_UNSUPPORTED` for a scaling other
 *   than YaRN.
 */
export function readRope(keys: ConfigKeys, source: string): Rope {
  const thetas: [string, number][] = [];
  const scalings: [string, YarnScaling | null][] = [];
  if (typeof keys.rope_theta === 'number') thetas.push(['rope_theta', keys.rope_theta]);
  for (const key of ['rope_scaling', 'rope_parameters'] as const) {
    const rope = keys[key];
    if (!rope) continue;
    if (typeof rope.rope_theta === 'number') thetas.push([`${key}.rope_theta`, rope.rope_theta]);
    scalings.push([key, readScaling(rope, key, source)]);
  }
  return {
    ropeTheta: agreed(thetas, source) ?? DEFAULT_THETA,
    ropeScaling: agreed(scalings, source) ?? null,
  };
}

/** The one value that all spellings give. */
function agreed<T>(values: readonly (readonly [string, T])[], source: string): T | undefined {
  const [first, ...rest] = values;
  for (const [key, value] of rest) {
    if (JSON.stringify(value) !== JSON.stringify(first![1])) {
      throw invalidConfig(source, key.split('.'), value, `the same as ${first![0]}; keep one of the two`);
    }
  }
  return first?.[1];
}

function readScaling(rope: RopeKeys, key: 'rope_scaling' | 'rope_parameters', source: string): YarnScaling | null {
  const type = rope.type ?? rope.rope_type;
  if (type === null || type === undefined) {
    throw invalidConfig(source, [key, key === 'rope_scaling' ? 'type' : 'rope_type'], type, '"yarn" or "default"');
  }
  if (typeof rope.rope_type === 'string' && rope.rope_type !== type) {
    throw invalidConfig(source, [key, 'rope_type'], rope.rope_type, `the same as ${key}.type (${type})`);
  }
  if (type === 'default') return null;
  if (type !== 'yarn') throw unsupported(source, `${key}.type`, type, 'positions are scaled by "yarn" or not at all');
  // Extensions of newer transformers that no checkpoint of the family uses, and that would change the numbers.
  if (typeof rope.attention_factor === 'number') {
    throw unsupported(source, `${key}.attention_factor`, rope.attention_factor, 'mscale and mscale_all_dim give it');
  }
  if (rope.truncate === false) {
    throw unsupported(source, `${key}.truncate`, false, 'the bounds of the ramp are whole numbers in this family');
  }
  const needed = (name: 'factor' | 'original_max_position_embeddings'): number => {
    const value = rope[name];
    if (typeof value !== 'number')
      throw invalidConfig(source, [key, name], value, 'a number, since the type is "yarn"');
    return value;
  };
  const scaling: YarnScaling = {
    type: 'yarn',
    factor: needed('factor'),
    originalMaxPositionEmbeddings: needed('original_max_position_embeddings'),
    betaFast: rope.beta_fast ?? 32,
    betaSlow: rope.beta_slow ?? 1,
    mscale: rope.mscale ?? 1,
    mscaleAllDim: rope.mscale_all_dim ?? 0,
  };
  if (scaling.betaSlow > scaling.betaFast) {
    throw invalidConfig(source, [key, 'beta_slow'], scaling.betaSlow, `at most beta_fast (${scaling.betaFast})`);
  }
  return scaling;
}
