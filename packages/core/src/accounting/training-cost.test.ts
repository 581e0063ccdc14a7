import { describe, expect, it } from 'vitest';
import { preset, presetNames } from '../config/presets.ts';
import { isMarianaError } from '../errors.ts';
import { trainingFlopsPerToken } from './flops.ts';
import { H800_PEAK_FLOPS, publishedTraining, publishedUtilization, trainingCost } from './training-cost.ts';

describe('publishedTraining', () => {
  it('has the phases of DeepSeek-V3, which add up to 2.788 M hours and 180 K for each trillion tokens', () => {
    const { gpuHours, tokens } = publishedTraining('deepseek-v3')!;
    const { total, ...phases } = gpuHours!;
    expect(total).toBe(2_788_000);
    expect(Object.values(phases).reduce((sum, hours) => sum + hours, 0)).toBe(total);
    expect(gpuHours!.preTraining / (tokens / 1e12)).toBeCloseTo(180_000, -3);
  });

  it('says nothing of models that nobody published', () => {
    expect(presetNames.filter((name) => publishedTraining(name) === null)).toEqual([
      'bench-1b',
      'small',
      'tiny-mtp',
      'tiny',
    ]);
  });
});

describe('trainingCost', () => {
  const v3 = preset('deepseek-v3');

  it('gives back the hours that it was measured by', () => {
    expect(trainingCost(v3, { tokens: 14.8e12 }).gpuHours).toBeCloseTo(2_664_000, 3);
  });

  it('puts that run between a third and a half of the BF16 peak', () => {
    expect(publishedUtilization()).toBeGreaterThan(1 / 3);
    expect(publishedUtilization()).toBeLessThan(1 / 2);
  });

  it('is tokens times operations over the rate', () => {
    const config = preset('small');
    const cost = trainingCost(config, { tokens: 3e9, sequenceLength: 128, peakFlops: 2e12, utilization: 0.25 });
    const flopsPerToken = trainingFlopsPerToken(config, { sequenceLength: 128 });
    expect(cost.flopsPerToken).toBe(flopsPerToken);
    expect(cost.flops).toBe(3e9 * flopsPerToken);
    expect(cost.gpuHours).toBeCloseTo((3e9 * flopsPerToken) / 2e12 / 0.25 / 3600, 10);
    expect(cost.utilization).toBe(0.25);
  });

  it('takes half the hours on an accelerator of twice the peak', () => {
    const [one, two] = [1, 2].map((times) => trainingCost(v3, { tokens: 1e12, peakFlops: times * H800_PEAK_FLOPS }));
    expect(one!.gpuHours / two!.gpuHours).toBeCloseTo(2, 12);
  });

  it.each([
    { tokens: 0 },
    { tokens: Number.NaN },
    { tokens: Number.POSITIVE_INFINITY },
    { tokens: 1, peakFlops: -1 },
    { tokens: 1, utilization: 1.01 },
    { tokens: 1, utilization: 0 },
    { tokens: 1, sequenceLength: 1.5 },
  ])('refuses %o', (options) => {
    const refused = (): unknown => {
      try {
        return trainingCost(v3, options);
      } catch (error) {
        return isMarianaError(error) && error.code;
      }
    };
    expect(refused()).toBe('INVALID_ARGUMENT');
  });
});
