/** Rows cut, stacked, picked, transposed and encoded: the same as doing it to the whole matrix. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeBlocks } from '../../dtype/block-formats.ts';
import { fromF32, viewAsBytes } from '../../dtype/convert.ts';
import { readBytes } from '../source.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { encodedRows, type FloatRows, pickRows, sliceRows, stackRows, storedRows, transposeGroups } from './index.ts';

/** A matrix whose value at (row, column) is `start + row * columns + column`. */
function counted(rows: number, columns: number, start = 0): FloatRows {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => start + i);
  return storedRows('f32', new MemorySource(viewAsBytes(values), 'counted'), rows, columns);
}

/** Checks that every range of rows reads as the whole does. */
async function consistent(matrix: FloatRows): Promise<number[]> {
  const whole = await matrix.read(0, matrix.rows);
  expect(whole.length).toBe(matrix.rows * matrix.columns);
  for (let first = 0; first <= matrix.rows; first++) {
    for (let count = 0; first + count <= matrix.rows; count++) {
      const part = await matrix.read(first, count);
      expect(part).toEqual(whole.subarray(first * matrix.columns, (first + count) * matrix.columns));
    }
  }
  return [...whole];
}

describe('rows', () => {
  it('are cut and stacked', async () => {
    const matrix = stackRows('stack', [sliceRows(counted(4, 2), 1, 2), counted(1, 2, 100), counted(2, 2, 50)]);
    expect(await consistent(matrix)).toEqual([2, 3, 4, 5, 100, 101, 50, 51, 52, 53]);
  });

  it('are picked in any order', async () => {
    const matrix = pickRows(counted(5, 2), 4, (row) => [3, 4, 0, 1][row]!);
    expect(await consistent(matrix)).toEqual([6, 7, 8, 9, 0, 1, 2, 3]);
  });

  it('are transposed group by group', async () => {
    const matrix = transposeGroups(counted(4, 3), 2);
    expect(matrix).toMatchObject({ rows: 6, columns: 2 });
    expect(await consistent(matrix)).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    expect(await consistent(transposeGroups(matrix, 3))).toEqual(await consistent(counted(4, 3)));
  });

  it('can be read again after a transposed group could not be', async () => {
    let broken = true;
    const flaky: FloatRows = {
      ...counted(2, 2),
      read: async (first, count) => {
        if (broken) throw new Error('not yet');
        return counted(2, 2).read(first, count);
      },
    };
    const matrix = transposeGroups(flaky, 2);
    await expect(matrix.read(0, 1)).rejects.toThrow('not yet');
    broken = false;
    expect(await matrix.read(0, 2)).toEqual(Float32Array.of(0, 2, 1, 3));
  });

  it.each(['f32', 'bf16', 'f16'] as const)('are encoded as %s, any range of the bytes', async (format) => {
    const source = encodedRows(counted(5, 3, 0.3), format);
    const expected = viewAsBytes(fromF32(format, await counted(5, 3, 0.3).read(0, 5)));
    expect(await readBytes(source)).toEqual(new Uint8Array(expected));
    await fc.assert(
      fc.asyncProperty(fc.nat(source.byteLength), fc.nat(source.byteLength), async (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        expect(await readBytes(source, from, to - from)).toEqual(expected.slice(from, to));
      }),
    );
  });

  it('are encoded in blocks', async () => {
    const matrix = counted(3, 64, -90);
    expect(await readBytes(encodedRows(matrix, 'q8_0'))).toEqual(encodeBlocks('q8_0', await matrix.read(0, 3)));
    expect(() => encodedRows(counted(2, 33), 'q8_0')).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
  });

  it('name the tensor whose values have no place in a format', async () => {
    const matrix = counted(1, 32, 65_500);
    const error = { code: 'TENSOR_INVALID', message: expect.stringContaining('"counted"') };
    await expect(readBytes(encodedRows(matrix, 'f16'))).rejects.toMatchObject(error);
    const infinite: FloatRows = { ...matrix, read: async () => new Float32Array(32).fill(Number.POSITIVE_INFINITY) };
    await expect(readBytes(encodedRows(infinite, 'q8_0'))).rejects.toMatchObject(error);
    expect(await readBytes(encodedRows(infinite, 'f16'), 0, 2)).toEqual(Uint8Array.of(0x00, 0x7c));
  });
});
