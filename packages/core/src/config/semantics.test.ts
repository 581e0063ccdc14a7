import { describe, expect, it } from 'vitest';
import { MarianaError } from '../errors.ts';
import { parseConfig } from './parse-config.ts';
import { preset } from './presets.ts';
import { deepseekV2Lite } from './presets-published.ts';
import { tiny } from './presets-small.ts';
import { isMoeLayer, latentNormEps, layerCount, ropeParameters, routerParameters, softmaxScale } from './semantics.ts';

describe('layers', () => {
  it('are dense first, and hold experts after, the prediction layer included', () => {
    const config = preset('deepseek-v3');
    expect([0, 2, 3, 60, 61].map((layer) => isMoeLayer(config, layer))).toEqual([false, false, true, true, true]);
    expect(layerCount(config)).toBe(62);
  });

  it('hold experts at multiples of moe_layer_freq', () => {
    const config = parseConfig({ ...tiny, num_hidden_layers: 6, moe_layer_freq: 2 });
    expect([0, 1, 2, 3, 4, 5].filter((layer) => isMoeLayer(config, layer))).toEqual([2, 4]);
  });

  it('never hold experts in a model without', () => {
    const config = parseConfig({ ...tiny, n_routed_experts: null });
    expect(isMoeLayer(config, 2)).toBe(false);
    expect(() => routerParameters(config)).toThrow(MarianaError);
  });

  it('norm the latents with the class default, whatever rms_norm_eps is', () => {
    expect(preset('moonlight-16b-a3b').rmsNormEps).toBe(1e-5);
    expect(latentNormEps).toBe(1e-6);
  });
});

describe('routerParameters', () => {
  it('of V3: biased sigmoid scores, best two of a group, normalised, then scaled', () => {
    expect(routerParameters(preset('deepseek-v3'))).toEqual({
      nRoutedExperts: 256,
      numExpertsPerTok: 8,
      scoring: 'sigmoid',
      correctionBias: true,
      nGroup: 8,
      topkGroup: 4,
      groupScore: 'top2',
      normalize: true,
      normalizeEpsilon: 1e-20,
      scale: 2.5,
    });
  });

  it('of V2: softmax scores as they are, best one of a group, scaled', () => {
    const limited = {
      ...deepseekV2Lite,
      topk_method: 'group_limited_greedy',
      n_group: 8,
      topk_group: 3,
      routed_scaling_factor: 16,
    };
    expect(routerParameters(parseConfig(limited))).toMatchObject({
      scoring: 'softmax',
      correctionBias: false,
      nGroup: 8,
      topkGroup: 3,
      groupScore: 'max',
      normalize: false,
      scale: 16,
    });
  });

  it('of V2-Lite: takes no notice of groups', () => {
    const config = parseConfig({ ...deepseekV2Lite, n_group: 8, topk_group: 3 });
    expect(routerParameters(config)).toMatchObject({ nGroup: 1, topkGroup: 1 });
  });

  it('of a normalising softmax: not scaled; of a single expert: not normalised', () => {
    const normalising = { ...deepseekV2Lite, norm_topk_prob: true, routed_scaling_factor: 16 };
    expect(routerParameters(parseConfig(normalising))).toMatchObject({ normalize: true, scale: 1 });
    const single = parseConfig({ ...normalising, num_experts_per_tok: 1 });
    expect(routerParameters(single)).toMatchObject({ normalize: false, scale: 16 });
  });

  it('of sigmoid scores: normalised exactly where norm_topk_prob says so, and scaled either way', () => {
    for (const [flag, experts] of [
      [true, 3],
      [true, 1],
      [false, 3],
    ] as const) {
      const config = parseConfig({ ...tiny, norm_topk_prob: flag, num_experts_per_tok: experts });
      expect(routerParameters(config)).toMatchObject({ normalize: flag, scale: 2.5 });
    }
  });
});

describe('attention', () => {
  it('scales scores by m^2 / sqrt(nope + rope) under YaRN', () => {
    // m = 0.1 ln 40 + 1 = 1.3688879454113936; 192^-0.5 = 0.07216878364870323.
    expect(softmaxScale(preset('deepseek-v3'))).toBeCloseTo(0.07216878364870323 * 1.3688879454113936 ** 2, 12);
    // m = 0.0707 ln 40 + 1 = 1.2608037774058554.
    expect(softmaxScale(preset('deepseek-v2-lite'))).toBeCloseTo(0.07216878364870323 * 1.2608037774058554 ** 2, 12);
    expect(softmaxScale(preset('moonlight-16b-a3b'))).toBeCloseTo(192 ** -0.5, 15);
  });

  it('scales cos and sin only where mscale and mscale_all_dim differ', () => {
    expect(ropeParameters(preset('deepseek-v3'))).toMatchObject({
      theta: 10000,
      dim: 64,
      interleave: true,
      attentionFactor: 1,
    });
    const yarn = { type: 'yarn', factor: 40, original_max_position_embeddings: 64 };
    const ratio = (more: object): number => {
      const config = parseConfig({ ...tiny, rope_scaling: { ...yarn, ...more } });
      return ropeParameters(config).attentionFactor;
    };
    expect(ratio({ mscale: 1, mscale_all_dim: 0.5 })).toBeCloseTo(1.3688879454113936 / 1.1844439727056968, 12);
    // Absent or 0: scores stay unscaled, cos and sin get m(mscale), and mscale is 1 by default.
    expect(ratio({})).toBeCloseTo(1.3688879454113936, 12);
    expect(ratio({ mscale: 1, mscale_all_dim: 0 })).toBeCloseTo(1.3688879454113936, 12);
    expect(softmaxScale(parseConfig({ ...tiny, rope_scaling: yarn }))).toBeCloseTo(24 ** -0.5, 15);
  });

  it('leaves a factor of 1 unscaled', () => {
    const yarn = { type: 'yarn', factor: 1, original_max_position_embeddings: 64, mscale_all_dim: 1 };
    const config = parseConfig({ ...tiny, rope_scaling: yarn });
    expect(softmaxScale(config)).toBeCloseTo(24 ** -0.5, 15);
    expect(ropeParameters(config).attentionFactor).toBe(1);
  });
});
