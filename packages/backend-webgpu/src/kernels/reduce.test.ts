/** Sums, maxima, softmax and log-sum-exp of rows, against sums in double precision. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { logSumExpKernel } from './log-sum-exp.ts';
import { reduceMiddleKernel, reduceRowsKernel, softmaxKernel } from './reduce.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const [rows, length] = [3, 200];
const x = floats(rows * length, uniform(1, -8, 8));
const rowsOf = (data: Float32Array) =>
  Array.from({ length: rows }, (_, row) => data.subarray(row * length, (row + 1) * length));
const { NaN: nan, NEGATIVE_INFINITY: low } = Number;

describe('reduce', () => {
  test('sums of rows', async () => {
    const y = bench.empty(rows * 4);
    const args = { shape: { rows }, buffers: { x: bench.buffer(x), y }, uniforms: { rows, length } };
    await bench.run(reduceRowsKernel('sum'), args);
    const expected = rowsOf(x).map((row) => row.reduce((a, b) => a + b, 0));
    const magnitude = rowsOf(x).map((row) => row.reduce((a, b) => a + Math.abs(b), 0));
    expect(worst(await bench.floats(y), expected, (i) => length * U * magnitude[i]!)).toBeLessThan(1);
  });

  test('maxima of rows, NaN where there is one', async () => {
    const data = x.slice();
    data[length + 70] = nan;
    data.fill(low, 2 * length);
    const y = bench.empty(rows * 4);
    const args = { shape: { rows }, buffers: { x: bench.buffer(data), y }, uniforms: { rows, length } };
    await bench.run(reduceRowsKernel('max'), args);
    expect([...(await bench.floats(y))]).toEqual([Math.max(...rowsOf(x)[0]!), nan, low]);
  });

  test('an axis in the middle', async () => {
    // [2, 3, 2]
    const y = bench.empty(16);
    await bench.run(reduceMiddleKernel('sum'), {
      shape: { size: 4 },
      buffers: { x: bench.buffer(Float32Array.from({ length: 12 }, (_, i) => i)), y },
      uniforms: { size: 4, length: 3, inner: 2 },
    });
    expect([...(await bench.floats(y))]).toEqual([6, 9, 24, 27]);
  });
});

test('softmax of rows; nothing but minus infinity gives NaN', async () => {
  const data = x.slice();
  data.fill(low, 2 * length);
  const y = bench.empty(data.byteLength);
  const args = { shape: { rows }, buffers: { x: bench.buffer(data), y }, uniforms: { rows, length } };
  await bench.run(softmaxKernel(), args);
  const actual = await bench.floats(y);
  const expected = rowsOf(x)
    .slice(0, 2)
    .flatMap((row) => {
      const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
      return Array.from(row, (value) => Math.exp(value) / total);
    });
  // exp errs by 3 + 2 |x| ulps, of x down to -16; the sum by its length, the quotient by 2.5.
  expect(worst(actual, expected, (i) => (2 * 35 + length + 8) * 2 * U * expected[i]!)).toBeLessThan(1);
  expect(actual.subarray(2 * length).every(Number.isNaN)).toBe(true);
});

test('log-sum-exp below the maximum, as it is and scaled, at its place in the rows of another result', async () => {
  const scale = 0.625;
  const y = bench.buffer(new Float32Array(rows * 5).fill(5));
  const data = x.slice();
  data[2 * length + 3] = Number.POSITIVE_INFINITY;
  await bench.run(logSumExpKernel(), {
    shape: { rows },
    buffers: { x: bench.buffer(data), y },
    uniforms: { rows, length, stride: 5, place: 2, scale },
  });
  const actual = await bench.floats(y);
  const expected = rowsOf(x)
    .slice(0, 2)
    .flatMap((row) => {
      const top = Math.max(...row);
      const sumOf = (by: number) => row.reduce((sum, value) => sum + Math.exp((value - top) * by), 0);
      return [Math.log(sumOf(1)), Math.log(sumOf(scale))];
    });
  const found = [actual[2]!, actual[3]!, actual[7]!, actual[8]!];
  expect(worst(found, expected, (i) => (length + 80) * U + 4 * U * Math.abs(expected[i]!))).toBeLessThan(1);
  expect([actual[12], actual[13]]).toEqual([Number.NaN, Number.NaN]);
  expect([actual[0], actual[1], actual[4], actual[14]]).toEqual([5, 5, 5, 5]);
});
