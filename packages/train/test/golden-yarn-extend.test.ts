/** Rotary tables and softmax scale before and after context extension, against the fixture train-yarn-extend. */
import { reference } from '@mariana/backend-reference';
import { type JsonObject, type ModelConfig, parseConfig, preset, ropeParameters, softmaxScale } from '@mariana/core';
import { RotaryEmbedding } from '@mariana/layers';
import { describe, expect, it } from 'vitest';
import { extendContext } from '../src/index.ts';
import { expectRelative, expectWithin, Golden } from './support/golden.ts';

const golden = await Golden.open('train-yarn-extend');
const configs = await golden.config<Record<string, Record<string, JsonObject>>>();

/** A whole config with the keys that the fixture gives. */
function configOf(which: string, phase: string): ModelConfig {
  const { rope_scaling, ...keys } = configs[which]![phase]!;
  return parseConfig({ ...preset('deepseek-v3').raw, ...keys, rope_scaling: rope_scaling ?? null });
}

async function check(prefix: string, config: ModelConfig) {
  const backend = reference();
  const rotary = new RotaryEmbedding(ropeParameters(config));
  const frequencies = await golden.floats(`${prefix}.inv_freq`);
  for (const [i, frequency] of frequencies.entries()) {
    expectRelative(`${prefix}.inv_freq`, [rotary.inverseFrequencies[i]!], [frequency], 1e-6);
  }
  expectRelative('softmax_scale', [softmaxScale(config)], await golden.floats(`${prefix}.softmax_scale`), 1e-6);
  const positions = await golden.integers(`${prefix}.positions`);
  const half = frequencies.length;
  const [cos, sin] = [await golden.floats(`${prefix}.cos`), await golden.floats(`${prefix}.sin`)];
  for (const [row, position] of positions.entries()) {
    using tables = rotary.tables(backend, position, 1);
    expectWithin('cos', await tables.cos.read(), cos.subarray(row * half, (row + 1) * half), 2e-6);
    expectWithin('sin', await tables.sin.read(), sin.subarray(row * half, (row + 1) * half), 2e-6);
  }
}

describe.each(['v3', 'tiny'])('train-yarn-extend: %s', (which) => {
  const before = configOf(which, 'before');
  const [phase1, phase2] = [configOf(which, 'after_phase1'), configOf(which, 'after_phase2')];

  it('before', () => check(`${which}.before`, before));

  it('phase 1 and phase 2 have the same tables, longer ones only', async () => {
    const first = extendContext(before, { maxPositionEmbeddings: phase1.maxPositionEmbeddings });
    const second = extendContext(first, { maxPositionEmbeddings: phase2.maxPositionEmbeddings });
    expect(first.ropeScaling).toEqual(phase1.ropeScaling);
    expect(second.ropeScaling).toEqual(phase2.ropeScaling);
    expect(second.maxPositionEmbeddings).toBe(phase2.maxPositionEmbeddings);
    await check(`${which}.after`, first);
    await check(`${which}.after`, second);
  });
});

describe('refusals', () => {
  const config = configOf('tiny', 'before');
  const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });

  it('a length that does not grow, or that the factor cannot reach', () => {
    expect(() => extendContext(config, { maxPositionEmbeddings: 64 })).toThrow(invalid);
    expect(() => extendContext(config, { maxPositionEmbeddings: 64 * 40 + 1 })).toThrow(invalid);
    expect(extendContext(config, { maxPositionEmbeddings: 64 * 40 }).ropeScaling?.factor).toBe(40);
  });

  it('other YaRN settings than those the model was trained with', () => {
    const first = extendContext(config, { maxPositionEmbeddings: 512 });
    expect(() => extendContext(first, { maxPositionEmbeddings: 1024, factor: 20 })).toThrow(invalid);
  });
});
