/** The k largest of rows, bit for bit as sorting finds them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { floats, KernelBench, uniform } from './kernel-test-kit.ts';
import { topKKernel } from './top-k.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

test.each([1, 7, 150])('%d of 150, with many equals', async (k) => {
  const [rows, length] = [2, 150];
  const x = floats(rows * length, uniform(5, -4, 4)).map(Math.round);
  x.set([Number.POSITIVE_INFINITY, 0, -0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], 20);
  const [values, indices] = [bench.empty(rows * k * 4), bench.empty(rows * k * 4)];
  const buffers = { x: bench.buffer(x), values, indices };
  await bench.run(topKKernel(), { shape: { rows }, buffers, uniforms: { rows, length, k } });
  const expected = Array.from({ length: rows }, (_, row) => {
    const value = (i: number) => x[row * length + i]!;
    const order = Array.from({ length }, (_, i) => i);
    return order.sort((i, j) => (value(i) === value(j) ? i - j : value(j) > value(i) ? 1 : -1)).slice(0, k);
  });
  expect([...(await bench.integers(indices))]).toEqual(expected.flat());
  expect([...(await bench.floats(values))]).toEqual(expected.flatMap((row, r) => row.map((i) => x[r * length + i])));
});
