/** RMSNorm, rotation and the gate of a feed-forward, against their formulas in double precision. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { rmsNormKernel, rotaryKernel, swigluKernel } from './norm.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

test('RMSNorm of rows that are longer and shorter than a workgroup', async () => {
  for (const [rows, length] of [
    [3, 7],
    [2, 300],
  ] as const) {
    const x = floats(rows * length, uniform(1, -3, 3));
    const weight = floats(length, uniform(2));
    const y = bench.empty(x.byteLength);
    const epsilon = 1e-6;
    await bench.run(rmsNormKernel(), {
      shape: { rows },
      buffers: { x: bench.buffer(x), weight: bench.buffer(weight), y },
      uniforms: { rows, length, epsilon },
    });
    const expected = Array.from(x, (value, i) => {
      const row = x.subarray(i - (i % length), i - (i % length) + length);
      const mean = row.reduce((sum, one) => sum + one * one, 0) / length;
      return (value / Math.sqrt(mean + epsilon)) * weight[i % length]!;
    });
    const bound = (i: number) => (length / 2 + 10) * 2 * U * Math.abs(expected[i]!) + 2 ** -126;
    expect(worst(await bench.floats(y), expected, bound)).toBeLessThan(1);
  }
});

test('pairs are rotated by the angle of their token', async () => {
  const [tokens, heads, half] = [3, 2, 5];
  const x = floats(tokens * heads * 2 * half, uniform(3));
  const angles = floats(tokens * half, uniform(4, -3, 3));
  const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
  const y = bench.empty(x.byteLength);
  const size = x.length / 2;
  await bench.run(rotaryKernel(), {
    shape: { size },
    buffers: { x: bench.buffer(x), cosines: bench.buffer(cosines), sines: bench.buffer(sines), y },
    uniforms: { size, heads, half },
  });
  const expected: number[] = [];
  for (let i = 0; i < size; i++) {
    const at = Math.floor(i / (heads * half)) * half + (i % half);
    const [a, b, c, s] = [x[2 * i]!, x[2 * i + 1]!, cosines[at]!, sines[at]!];
    expected.push(a * c - b * s, a * s + b * c);
  }
  expect(worst(await bench.floats(y), expected, () => 6 * U)).toBeLessThan(1);
});

test('the gate lets through by its sigmoid, and overflows nowhere', async () => {
  const gate = Float32Array.of(-200, -88, -3, 0, 2, 90, 200);
  const up = Float32Array.of(1, 2, -3, 4, 5, 6, -7);
  const y = bench.empty(gate.byteLength);
  await bench.run(swigluKernel(), {
    shape: { size: gate.length },
    buffers: { x0: bench.buffer(gate), x1: bench.buffer(up), y },
    uniforms: { size: gate.length, s0_0: 1, s1_0: 1 },
  });
  const expected = Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * up[i]!);
  // A gate of -200 counts as one of -88: both are zero for all purposes.
  const bound = (i: number) => 200 * U * Math.abs(expected[i]!) + 1e-30;
  expect(worst(await bench.floats(y), expected, bound)).toBeLessThan(1);
});
