import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/parse-config.ts';
import { preset, presetNames } from '../config/presets.ts';
import { tiny } from '../config/presets-small.ts';
import { isMarianaError } from '../errors.ts';
import { countParameters } from './count-parameters.ts';
import { expectedTensors } from './expected-tensors.ts';
import { byteLength, goldenHeaders } from './fixtures/headers.ts';
import { ACCOUNTED_FORMATS, type AccountedFormat, kvCacheBytesPerToken, weightBytes } from './memory.ts';

describe('kvCacheBytesPerToken', () => {
  const v3 = preset('deepseek-v3');

  it('is 70,272 for DeepSeek-V3 in BF16, against 4,997,120 for plain attention of the same heads', () => {
    expect(kvCacheBytesPerToken(v3)).toBe(70_272);
    expect(kvCacheBytesPerToken(v3, { dtype: 'bf16', attention: 'multi-head' })).toBe(4_997_120);
    expect(kvCacheBytesPerToken(v3, { attention: 'grouped' })).toBe(61 * 8 * (192 + 128) * 2);
    expect(kvCacheBytesPerToken(v3, { attention: 'grouped', groups: 128 })).toBe(4_997_120);
  });

  it('follows the dtype, and counts the prediction layer when asked', () => {
    expect(kvCacheBytesPerToken(v3, { dtype: 'f32' })).toBe(140_544);
    expect(kvCacheBytesPerToken(v3, { dtype: 'e4m3' })).toBe(35_136);
    expect(kvCacheBytesPerToken(v3, { mtp: true })).toBe(62 * 576 * 2);
  });

  it('refuses what is no attention', () => {
    for (const groups of [0, -1, 1.5, 129, Number.NaN]) {
      expect(() => kvCacheBytesPerToken(v3, { attention: 'grouped', groups })).toThrow(/groups/);
    }
    expect(() => kvCacheBytesPerToken(v3, { attention: 'toString' as 'latent' })).toThrow(/latent, multi-head/);
  });
});

describe('weightBytes', () => {
  it('of DeepSeek-V3 in FP8 is the published checkpoint, to the byte', () => {
    // Numbers by dtype as Hugging Face lists them for the files: E4M3, F32 (scales and correction biases) and BF16.
    const [fp8, f32, bf16] = [680_571_043_840, 41_555_600, 3_918_786_560];
    const biases = 59 * 256;
    expect(weightBytes(preset('deepseek-v3'), 'fp8')).toEqual({
      quantized: fp8,
      scales: 4 * (f32 - biases),
      highPrecision: 2 * bf16 + 4 * biases,
      total: fp8 + 4 * f32 + 2 * bf16,
    });
  });

  it.each(goldenHeaders.map((header) => [header.name, header] as const))('is the size of %s', (_, header) => {
    const stored = [...header.tensors.values()].reduce((sum, info) => sum + byteLength(info), 0);
    expect(weightBytes(header.config, header.config.quantizationConfig ? 'fp8' : 'bf16').total).toBe(stored);
  });

  it.each(presetNames)('is the sum over the tensors of %s', (name) => {
    const config = preset(name);
    const sums: Record<AccountedFormat, number> = { f32: 0, bf16: 0, fp8: 0, int8: 0, int4: 0 };
    for (const { shape, kind, quantizable, scale } of expectedTensors(config)) {
      const [rows, columns = 1] = shape as [number, number?];
      const size = rows * columns;
      sums.f32 += 4 * size;
      sums.bf16 += (kind === 'router_bias' ? 4 : 2) * size;
      const high = quantizable ? 0 : (kind === 'router_bias' ? 4 : 2) * size;
      sums.fp8 += high + (scale ? size + 4 * scale.shape[0] * scale.shape[1] : 0);
      sums.int8 += high + (quantizable ? size + 4 * rows * Math.ceil(columns / 128) : 0);
      sums.int4 += high + (quantizable ? rows * (Math.ceil(columns / 2) + 4 * Math.ceil(columns / 32)) : 0);
    }
    for (const format of ACCOUNTED_FORMATS)
      expect([format, weightBytes(config, format).total]).toEqual([format, sums[format]]);
  });

  it('keeps embedding, head, norms, router and eh_proj out of the packed formats', () => {
    const config = preset('tiny-mtp');
    const { embedding, head, norms, router, mtp } = countParameters(config);
    // Of the router's parameters, the 8 biases of the one MoE layer are F32; so are those of the prediction layer.
    const layerNorms = 64 + 48 + 32 + 64;
    const high = 2 * (embedding + head + norms) + 2 * (router - 8) + 4 * 8;
    const inPrediction = 2 * (mtp!.ehProj + mtp!.norms + mtp!.sharedCopies + layerNorms + 8 * 64) + 4 * 8;
    for (const format of ['fp8', 'int8', 'int4'] as const) {
      expect(weightBytes(config, format).highPrecision).toBe(high + inPrediction);
    }
  });

  it('leaves out the prediction layer, or only its copies', () => {
    const config = preset('tiny-mtp');
    const { total, mtp } = countParameters(config);
    const all = weightBytes(config, 'f32').total;
    expect(weightBytes(config, 'f32', { mtp: false }).total).toBe(4 * total);
    expect(weightBytes(config, 'f32', { sharedCopies: false }).total).toBe(all - 4 * mtp!.sharedCopies);
  });

  it('counts a tied embedding once', () => {
    const tied = parseConfig({ ...tiny, tie_word_embeddings: true });
    expect(weightBytes(tied, 'f32').total).toBe(4 * countParameters(tied).total);
  });

  it('rounds half bytes and cut groups up, row by row', () => {
    const config = parseConfig({ ...tiny, intermediate_size: 129, num_hidden_layers: 1 });
    // down_proj [64, 129]: the other projections have even widths and share the difference to 128 as whole rows.
    const at = (width: number, format: AccountedFormat) =>
      weightBytes(parseConfig({ ...tiny, intermediate_size: width, num_hidden_layers: 1 }), format);
    expect(weightBytes(config, 'int4').quantized - at(128, 'int4').quantized).toBe(2 * 32 + 64);
    expect(weightBytes(config, 'int4').scales - at(128, 'int4').scales).toBe(4 * (2 * 2 + 64));
    expect(weightBytes(config, 'int8', { groupSize: 64 }).scales - at(128, 'int8').scales).toBeGreaterThan(0);
  });

  it('refuses another format or group size', () => {
    const refused = (run: () => unknown): boolean => {
      try {
        run();
      } catch (error) {
        return isMarianaError(error) && error.code === 'INVALID_ARGUMENT';
      }
      return false;
    };
    expect(refused(() => weightBytes(parseConfig(tiny), 'int2' as AccountedFormat))).toBe(true);
    for (const groupSize of [0, -32, 1.5, Number.NaN]) {
      expect(refused(() => weightBytes(parseConfig(tiny), 'int4', { groupSize }))).toBe(true);
    }
  });
});
