/** Elementwise kernels: broadcasting by strides, and the edges that WGSL's own functions leave open. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binaryKernel, unaryKernel, whereKernel } from './elementwise.ts';
import { KernelBench } from './kernel-test-kit.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

async function unary(op: Parameters<typeof unaryKernel>[0], x: readonly number[]): Promise<number[]> {
  const y = bench.empty(x.length * 4);
  const uniforms = { size: x.length, s0_0: 1 };
  const buffers = { x0: bench.buffer(Float32Array.from(x)), y };
  await bench.run(unaryKernel(op), { shape: { size: x.length }, buffers, uniforms });
  return [...(await bench.floats(y))];
}

describe('unary', () => {
  test.each([
    ['neg', [0, -0, inf, 1.5], [-0, 0, -inf, -1.5]],
    ['sign', [nan, -inf, -3, -0, 0, 2], [nan, -1, -1, -0, 0, 1]],
    ['exp', [nan, -inf, inf, 89], [nan, 0, inf, inf]],
    ['exp2', [nan, -inf, inf, 0, 10, -126, 127, 128], [nan, 0, inf, 1, 1024, 2 ** -126, 2 ** 127, inf]],
    ['log', [nan, 0, -0, -1, inf], [nan, -inf, -inf, nan, inf]],
    ['log2', [0, 1, 1024, 2 ** -126, 2 ** 127, -1], [-inf, 0, 10, -126, 127, nan]],
    ['sqrt', [nan, 0, -0, inf, -1], [nan, 0, -0, inf, nan]],
    ['rsqrt', [nan, 0, -0, inf, -1], [nan, inf, -inf, 0, nan]],
    ['sigmoid', [nan, inf, -inf], [nan, 1, 0]],
  ] as const)('%s at its edges', async (op, x, y) => {
    expect(await unary(op, x)).toEqual(y);
  });
});

describe('binary', () => {
  test('stretches axes by strides of 0', async () => {
    // [2, 1, 3] + [1, 2, 1] = [2, 2, 3]
    const y = bench.empty(12 * 4);
    await bench.run(binaryKernel('add', 'i32', 3), {
      shape: { size: 12 },
      buffers: { x0: bench.buffer(Int32Array.of(1, 2, 3, 4, 5, 6)), x1: bench.buffer(Int32Array.of(10, 20)), y },
      uniforms: { size: 12, n1: 2, n2: 3, s0_0: 3, s0_1: 0, s0_2: 1, s1_0: 0, s1_1: 1, s1_2: 0 },
    });
    expect([...(await bench.integers(y))]).toEqual([11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26]);
  });

  test.each([
    ['max', [nan, 1, 2, -inf], [1, nan, 3, 0], [nan, nan, 3, 0]],
    ['min', [nan, 1, 2, -inf], [1, nan, 3, 0], [nan, nan, 2, -inf]],
  ] as const)('%s is NaN where an operand is', async (op, a, b, expected) => {
    const y = bench.empty(16);
    const buffers = { x0: bench.buffer(Float32Array.from(a)), x1: bench.buffer(Float32Array.from(b)), y };
    const uniforms = { size: 4, s0_0: 1, s1_0: 1 };
    await bench.run(binaryKernel(op, 'f32', 1), { shape: { size: 4 }, buffers, uniforms });
    expect([...(await bench.floats(y))]).toEqual(expected);
  });

  test('comparisons with NaN are false, and integers are compared as integers', async () => {
    const y = bench.empty(8);
    const uniforms = { size: 2, s0_0: 1, s1_0: 1 };
    const of = (a: Float32Array | Int32Array) => ({ x0: bench.buffer(a), x1: bench.buffer(a), y });
    await bench.run(binaryKernel('equal', 'f32', 1), {
      shape: { size: 2 },
      buffers: of(Float32Array.of(nan, 1)),
      uniforms,
    });
    expect([...(await bench.integers(y))]).toEqual([0, 1]);
    const buffers = { x0: bench.buffer(Int32Array.of(2 ** 24, 5)), x1: bench.buffer(Int32Array.of(2 ** 24 + 1, 5)), y };
    await bench.run(binaryKernel('less', 'i32', 1), { shape: { size: 2 }, buffers, uniforms });
    expect([...(await bench.integers(y))]).toEqual([1, 0]);
  });
});

test('where moves bits, subnormals and NaN payloads included', async () => {
  const y = bench.empty(16);
  const words = Uint32Array.of(0x7fc12345, 0x00000001, 0x80000000, 0xff800000);
  await bench.run(whereKernel(1), {
    shape: { size: 4 },
    buffers: {
      x0: bench.buffer(Int32Array.of(1, -1, 0, 0)),
      x1: bench.buffer(words),
      x2: bench.buffer(words.toReversed()),
      y,
    },
    uniforms: { size: 4, s0_0: 1, s1_0: 1, s2_0: 1 },
  });
  expect([...new Uint32Array((await bench.integers(y)).buffer)]).toEqual([0x7fc12345, 1, 1, 0x7fc12345]);
});
