import { expect, test } from 'vitest';
import { reduce, topK } from './reduce.ts';

test('sums are kept in double precision', () => {
  // In float32 each one would be lost beside 2^24.
  const out = new Float32Array(1);
  reduce('sum', Float32Array.of(2 ** 24, 1, 1, 1, 1), [5], 0, out);
  expect(out[0]).toBe(2 ** 24 + 4);
});

test('reduces a middle axis', () => {
  const x = Float32Array.from({ length: 12 }, (_, i) => i);
  const out = new Float32Array(4);
  reduce('sum', x, [2, 3, 2], 1, out);
  expect([...out]).toEqual([6, 9, 24, 27]);
  reduce('max', x, [2, 3, 2], 1, out);
  expect([...out]).toEqual([4, 5, 10, 11]);
});

test('topK is stable, row by row', () => {
  const [values, indices] = [new Float32Array(6), new Int32Array(6)];
  topK(Float32Array.of(1, 3, 3, 2, 5, 5, 5, 4), 4, 3, values, indices);
  expect([...values]).toEqual([3, 3, 2, 5, 5, 5]);
  expect([...indices]).toEqual([1, 2, 3, 0, 1, 2]);
});
