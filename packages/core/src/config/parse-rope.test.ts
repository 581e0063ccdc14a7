import { describe, expect, it } from 'vitest';
import { failure } from './fixtures/failure.ts';
import type { JsonValue } from './model-config.ts';
import { parseConfig } from './parse-config.ts';
import { tiny } from './presets-small.ts';

describe('rotary settings', () => {
  const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 };
  const { rope_theta: _, rope_scaling: __, ...plain } = tiny;

  it('are read from rope_parameters, as newer transformers writes them', () => {
    expect(parseConfig({ ...plain, rope_parameters: { ...yarn, rope_theta: 500 } })).toMatchObject({
      ropeTheta: 500,
      ropeScaling: { factor: 4, betaFast: 32, betaSlow: 1, mscale: 1, mscaleAllDim: 0 },
    });
    expect(parseConfig({ ...plain, rope_parameters: { rope_type: 'default', rope_theta: 77 } })).toMatchObject({
      ropeTheta: 77,
      ropeScaling: null,
    });
  });

  it('may be said twice, but not differently', () => {
    const both = { ...plain, rope_theta: 500, rope_scaling: yarn, rope_parameters: { ...yarn, rope_theta: 500 } };
    expect(parseConfig(both).ropeTheta).toBe(500);
    expect(failure({ ...both, rope_theta: 600 }).details.path).toBe('rope_parameters.rope_theta');
    expect(failure({ ...both, rope_scaling: { ...yarn, factor: 8 } }).details.path).toBe('rope_parameters');
    expect(failure({ ...plain, rope_scaling: { ...yarn, type: 'default' } }).details.path).toBe(
      'rope_scaling.rope_type',
    );
  });

  it.each<[string, JsonValue]>([
    ['rope_scaling.type', { factor: 4 }],
    ['rope_scaling.factor', { type: 'yarn', original_max_position_embeddings: 64 }],
    ['rope_scaling.factor', { ...yarn, factor: -3 }],
    ['rope_scaling.factor', { ...yarn, factor: '4' }],
    ['rope_scaling.original_max_position_embeddings', { type: 'yarn', factor: 4 }],
    ['rope_scaling.original_max_position_embeddings', { ...yarn, original_max_position_embeddings: 0.5 }],
    ['rope_scaling.beta_fast', { ...yarn, beta_fast: 0 }],
    ['rope_scaling.beta_slow', { ...yarn, beta_slow: 64 }],
    ['rope_scaling.mscale', { ...yarn, mscale: 'one' }],
    ['rope_scaling', 'yarn'],
    ['rope_theta', 1],
  ])('are refused at %s', (path, value) => {
    const error = failure(path === 'rope_theta' ? { ...tiny, rope_theta: value } : { ...tiny, rope_scaling: value });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.details.path).toBe(path);
    expect(error.message).toContain(path);
  });

  it.each<[string, JsonValue]>([
    ['rope_scaling.type', { type: 'linear', factor: 4 }],
    ['rope_scaling.type', { rope_type: 'llama3', factor: 4 }],
    ['rope_scaling.attention_factor', { ...yarn, attention_factor: 1.2 }],
    ['rope_scaling.truncate', { ...yarn, truncate: false }],
  ])('of another kind are not supported: %s', (path, value) => {
    const error = failure({ ...tiny, rope_scaling: value });
    expect(error.code).toBe('CONFIG_UNSUPPORTED');
    expect(error.details.path).toBe(path);
  });
});
