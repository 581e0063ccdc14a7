import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/parse-config.ts';
import { type PresetName, preset, presetNames } from '../config/presets.ts';
import { tiny } from '../config/presets-small.ts';
import { countParameters } from './count-parameters.ts';
import { expectedTensors } from './expected-tensors.ts';
import { goldenHeaders } from './fixtures/headers.ts';

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

describe('countParameters', () => {
  it('of DeepSeek-V3: 671.03 B, 36.6 B of them active, and 11.6 B for multi-token prediction', () => {
    const count = countParameters(preset('deepseek-v3'));
    expect(count).toEqual({
      embedding: 129280 * 7168,
      head: 129280 * 7168,
      attention: {
        qProj: 0,
        qAProj: 61 * 1536 * 7168,
        qBProj: 61 * 128 * (128 + 64) * 1536,
        kvAProj: 61 * (512 + 64) * 7168,
        kvBProj: 61 * 128 * (128 + 128) * 512,
        oProj: 61 * 7168 * 128 * 128,
        total: 61 * 187_105_280,
      },
      denseMlp: 3 * 3 * 7168 * 18432,
      routedExperts: 58 * 256 * 3 * 7168 * 2048,
      sharedExperts: 58 * 3 * 7168 * 2048,
      router: 58 * (256 * 7168 + 256),
      norms: 61 * (7168 + 1536 + 512 + 7168) + 7168,
      total: 671_026_419_200,
      active: 36_625_618_432,
      mtp: {
        layer: 11_507_286_272,
        ehProj: 7168 * 14336,
        norms: 3 * 7168,
        own: 11_610_068_224,
        sharedCopies: 2 * 129280 * 7168,
        active: 11_610_068_224 - 248 * 3 * 7168 * 2048,
      },
    });
  });

  it('of DeepSeek-V3 with everything in its files: the 684,489,845,504 weights of the published checkpoint', () => {
    // Hugging Face counts 684,531,386,000 numbers in the files; 41,540,496 of them are scales (see memory.test.ts).
    const { total, mtp } = countParameters(preset('deepseek-v3'));
    expect(total + mtp!.own + mtp!.sharedCopies).toBe(684_531_386_000 - 41_540_496);
  });

  it('of DeepSeek-V2-Lite: 15.7 B, 2.45 B of them active', () => {
    const count = countParameters(preset('deepseek-v2-lite'));
    expect(count).toMatchObject({
      attention: {
        qProj: 27 * 16 * 192 * 2048,
        qAProj: 0,
        qBProj: 0,
        kvAProj: 27 * 576 * 2048,
        kvBProj: 27 * 16 * 256 * 512,
        oProj: 27 * 2048 * 2048,
      },
      denseMlp: 3 * 2048 * 10944,
      routedExperts: 26 * 64 * 3 * 2048 * 1408,
      sharedExperts: 26 * 3 * 2048 * 2816,
      router: 26 * 64 * 2048,
      norms: 27 * (2048 + 512 + 2048) + 2048,
      total: 15_706_484_224,
      active: 2_451_435_008,
      mtp: null,
    });
  });

  it.each<[PresetName, number, number]>([
    // Published: 16 B and 3 B with the embedding (0.34 B), which is not counted as active here.
    ['moonlight-16b-a3b', 15.96, 2.58],
    // Published: 1 T and 32 B.
    ['kimi-k2', 1026.41, 31.69],
    ['bench-1b', 1.26, 0.25],
    ['small', 0.005, 0.002],
  ])('of %s: %d B, %d B of them active', (name, total, active) => {
    const count = countParameters(preset(name));
    expect(count.total / 1e9).toBeCloseTo(total, total < 0.1 ? 3 : 2);
    expect(count.active / 1e9).toBeCloseTo(active, active < 0.1 ? 3 : 2);
  });

  it.each(goldenHeaders.map((header) => [header.name, header] as const))('is what lies in %s', (_, header) => {
    let stored = 0;
    for (const [name, { shape }] of header.tensors) {
      if (!name.endsWith('_scale_inv')) stored += elements(shape);
    }
    const { total, mtp } = countParameters(header.config);
    expect(total + (mtp ? mtp.own + mtp.sharedCopies : 0)).toBe(stored);
  });

  it.each(presetNames)('adds up, and is what the tensors of %s hold', (name) => {
    const config = preset(name);
    const { total, mtp, active: _, attention, ...parts } = countParameters(config);
    expect(Object.values(parts).reduce((sum, part) => sum + part, attention.total)).toBe(total);
    let main = 0;
    let extra = 0;
    for (const tensor of expectedTensors(config)) {
      if (tensor.mtp) extra += elements(tensor.shape);
      else main += elements(tensor.shape);
    }
    expect(main).toBe(total);
    expect(extra).toBe(mtp ? mtp.own + mtp.sharedCopies : 0);
  });

  it('counts a tied embedding once, and as active', () => {
    const untied = countParameters(parseConfig(tiny));
    const tied = countParameters(parseConfig({ ...tiny, tie_word_embeddings: true }));
    expect(tied.head).toBe(0);
    expect(tied.total).toBe(untied.total - 256 * 64);
    expect(tied.active).toBe(untied.active);
  });

  it('counts a model without experts as all active', () => {
    const count = countParameters(parseConfig({ ...tiny, n_routed_experts: null }));
    expect(count).toMatchObject({ routedExperts: 0, sharedExperts: 0, router: 0, denseMlp: 3 * 3 * 64 * 128 });
    expect(count.active).toBe(count.total - count.embedding);
  });
});
