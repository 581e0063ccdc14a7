/** Rows of weights in every stored format: the same values as decoding the whole weight. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeWeight } from '../backend/decode-weight.ts';
import type { WeightSource } from '../backend/index.ts';
import { fromF32, quantizeBlocks, quantizeGroups, viewAsBytes } from '../dtype/index.ts';
import { MemorySource } from '../formats/sources/memory-source.ts';
import { weightRows } from './weight-rows.ts';

const [rows, columns] = [7, 10];
const shape = [rows, columns] as const;
const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7) * (1 + i));
const memory = (data: ArrayBufferView) => new MemorySource(viewAsBytes(data), 'w');

const fp8 = quantizeBlocks(values, rows, columns, { blockSize: [3, 4] });
const int8 = quantizeGroups('int8', values, rows, columns, 4);
const int4 = quantizeGroups('int4', values, rows, columns, 4);
const base = { name: 'w', shape };
const WEIGHTS: WeightSource[] = [
  { ...base, format: 'f32', values: memory(values) },
  { ...base, format: 'bf16', values: memory(fromF32('bf16', values)) },
  { ...base, format: 'fp8', values: memory(fp8.codes), scales: memory(fp8.scales), blockSize: [3, 4] },
  { ...base, format: 'int8', values: memory(int8.codes), scales: memory(int8.scales), groupSize: 4 },
  { ...base, format: 'int4', values: memory(int4.codes), scales: memory(int4.scales), groupSize: 4 },
];

describe('weightRows', () => {
  it.each(WEIGHTS)('reads any rows of $format', async (source) => {
    const whole = await decodeWeight(source);
    const matrix = weightRows(source);
    expect(matrix).toMatchObject({ name: 'w', rows, columns });
    await fc.assert(
      fc.asyncProperty(fc.nat(rows), fc.nat(rows), async (a, b) => {
        const [first, end] = [Math.min(a, b), Math.max(a, b)];
        const read = await matrix.read(first, end - first);
        expect(read).toEqual(whole.subarray(first * columns, end * columns));
      }),
    );
  });

  it('refuses NaN codes', async () => {
    const codes = fp8.codes.slice();
    codes[65] = 0x7f;
    const source = { ...WEIGHTS[2]!, values: memory(codes) } as WeightSource;
    await weightRows(source).read(0, 3);
    await expect(weightRows(source).read(6, 1)).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
  });
});
