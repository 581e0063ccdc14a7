/** FP8 against values made by the original implementation's rules: test/fixtures/README.md says what they are. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  dequantizeBlocks,
  dequantizeTiles,
  e4m3Values,
  encodeE4m3,
  fromF32,
  quantizeBlocks,
  quantizeTiles,
  SafetensorsFile,
  toF32,
} from '../src/index.ts';
import { FileSource } from '../src/node.ts';

let fixture: SafetensorsFile;

beforeAll(async () => {
  fixture = await SafetensorsFile.open(await FileSource.open(`${import.meta.dirname}/fixtures/fp8.safetensors`));
  return () => fixture.close();
});

describe('E4M3 codes', () => {
  it('have the values of the reference', async () => {
    expect(e4m3Values()).toEqual(await fixture.readF32('e4m3fn_table'));
  });

  it('are rounded as the reference rounds them', async () => {
    const input = await fixture.readF32('e4m3fn_round.input');
    const codes = await fixture.read('e4m3fn_round.codes');
    expect(fromF32('e4m3', input)).toEqual(codes);
    expect(Uint8Array.from(input, encodeE4m3)).toEqual(codes);
  });
});

describe('quantizeTiles', () => {
  it.each([
    ['f32', 'act_quant.codes', 'act_quant.scales'],
    ['ue8m0', 'act_quant.codes_ue8m0', 'act_quant.scales_ue8m0'],
  ] as const)('is act_quant with scales in %s', async (scaleFormat, codes, scales) => {
    const result = quantizeTiles(await fixture.readF32('act_quant.x'), 4, 256, { scaleFormat });
    expect(result.scales).toEqual(await fixture.readF32(scales));
    expect(result.codes).toEqual(await fixture.read(codes));
  });

  it('cuts the last tile of a row', () => {
    const { codes, scales } = quantizeTiles(Float32Array.of(448, 1, 896, 0, 2, 4), 2, 3, { tile: 2 });
    expect([...scales]).toEqual([1, 2, Math.fround(2 / 448), Math.fround(4 / 448)]);
    expect([...toF32('e4m3', codes)]).toEqual([448, 1, 448, 0, 448, 448]);
    expect([...dequantizeTiles(codes, scales, 2, 3, 2)]).toEqual([448, 1, 896, 0, 2, 4]);
  });

  it('lets NaN and infinity spoil their own tile only', () => {
    const values = Float32Array.of(Number.NaN, 1, Number.POSITIVE_INFINITY, 1, 1, 1);
    const { codes, scales } = quantizeTiles(values, 1, 6, { tile: 2 });
    expect([...scales]).toEqual([Math.fround(1 / 448), Number.POSITIVE_INFINITY, Math.fround(1 / 448)]);
    expect([...toF32('e4m3', codes)]).toEqual([Number.NaN, 448, Number.NaN, 0, 448, 448]);
  });

  it('has powers of two that lose nothing to overflow, for ue8m0', () => {
    fc.assert(
      fc.property(fc.float({ min: 2 ** -100, max: 2 ** 100, noNaN: true }), (x) => {
        const { codes, scales } = quantizeTiles(Float32Array.of(x), 1, 1, { scaleFormat: 'ue8m0' });
        const [scale] = scales as unknown as [number];
        expect(Number.isInteger(Math.log2(scale))).toBe(true);
        expect(x / scale).toBeLessThanOrEqual(448);
        if (x > 1e-4) expect(x / scale).toBeGreaterThan(224 * 0.9999999);
        expect(toF32('e4m3', codes)[0]).toBeLessThanOrEqual(448);
      }),
    );
  });

  it('refuses shapes and tiles that do not fit', () => {
    expect(() => quantizeTiles(new Float32Array(5), 2, 3)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
    expect(() => quantizeTiles(new Float32Array(6), 2, 3, { tile: 0 })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('dequantizeBlocks', () => {
  it('multiplies each code with the scale of its block, also where blocks are cut', async () => {
    const codes = await fixture.read('dequant.codes');
    const scales = await fixture.readF32('dequant.scale_inv');
    const values = dequantizeBlocks(codes, scales, 192, 160);
    const expected = await fixture.readF32('dequant.values');
    for (const [i, row] of (await fixture.readF32('dequant.rows')).entries()) {
      expect(values.subarray(row * 160, (row + 1) * 160)).toEqual(expected.subarray(i * 160, (i + 1) * 160));
    }
    // What was quantised once is not changed by quantising it again: the largest code of each block is 448.
    const again = quantizeBlocks(values, 192, 160);
    expect(again.scales).toEqual(scales);
    expect(again.codes).toEqual(codes);
  });

  it('refuses scales of another grid', () => {
    const codes = new Uint8Array(130 * 130);
    expect(() => dequantizeBlocks(codes, new Float32Array(3), 130, 130)).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    );
    expect(dequantizeBlocks(codes, new Float32Array(6), 130, 130, [50, 100])).toHaveLength(130 * 130);
  });
});

describe('quantizeBlocks', () => {
  const matrices = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 40 })).chain(([rows, columns]) =>
    fc.tuple(
      fc.constant(rows),
      fc.constant(columns),
      fc.float32Array({
        minLength: rows * columns,
        maxLength: rows * columns,
        noNaN: true,
        noDefaultInfinity: true,
        min: -1e6,
        max: 1e6,
      }),
    ),
  );

  it.each(['f32', 'ue8m0'] as const)(
    'errs by at most half a unit in the last place, with scales in %s',
    (scaleFormat) => {
      fc.assert(
        fc.property(matrices, ([rows, columns, values]) => {
          const blockSize = [4, 16] as const;
          const { codes, scales } = quantizeBlocks(values, rows, columns, { blockSize, scaleFormat });
          const back = dequantizeBlocks(codes, scales, rows, columns, blockSize);
          for (let i = 0; i < values.length; i++) {
            const row = Math.floor(i / columns);
            const scale = scales[Math.floor(row / 4) * Math.ceil(columns / 16) + Math.floor((i % columns) / 16)]!;
            const bound = Math.max(Math.abs(values[i]!) * 2 ** -4, scale * 2 ** -10) * 1.00001;
            expect(Math.abs(back[i]! - values[i]!)).toBeLessThanOrEqual(bound);
          }
        }),
      );
    },
  );

  it('scales zeros by 1 and keeps the smallest float32 from dividing by zero', () => {
    expect(quantizeBlocks(new Float32Array(4), 2, 2)).toEqual({ codes: new Uint8Array(4), scales: Float32Array.of(1) });
    const { codes, scales } = quantizeBlocks(Float32Array.of(1e-45, -1e-45), 1, 2);
    expect([...codes]).toEqual([0, 0x80]);
    expect([...scales]).toEqual([2 ** -126]);
  });

  it('refuses weights that are not finite, saying where', () => {
    const values = new Float32Array(200 * 3);
    values[190 * 3 + 2] = Number.NaN;
    expect(() => quantizeBlocks(values, 200, 3)).toThrow(
      expect.objectContaining({ code: 'TENSOR_INVALID', message: expect.stringContaining('row 190, column 2') }),
    );
  });
});
