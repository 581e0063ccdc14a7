/** The general matrix product, for each transposition and with matrices that are used more than once. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { matmulKernel } from './matmul.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const [batch, m, n, k] = [3, 33, 40, 50];

test.each([
  [false, false],
  [true, false],
  [false, true],
  [true, true],
])('transposed a: %s, b: %s', async (transposeA, transposeB) => {
  const a = floats(batch * m * k, uniform(1));
  // One b for all matrices of the batch.
  const b = floats(k * n, uniform(2));
  const y = bench.empty(batch * m * n * 4);
  await bench.run(matmulKernel(1), {
    shape: { batch, m, n },
    buffers: { a: bench.buffer(a), b: bench.buffer(b), y },
    uniforms: {
      batch,
      m,
      n,
      k,
      am: transposeA ? 1 : k,
      ak: transposeA ? m : 1,
      bk: transposeB ? 1 : n,
      bn: transposeB ? k : 1,
      sa0: m * k,
      sb0: 0,
    },
  });
  const at = (i: number, r: number, t: number) => a[i * m * k + (transposeA ? t * m + r : r * k + t)]!;
  const bt = (t: number, c: number) => b[transposeB ? c * k + t : t * n + c]!;
  const expected: number[] = [];
  for (let i = 0; i < batch * m * n; i++) {
    let sum = 0;
    for (let t = 0; t < k; t++) sum += at(Math.floor(i / (m * n)), Math.floor(i / n) % m, t) * bt(t, i % n);
    expected.push(sum);
  }
  expect(worst(await bench.floats(y), expected, () => 2 * k * k * U)).toBeLessThan(1);
});
