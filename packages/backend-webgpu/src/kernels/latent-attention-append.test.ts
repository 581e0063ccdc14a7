/** Appending to a latent cache: against the formulas in float64, and that nothing else of the pool is touched. */
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { type LatentAppendConfig, latentAppendKernel } from './latent-attention-append.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const EPSILON = 1e-6;
const PAGE = 4;

/** Rows of the pool before and after five tokens are appended at `start`, and what the new ones should be. */
async function append({ latent, rope, dtype }: LatentAppendConfig, start: number) {
  const [width, tokens] = [latent + rope, 5];
  const rows = floats(tokens * width, uniform(1, -3, 3));
  const norm = floats(latent, uniform(2, 0.5, 1.5));
  const angles = floats((tokens * rope) / 2, uniform(3, -3, 3));
  const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
  const pages = Int32Array.of(5, 0, 3, 2);
  const before = floats(6 * PAGE * width, uniform(4));
  const pool = bench.buffer(before);
  await bench.run(latentAppendKernel({ latent, rope, dtype }), {
    shape: { tokens },
    buffers: {
      rows: bench.buffer(rows),
      norm: bench.buffer(norm),
      cosines: bench.buffer(cosines),
      sines: bench.buffer(sines),
      pages: bench.buffer(pages),
      pool,
    },
    uniforms: { start, page_size: PAGE, epsilon: EPSILON },
  });
  const after = await bench.floats(pool);
  const [got, want, bounds]: number[][] = [[], [], []];
  const others = Float32Array.from(before);
  for (let t = 0; t < tokens; t++) {
    const place = pages[Math.floor((start + t) / PAGE)]! * PAGE + ((start + t) % PAGE);
    const row = rows.subarray(t * width, (t + 1) * width);
    const mean = row.subarray(0, latent).reduce((sum, x) => sum + x * x, 0) / latent;
    for (let i = 0; i < latent; i++) {
      want!.push((row[i]! / Math.sqrt(mean + EPSILON)) * norm[i]!);
      bounds!.push((latent / 2 + 8) * U * Math.abs(want!.at(-1)!));
    }
    for (let i = 0; i < rope / 2; i++) {
      const [a, b] = [row[latent + 2 * i]!, row[latent + 2 * i + 1]!];
      const [c, s] = [cosines[(t * rope) / 2 + i]!, sines[(t * rope) / 2 + i]!];
      want!.push(a * c - b * s, a * s + b * c);
      bounds!.push(2 * U * (Math.abs(a * c) + Math.abs(b * s)), 2 * U * (Math.abs(a * s) + Math.abs(b * c)));
    }
    got!.push(...after.subarray(place * width, (place + 1) * width));
    others.set(after.subarray(place * width, (place + 1) * width), place * width);
  }
  return { got: got!, want: want!, bounds: bounds!, after, others };
}

describe('appends across pages, normed and rotated', () => {
  test.each([
    { latent: 512, rope: 64, dtype: 'f32', start: 0 },
    { latent: 5, rope: 2, dtype: 'f32', start: 3 },
    { latent: 16, rope: 8, dtype: 'bf16', start: 6 },
    { latent: 16, rope: 8, dtype: 'f16', start: 11 },
  ] as const)('$latent + $rope in $dtype from token $start', async ({ start, ...config }) => {
    const { got, want, bounds, after, others } = await append(config, start);
    // Half a step of the cache's format on top, which rounding may add.
    const step = { f32: 0, bf16: 2 ** -8, f16: 2 ** -11 }[config.dtype];
    const bound = (i: number) => bounds[i]! + step * (Math.abs(want[i]!) + bounds[i]!) + 2 ** -25;
    expect(worst(got, want, config.dtype === 'f32' ? (i) => bounds[i]! + 2 ** -126 : bound)).toBeLessThanOrEqual(1);
    expect(after).toEqual(others);
    if (config.dtype === 'bf16') expect(got).toEqual(got.map((x) => decodeBf16(encodeBf16(x))));
    if (config.dtype === 'f16') expect(got).toEqual(got.map((x) => decodeF16(encodeF16(x))));
  });
});
