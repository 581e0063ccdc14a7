/** Kernels that move elements, against the same loops on the host. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KernelBench } from './kernel-test-kit.ts';
import { concatKernel, gatherKernel, scatterAddKernel, stridedCopyKernel } from './movement.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const count = (n: number, from = 0) => Int32Array.from({ length: n }, (_, i) => from + i);

test('a strided copy transposes and slices', async () => {
  // The last two columns of [2, 3, 4], with the first two axes exchanged: [3, 2, 2].
  const y = bench.empty(12 * 4);
  await bench.run(stridedCopyKernel(3), {
    shape: { size: 12 },
    buffers: { x: bench.buffer(count(24)), y },
    uniforms: { size: 12, start: 2, n1: 2, n2: 2, s0: 4, s1: 12, s2: 1 },
  });
  expect([...(await bench.integers(y))]).toEqual([2, 3, 14, 15, 6, 7, 18, 19, 10, 11, 22, 23]);
});

test('a joint puts rows side by side, from a column on', async () => {
  const y = bench.buffer(new Int32Array(14).fill(-1));
  await bench.run(concatKernel(2), {
    shape: { size: 10 },
    buffers: { x0: bench.buffer(count(4)), x1: bench.buffer(count(6, 10)), y },
    uniforms: { size: 10, columns: 5, width: 7, first: 2, e0: 2, e1: 5 },
  });
  expect([...(await bench.integers(y))]).toEqual([-1, -1, 0, 1, 10, 11, 12, -1, -1, 2, 3, 13, 14, 15]);
});

test('rows are taken by index; a row that is not there is zeros', async () => {
  const y = bench.empty(8 * 4);
  await bench.run(gatherKernel(), {
    shape: { size: 8 },
    buffers: { x: bench.buffer(count(6, 1)), indices: bench.buffer(Int32Array.of(2, -1, 3, 0)), y },
    uniforms: { size: 8, width: 2, rows: 3 },
  });
  expect([...(await bench.integers(y))]).toEqual([5, 6, 0, 0, 0, 0, 1, 2]);
});

test('rows are added where they belong, in order, and rows without any are zero', async () => {
  const y = bench.empty(6 * 4);
  // In another order the large numbers would not cancel before the small one comes.
  const updates = Float32Array.of(1e8, 1, 5, 5, -1e8, 2, 1, 3);
  await bench.run(scatterAddKernel(), {
    shape: { width: 2 },
    buffers: { indices: bench.buffer(Int32Array.of(2, 0, 2, 2)), updates: bench.buffer(updates), y },
    uniforms: { size: 2, rows: 3, count: 4 },
  });
  expect([...(await bench.floats(y))]).toEqual([5, 5, 0, 0, 1, 6]);
});
