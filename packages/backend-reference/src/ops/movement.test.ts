import { checkIndices } from '@mariana/core';
import { describe, expect, test } from 'vitest';
import { concat, slice, transpose } from './movement.ts';

/** 0 to 23 as [2, 3, 4]: the element at (i, j, k) is 12 i + 4 j + k. */
const CUBE = Int32Array.from({ length: 24 }, (_, i) => i);

describe('transpose', () => {
  test('of a matrix', () => {
    const out = new Int32Array(6);
    transpose(CUBE.subarray(0, 6), [2, 3], [1, 0], out);
    expect([...out]).toEqual([0, 3, 1, 4, 2, 5]);
  });

  test('takes axis i of the result from axis permutation[i]', () => {
    const out = new Int32Array(24);
    transpose(CUBE, [2, 3, 4], [2, 0, 1], out);
    // Of shape [4, 2, 3]: the element at (k, i, j).
    expect([...out.subarray(0, 6)]).toEqual([0, 4, 8, 12, 16, 20]);
    expect([...out.subarray(6, 12)]).toEqual([1, 5, 9, 13, 17, 21]);
  });
});

test('slice takes a range of a middle axis', () => {
  const out = new Int32Array(8);
  slice(CUBE, [2, 3, 4], 1, 1, 2, out);
  expect([...out]).toEqual([4, 5, 6, 7, 16, 17, 18, 19]);
});

test('concat along the last axis interleaves rows', () => {
  const out = new Int32Array(10);
  const parts = [
    { data: Int32Array.of(1, 2, 3, 4), shape: [2, 2] },
    { data: new Int32Array(0), shape: [2, 0] },
    { data: Int32Array.of(5, 6, 7, 8, 9, 10), shape: [2, 3] },
  ];
  concat(parts, 1, out);
  expect([...out]).toEqual([1, 2, 5, 6, 7, 3, 4, 8, 9, 10]);
});

test('checkIndices names the first index that is out of range', () => {
  checkIndices('gather', Int32Array.of(0, 2), 3);
  expect(() => checkIndices('gather', Int32Array.of(0, 3, -1), 3)).toThrow('gather: index 3 is not among 3 rows');
});
