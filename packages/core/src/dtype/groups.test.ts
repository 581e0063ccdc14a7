/** The integer quantisers: bounds on their error, the layout of their codes, and what they refuse. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantizeGroups, GROUP_SIZE, type GroupFormat, quantizeGroups } from './groups.ts';

const matrices = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 300 })).chain(([rows, columns]) =>
  fc.record({
    rows: fc.constant(rows),
    columns: fc.constant(columns),
    values: fc.float32Array({
      minLength: rows * columns,
      maxLength: rows * columns,
      noNaN: true,
      noDefaultInfinity: true,
      min: -1000,
      max: 1000,
    }),
  }),
);

const FORMATS: readonly GroupFormat[] = ['int8', 'int4'];

/** Half a step of each element's group, and a little for rounding in float32. */
function halfStep(scales: Float32Array, row: number, column: number, columns: number, group: number): number {
  return Math.abs(scales[row * Math.ceil(columns / group) + Math.floor(column / group)]!) * 0.500001;
}

describe.each(FORMATS)('%s', (format) => {
  const group = GROUP_SIZE[format];

  it('has scales that are finite and not zero, one for each group of a row', () => {
    fc.assert(
      fc.property(matrices, ({ rows, columns, values }) => {
        const { codes, scales } = quantizeGroups(format, values, rows, columns);
        expect(scales).toHaveLength(rows * Math.ceil(columns / group));
        expect(codes).toHaveLength(format === 'int8' ? rows * columns : rows * Math.ceil(columns / 2));
        for (const scale of scales) expect(Number.isFinite(scale) && scale !== 0).toBe(true);
      }),
    );
  });

  it('gives zeros back as zeros', () => {
    const { codes, scales } = quantizeGroups(format, new Float32Array(2 * 130), 2, 130);
    expect(dequantizeGroups(format, codes, scales, 2, 130)).toEqual(new Float32Array(2 * 130));
  });

  it('survives the smallest and the largest float32', () => {
    for (const size of [1e-45, 1e-38, 3.4e38]) {
      const values = Float32Array.of(size, -size / 2, 0);
      const { codes, scales } = quantizeGroups(format, values, 1, 3);
      for (const [i, value] of dequantizeGroups(format, codes, scales, 1, 3).entries()) {
        expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(Math.max(size / 7, 2 ** -124));
      }
    }
  });

  it('refuses what is not finite, saying where', () => {
    const values = new Float32Array(300).fill(1);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      values[290] = bad;
      expect(() => quantizeGroups(format, values, 2, 150)).toThrow(
        expect.objectContaining({ code: 'TENSOR_INVALID', message: expect.stringContaining('row 1, column 140') }),
      );
    }
  });

  it('refuses shapes and groups that do not fit', () => {
    const refused = (code: string) => expect.objectContaining({ code });
    expect(() => quantizeGroups(format, new Float32Array(5), 2, 3)).toThrow(refused('SHAPE_MISMATCH'));
    expect(() => quantizeGroups(format, new Float32Array(6), 2, 3, 0)).toThrow(refused('INVALID_ARGUMENT'));
    expect(() => quantizeGroups(format, new Float32Array(6), 2, 3, 1.5)).toThrow(refused('INVALID_ARGUMENT'));
    const { codes, scales } = quantizeGroups(format, new Float32Array(6), 2, 3);
    expect(() => dequantizeGroups(format, codes, scales, 2, 30)).toThrow(refused('SHAPE_MISMATCH'));
    expect(() => dequantizeGroups(format, codes, scales.subarray(1), 2, 3)).toThrow(refused('SHAPE_MISMATCH'));
  });
});

describe('int8', () => {
  it('errs by at most half a step, and keeps the largest of a group', () => {
    fc.assert(
      fc.property(matrices, ({ rows, columns, values }) => {
        const { codes, scales } = quantizeGroups('int8', values, rows, columns);
        const back = dequantizeGroups('int8', codes, scales, rows, columns);
        for (let i = 0; i < values.length; i++) {
          const bound = halfStep(scales, Math.floor(i / columns), i % columns, columns, 128);
          expect(Math.abs(back[i]! - values[i]!)).toBeLessThanOrEqual(bound);
          expect(codes[i]).toBeGreaterThanOrEqual(-127);
        }
      }),
    );
    const { codes, scales } = quantizeGroups('int8', Float32Array.of(-254, 127, 1, 3, 5), 1, 5);
    expect([...scales]).toEqual([2]);
    // 127 / 2 = 63.5, 0.5, 1.5 and 2.5 are ties.
    expect([...codes]).toEqual([-127, 64, 0, 2, 2]);
  });

  it('takes codes as bytes too', () => {
    const codes = new Int8Array([-5, 7]);
    expect([...dequantizeGroups('int8', new Uint8Array(codes.buffer), Float32Array.of(2), 1, 2)]).toEqual([-10, 14]);
  });
});

describe('int4', () => {
  it('puts even columns into low nibbles, and starts each row on a byte', () => {
    const codes = Uint8Array.of(0x70, 0x8f, 0x21, 0x83);
    const back = dequantizeGroups('int4', codes, Float32Array.of(1, 10), 2, 3);
    expect([...back]).toEqual([-8, -1, 7, -70, -60, -50]);
    const again = quantizeGroups('int4', back, 2, 3);
    expect(dequantizeGroups('int4', again.codes, again.scales, 2, 3)).toEqual(back);
    expect(again.codes[1]! >>> 4).toBe(8);
  });

  it('rounds to the nearest code of its scale', () => {
    fc.assert(
      fc.property(matrices, ({ rows, columns, values }) => {
        const { codes, scales } = quantizeGroups('int4', values, rows, columns);
        const back = dequantizeGroups('int4', codes, scales, rows, columns);
        for (let i = 0; i < values.length; i++) {
          const scale = scales[Math.floor(i / columns) * Math.ceil(columns / 32) + Math.floor((i % columns) / 32)]!;
          const reachable = Math.max(-8, Math.min(7, values[i]! / scale)) * scale;
          expect(Math.abs(back[i]! - reachable)).toBeLessThanOrEqual(
            halfStep(scales, Math.floor(i / columns), i % columns, columns, 32),
          );
        }
      }),
    );
  });

  it('is better than mapping the largest magnitude to the end of the range, by the sum over each group', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 32, maxLength: 32, noNaN: true, noDefaultInfinity: true, min: -10, max: 10 }),
        (values) => {
          const { codes, scales } = quantizeGroups('int4', values, 1, 32);
          const back = dequantizeGroups('int4', codes, scales, 1, 32);
          const extreme = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
          const naive = values.map((x) =>
            extreme === 0 ? 0 : Math.max(-8, Math.min(7, Math.round(x / (extreme / -8)))) * (extreme / -8),
          );
          const error = (result: Float32Array) => result.reduce((sum, x, i) => sum + (x - values[i]!) ** 2, 0);
          expect(error(back)).toBeLessThanOrEqual(error(naive) * 1.00001 + 1e-12);
        },
      ),
    );
  });

  it('cannot have groups of odd size', () => {
    expect(() => quantizeGroups('int4', new Float32Array(6), 1, 6, 3)).toThrow(/group/);
  });
});
