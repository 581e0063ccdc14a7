import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/parse-config.ts';
import { preset } from '../config/presets.ts';
import { tiny } from '../config/presets-small.ts';
import { countParameters } from './count-parameters.ts';
import { expectedTensors } from './expected-tensors.ts';
import { flopsPerToken, trainingFlopsPerToken } from './flops.ts';

describe('flopsPerToken', () => {
  // By hand, in multiply-adds a token: q_a 64*48 + q_b 48*96 + kv_a 64*40 + o 64*64 = 14,336 a layer; kv_b 4*32*32 =
  // 4,096 a layer; a dense layer 3*64*128 = 24,576, an MoE layer 3*64*32*(3 routed + 1 shared) = 24,576 and its
  // router 64*8; head 64*256.
  const parts = {
    projections: 2 * 3 * 14_336,
    feedForward: 2 * 3 * 24_576,
    router: 2 * 2 * 512,
    head: 2 * 16_384,
  };

  it('of tiny in prefill: each token is expanded once and sees half of the prompt', () => {
    const naive = flopsPerToken(preset('tiny'), { contextLength: 9, phase: 'prefill', form: 'naive' });
    // 4 heads * (24 + 16) numbers * 5 keys on average, in 3 layers.
    expect(naive).toEqual({ ...parts, latent: 2 * 3 * 4096, attention: 2 * 3 * 800, total: 297_664 });
  });

  it('of tiny in decode: naive expands the whole context again, absorbed reads it as it lies', () => {
    const config = preset('tiny');
    const naive = flopsPerToken(config, { contextLength: 10, phase: 'decode', form: 'naive' });
    expect(naive).toMatchObject({ ...parts, latent: 2 * 3 * 4096 * 10, attention: 2 * 3 * 4 * 40 * 10 });
    const absorbed = flopsPerToken(config, { contextLength: 10, phase: 'decode', form: 'absorbed' });
    expect(absorbed).toMatchObject({ ...parts, latent: 2 * 3 * 4096, attention: 2 * 3 * 4 * (40 + 32) * 10 });
  });

  it('costs V3 1088 multiply-adds a head and pair absorbed, 320 naive', () => {
    const config = preset('deepseek-v3');
    const pairs = 61 * 128 * 1000;
    const attention = (form: 'naive' | 'absorbed'): number =>
      flopsPerToken(config, { contextLength: 1000, phase: 'decode', form }).attention;
    expect(attention('absorbed')).toBe(2 * 1088 * pairs);
    expect(attention('naive')).toBe(2 * 320 * pairs);
  });

  it('is two operations a parameter that is active and multiplies, but for attention itself', () => {
    for (const name of ['deepseek-v3', 'deepseek-v2-lite', 'bench-1b', 'tiny'] as const) {
      const config = preset(name);
      const { total, attention } = flopsPerToken(config, { contextLength: 1, phase: 'decode', form: 'absorbed' });
      const { active, norms } = countParameters(config);
      let biases = 0;
      for (const { kind, mtp, shape } of expectedTensors(config)) {
        if (kind === 'router_bias' && !mtp) biases += shape[0]!;
      }
      expect(total - attention).toBe(2 * (active - norms - biases));
    }
  });

  it('follows the query projection and the layers without experts', () => {
    const options = { contextLength: 1, phase: 'prefill', form: 'naive' } as const;
    const direct = flopsPerToken(parseConfig({ ...tiny, q_lora_rank: null }), options);
    expect(direct.projections).toBe(2 * 3 * (64 * 96 + 64 * 40 + 64 * 64));
    const dense = flopsPerToken(parseConfig({ ...tiny, n_routed_experts: null }), options);
    expect(dense).toMatchObject({ router: 0, feedForward: 2 * 3 * 24_576 });
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses a context of %s tokens', (contextLength) => {
    expect(() => flopsPerToken(preset('tiny'), { contextLength, phase: 'decode', form: 'naive' })).toThrow(
      /context of/,
    );
  });
});

describe('trainingFlopsPerToken', () => {
  it('is three times the forward pass', () => {
    expect(trainingFlopsPerToken(preset('tiny'), { sequenceLength: 9 })).toBe(3 * 297_664);
  });

  it('includes the prediction layer, its eh_proj and its head', () => {
    // tiny-mtp has the layers of tiny, the last of them as its prediction layer.
    const forward = 297_664 + 2 * 64 * 128 + 2 * 64 * 256;
    expect(trainingFlopsPerToken(preset('tiny-mtp'), { sequenceLength: 9 })).toBe(3 * forward);
  });
});
