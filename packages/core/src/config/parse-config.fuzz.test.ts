/** Whatever JSON comes in, the reader answers with a config that hangs together or with one typed error. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countParameters } from '../accounting/count-parameters.ts';
import { expectedTensors } from '../accounting/expected-tensors.ts';
import { MarianaError } from '../errors.ts';
import { configToJson } from './config-to-json.ts';
import type { JsonObject } from './model-config.ts';
import { parseConfig } from './parse-config.ts';
import { deepseekV2Lite, deepseekV3, kimiK2, moonlight16bA3b } from './presets-published.ts';
import { bench1b, small, tiny, tinyMtp } from './presets-small.ts';
import { routerParameters, softmaxScale } from './semantics.ts';

/** Holds what every caller relies on, for a config or for the refusal of one. */
function check(json: unknown): 'read' | 'refused' {
  let config: ReturnType<typeof parseConfig>;
  try {
    config = parseConfig(json, { source: 'fuzz.json' });
  } catch (error) {
    expect(error).toBeInstanceOf(MarianaError);
    const { code, message, details } = error as MarianaError;
    expect(code).toMatch(/^CONFIG_(INVALID|UNSUPPORTED)$/);
    expect(message).toMatch(/^fuzz\.json: \S[^\n]*$/);
    expect(details.path).toMatch(/\S/);
    return 'refused';
  }
  for (const value of Object.values(config)) {
    if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true);
  }
  const parameters = countParameters(config);
  expect(Number.isSafeInteger(parameters.total)).toBe(true);
  expect(parameters.active).toBeGreaterThan(0);
  expect(parameters.active).toBeLessThanOrEqual(parameters.total);
  expect(softmaxScale(config)).toBeGreaterThan(0);
  if (config.nRoutedExperts > 0) {
    const router = routerParameters(config);
    const reachable = (router.nRoutedExperts / router.nGroup) * router.topkGroup;
    expect(Number.isInteger(router.nRoutedExperts / router.nGroup)).toBe(true);
    expect(router.numExpertsPerTok).toBeLessThanOrEqual(reachable);
  }
  let listed = 0;
  for (const { shape } of expectedTensors(config)) {
    expect(shape.every((size) => Number.isSafeInteger(size) && size > 0)).toBe(true);
    if (++listed === 50) break;
  }
  expect(parseConfig(configToJson(config))).toEqual(config);
  return 'read';
}

const bases: readonly JsonObject[] = [
  deepseekV3,
  deepseekV2Lite,
  moonlight16bA3b,
  kimiK2,
  bench1b,
  small,
  tiny,
  tinyMtp,
  { ...tiny, rope_parameters: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, rope_theta: 1e4 } },
];

const oddValue = fc.oneof(
  fc.constantFrom(
    ...[undefined, null, 0, -0, 1, -1, 0.5, 1.5, 2, 3, 7, 64, 1e9, 1e12, 2 ** 53, 1e308, -1e308],
    ...[Number.NaN, Number.POSITIVE_INFINITY, Number.MIN_VALUE, true, false, '', '64', 'yarn', 'softmax', 'e4m3'],
    ...[[], {}, [1], [[]], [null], [128, 128], ['DeepseekV3ForCausalLM'], { type: 'yarn' }, { quant_method: 'fp8' }],
  ),
  fc.integer({ min: -5, max: 600 }),
  fc.double(),
  fc.jsonValue({ maxDepth: 3 }),
  fc.anything({ maxDepth: 2, withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
);

/** A known config with up to four keys, at the top or one level down, replaced. */
const mutated = fc
  .tuple(
    fc.constantFrom(...bases),
    fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean(), oddValue), { minLength: 1, maxLength: 4 }),
  )
  .map(([base, changes]) => {
    const json: Record<string, unknown> = { ...base };
    for (const [which, inner, nested, value] of changes) {
      const keys = Object.keys(json);
      const key = keys[which % keys.length]!;
      const part = json[key];
      const innerKeys = typeof part === 'object' && part !== null ? Object.keys(part) : [];
      if (nested && innerKeys.length > 0 && !Array.isArray(part)) {
        json[key] = { ...(part as object), [innerKeys[inner % innerKeys.length]!]: value };
      } else {
        json[key] = value;
      }
    }
    return json;
  });

describe('parseConfig', () => {
  it('answers any value at all', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true }), (value) => {
        expect(check(value)).toBe('refused');
      }),
      { numRuns: 500 },
    );
  });

  it('answers any JSON under the known keys', () => {
    const keys = Object.keys({ ...deepseekV3, rope_parameters: null });
    const json = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 3 }));
    fc.assert(
      fc.property(json, (value) => void check({ ...value, model_type: 'deepseek_v3', architectures: null })),
      { numRuns: 500 },
    );
  });

  it('answers known configs with some keys replaced', () => {
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(mutated, (json) => {
        seen[check(json)]++;
      }),
      { numRuns: 3000 },
    );
    // Both answers must occur, or the mutations test nothing.
    expect(seen.read).toBeGreaterThan(100);
    expect(seen.refused).toBeGreaterThan(100);
  });

  it('answers a known config with each key replaced by each odd value', () => {
    const values = fc.sample(oddValue, { numRuns: 60, seed: 1 });
    for (const base of [deepseekV3, deepseekV2Lite]) {
      for (const key of Object.keys(base)) {
        for (const value of values) check({ ...base, [key]: value });
      }
    }
  });
});
