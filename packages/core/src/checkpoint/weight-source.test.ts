import { describe, expect, test } from 'vitest';
import { viewAsBytes } from '../dtype/index.ts';
import { MemorySource, readBytes } from '../formats/index.ts';
import type { TensorReader } from './tensor-reader.ts';
import { weightSource } from './weight-source.ts';

/** A checkpoint of one FP8 weight [300, 200] with the given scales [3, 2]. */
function fp8Weight(scales: readonly number[]): TensorReader {
  const tensors = {
    'x.weight': { dtype: 'e4m3', shape: [300, 200], data: new Uint8Array(300 * 200) },
    'x.weight_scale_inv': { dtype: 'f32', shape: [3, 2], data: Float32Array.from(scales) },
  } as const;
  const of = (name: string) => tensors[name as keyof typeof tensors];
  return {
    has: (name) => of(name) !== undefined,
    info: (name) => of(name),
    source: (name) => new MemorySource(viewAsBytes(of(name).data), name),
  };
}

describe('scales of an FP8 weight', () => {
  test('finite ones are read as they are', async () => {
    const source = weightSource(fp8Weight([1, 2, 3, 4, 5, 6]), 'x.weight', [300, 200]);
    if (!('scales' in source)) throw new Error('an FP8 weight has scales');
    expect(await readBytes(source.scales)).toEqual(viewAsBytes(Float32Array.of(1, 2, 3, 4, 5, 6)));
    expect(await readBytes(source.scales, 8, 4)).toEqual(viewAsBytes(Float32Array.of(3)));
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%d is refused', async (bad) => {
    const source = weightSource(fp8Weight([1, 2, 3, bad, 5, 6]), 'x.weight', [300, 200]);
    if (!('scales' in source)) throw new Error('an FP8 weight has scales');
    const expected = { code: 'TENSOR_INVALID', details: { tensor: 'x.weight_scale_inv', element: 3 } };
    await expect(readBytes(source.scales)).rejects.toMatchObject(expected);
    await expect(readBytes(source.scales, 9, 10)).rejects.toMatchObject(expected);
    const unaligned = new Uint8Array(25).subarray(1);
    await expect(source.scales.read(0, unaligned)).rejects.toMatchObject(expected);
    await expect(readBytes(source.scales, 16, 8)).resolves.toHaveLength(8);
  });
});

/** A checkpoint of one integer weight [3, columns] with scales for groups of `groupSize`. */
function integerWeight(dtype: 'i8' | 'u8', columns: number, groups: number): TensorReader {
  const data = new Uint8Array(3 * columns);
  const tensors = {
    'x.weight': { dtype, shape: [3, dtype === 'i8' ? columns : Math.ceil(columns / 2)], data },
    'x.weight_scale': { dtype: 'f32', shape: [3, groups], data: new Float32Array(3 * groups).fill(1) },
  } as const;
  const of = (name: string) => tensors[name as keyof typeof tensors];
  return { has: (name) => name in tensors, info: of, source: (name) => new MemorySource(viewAsBytes(of(name).data)) };
}

describe('an integer weight', () => {
  test.each([
    ['i8', 256, 8, 'int8', 32],
    ['i8', 256, 4, 'int8', 64],
    ['i8', 200, 2, 'int8', 128],
    ['u8', 97, 4, 'int4', 32],
    ['u8', 30, 1, 'int4', 32],
  ] as const)(
    '%s with %i columns and %i groups has groups of the size that fits',
    (dtype, columns, groups, format, size) => {
      const source = weightSource(integerWeight(dtype, columns, groups), 'x.weight', [3, columns]);
      expect(source).toMatchObject({ format, groupSize: size });
    },
  );

  test('is refused if no group size gives that many scales', () => {
    expect(() => weightSource(integerWeight('i8', 256, 3), 'x.weight', [3, 256])).toThrow(
      expect.objectContaining({ code: 'TENSOR_MISMATCH' }),
    );
  });

  test('is refused if a scale is not finite', async () => {
    const reader = integerWeight('i8', 32, 1);
    const nan = { ...reader, source: () => new MemorySource(viewAsBytes(new Float32Array(3).fill(Number.NaN))) };
    const source = weightSource(nan, 'x.weight', [3, 32]);
    if (!('scales' in source)) throw new Error('an integer weight has scales');
    await expect(readBytes(source.scales)).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
  });
});
