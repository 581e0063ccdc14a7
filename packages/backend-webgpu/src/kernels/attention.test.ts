/** Both attention kernels against float64 formulas, and against the contract's default on the reference backend. */
import { reference } from '@mariana/backend-reference';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attentionKernel } from './attention.ts';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { type LatentAttentionShape, latentAttentionKernel, latentAttentionShape } from './latent-attention.ts';
import { latentCombineKernel } from './latent-attention-combine.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

interface Naive {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly width: number;
  readonly valueWidth: number;
  readonly start: number;
  readonly spread: number;
}

/**
 * One row by its formula, with the bound of `attention.ts`: errors of the scores, of `exp` (2u (3 + 2x) of e^-x), of
 * sums over n keys, one rounding for each tile of 32 and split, and the division.
 */
function attend(q: Float32Array, keys: Float32Array[], values: Float32Array[], scale: number) {
  const scores = keys.map((key) => q.reduce((sum, x, i) => sum + x * key[i]!, 0) * scale);
  const scoreErrors = keys.map((key) => {
    const magnitudes = q.reduce((sum, x, i) => sum + Math.abs(x * key[i]!), 0);
    return (q.length + 4) * U * magnitudes * Math.abs(scale);
  });
  const most = Math.max(...scores);
  const terms = scores.map((score) => Math.exp(score - most));
  const total = terms.reduce((a, b) => a + b, 0);
  const steps = keys.length + 2 * Math.ceil(keys.length / 32) + 32;
  const relative = scores.map(
    (score, i) => Math.expm1(scoreErrors[i]! + (most - score) * U) + 2 * U * (3 + 2 * (most - score)) + steps * U,
  );
  const ofTotal = terms.reduce((sum, term, i) => sum + (term * relative[i]!) / total, 5 * U);
  const width = values[0]!.length;
  const result = Array.from({ length: width }, (_, d) =>
    terms.reduce((sum, term, i) => sum + (term * values[i]![d]!) / total, 0),
  );
  const bound = Array.from({ length: width }, (_, d) =>
    terms.reduce(
      (sum, term, i) => sum + ((term * Math.abs(values[i]![d]!)) / total) * (relative[i]! + ofTotal),
      2 ** -120,
    ),
  );
  return { result, bound };
}

async function expectNaive({ batch, queries, keys, heads, width, valueWidth, start, spread }: Naive, seed: number) {
  const next = uniform(seed, -spread, spread);
  const q = floats(batch * queries * heads * width, next);
  const k = floats(batch * keys * heads * width, next);
  const v = floats(batch * keys * heads * valueWidth, next);
  const scale = Math.fround(width ** -0.5);
  const result = bench.empty(batch * queries * heads * valueWidth * 4);
  await bench.run(attentionKernel({ width, valueWidth }), {
    shape: { batch, queries, heads },
    buffers: { query: bench.buffer(q), key: bench.buffer(k), value: bench.buffer(v), result },
    uniforms: { queries, keys, heads, query_start: start, scale },
  });
  const want: number[] = [];
  const bound: number[] = [];
  for (let at = 0; at < batch * queries * heads; at++) {
    const [b, i, h] = [Math.floor(at / heads / queries), Math.floor(at / heads) % queries, at % heads];
    const visible = Math.min(keys, start + i + 1);
    const rows = (data: Float32Array, size: number) =>
      Array.from({ length: visible }, (_, j) => data.subarray(((b * keys + j) * heads + h) * size).subarray(0, size));
    const one = attend(q.subarray(at * width, (at + 1) * width), rows(k, width), rows(v, valueWidth), scale);
    want.push(...one.result);
    bound.push(...one.bound);
  }
  expect(worst(await bench.floats(result), want, (i) => bound[i]!)).toBeLessThanOrEqual(1);
}

describe('the naive form', () => {
  test.each([
    { batch: 1, queries: 37, keys: 37, heads: 2, width: 24, valueWidth: 16, start: 0, spread: 1 },
    { batch: 2, queries: 3, keys: 70, heads: 3, width: 192, valueWidth: 128, start: 67, spread: 1 },
    { batch: 1, queries: 2, keys: 130, heads: 1, width: 7, valueWidth: 5, start: 128, spread: 6 },
    { batch: 1, queries: 1, keys: 1, heads: 1, width: 1, valueWidth: 1, start: 0, spread: 1 },
    { batch: 1, queries: 2, keys: 9, heads: 2, width: 8, valueWidth: 520, start: 3, spread: 1 },
  ])('$queries queries from $start on, $keys keys, $heads heads of $width and $valueWidth', (one) =>
    expectNaive(one, 7),
  );

  test('agrees with the contract’s default', async () => {
    const backend = reference();
    const [q, k, v] = [1, 2, 3].map((seed) => floats(9 * 2 * 8, uniform(seed)));
    const up = (x: Float32Array) => backend.upload(x, [1, 9, 2, 8]);
    const want = await backend.read(backend.attention(up(q!), up(k!), up(v!), { scale: 0.4 }));
    const result = bench.empty(want.byteLength);
    await bench.run(attentionKernel({ width: 8, valueWidth: 8 }), {
      shape: { batch: 1, queries: 9, heads: 2 },
      buffers: { query: bench.buffer(q!), key: bench.buffer(k!), value: bench.buffer(v!), result },
      uniforms: { queries: 9, keys: 9, heads: 2, query_start: 0, scale: 0.4 },
    });
    // Scores are below 0.4 * 8, keys 9: the terms of the bound above come to less than 100 u.
    expect(worst(await bench.floats(result), want as Float32Array, () => 100 * U)).toBeLessThanOrEqual(1);
  });
});

interface Latent {
  readonly queries: number;
  readonly past: number;
  readonly heads: number;
  readonly latent: number;
  readonly rope: number;
  readonly pageSize: number;
  readonly spread: number;
  readonly shape?: LatentAttentionShape;
}

async function latentCase(
  { queries, past, heads, latent, rope, pageSize, spread, shape: given }: Latent,
  seed: number,
) {
  const [width, length, rows] = [latent + rope, past + queries, queries * heads];
  const next = uniform(seed, -spread, spread);
  const q = floats(rows * width, next);
  const cached = Array.from({ length }, () => floats(width, next));
  // Pages lie scattered and in no order; what no token wrote is NaN.
  const used = Math.ceil(length / pageSize);
  const pages = Int32Array.from({ length: used }, (_, i) => (i % 2 === 0 ? used + 1 - i / 2 : (i - 1) / 2));
  const pool = new Float32Array((used + 2) * pageSize * width).fill(Number.NaN);
  for (const [t, row] of cached.entries())
    pool.set(row, (pages[Math.floor(t / pageSize)]! * pageSize + (t % pageSize)) * width);
  const scale = Math.fround(width ** -0.5);
  const shape = given ?? latentAttentionShape(rows, length);
  const partial = shape.splits > 1;
  const result = bench.empty(rows * latent * 4);
  const buffers = { query: bench.buffer(q), pool: bench.buffer(pool), pages: bench.buffer(pages) };
  const parts = { result: bench.empty(shape.splits * rows * latent * 4), stats: bench.empty(shape.splits * rows * 8) };
  await bench.run(latentAttentionKernel({ latent, rope, partial }), {
    shape,
    buffers: { ...buffers, ...(partial ? parts : { result }) },
    uniforms: { rows, heads, length, query_start: past, page_size: pageSize, split: shape.splitTokens, scale },
  });
  if (partial) {
    await bench.run(latentCombineKernel({ latent, rope }), {
      shape: { rows },
      buffers: { partial: parts.result, stats: parts.stats, result },
      uniforms: { rows, splits: shape.splits },
    });
  }
  const want: number[] = [];
  const bound: number[] = [];
  for (let row = 0; row < rows; row++) {
    const seen = cached.slice(0, Math.min(length, past + Math.floor(row / heads) + 1));
    const values = seen.map((one) => one.subarray(0, latent));
    const one = attend(q.subarray(row * width, (row + 1) * width), seen, values, scale);
    want.push(...one.result);
    // A split more: one exponential and two roundings, of numerators and denominators alike.
    bound.push(...one.bound.map((b, d) => b + (partial ? 20 * U * (Math.abs(one.result[d]!) + spread) : 0)));
  }
  return { ratio: worst(await bench.floats(result), want, (i) => bound[i]!), splits: shape.splits };
}

describe('the absorbed form, over pages', () => {
  test.each<Latent & { splits: number }>([
    { queries: 1, past: 0, heads: 1, latent: 1, rope: 0, pageSize: 1, spread: 1, splits: 1 },
    { queries: 1, past: 700, heads: 16, latent: 512, rope: 64, pageSize: 64, spread: 1, splits: 8 },
    { queries: 5, past: 30, heads: 7, latent: 16, rope: 8, pageSize: 16, spread: 1, splits: 1 },
    { queries: 20, past: 0, heads: 3, latent: 17, rope: 6, pageSize: 4, spread: 1, splits: 1 },
    { queries: 3, past: 257, heads: 2, latent: 5, rope: 2, pageSize: 64, spread: 6, splits: 3 },
  ])(
    '$queries queries of $heads heads after $past, $latent + $rope wide, pages of $pageSize',
    async ({ splits, ...one }) => {
      const got = await latentCase(one, 3);
      expect(got.splits).toBe(splits);
      expect(got.ratio).toBeLessThanOrEqual(1);
    },
  );

  test('splits in which the first queries see nothing', async () => {
    const shape = { rows: 80, splits: 3, splitTokens: 32 };
    const one = { queries: 40, past: 40, heads: 2, latent: 8, rope: 4, pageSize: 8, spread: 1, shape };
    expect((await latentCase(one, 4)).ratio).toBeLessThanOrEqual(1);
  });

  test('splits cover every context in whole tiles, and use the device', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 163_840 }), (rows, length) => {
        const { splits, splitTokens } = latentAttentionShape(rows, length);
        expect(splitTokens % 32).toBe(0);
        expect(splits * splitTokens).toBeGreaterThanOrEqual(length);
        expect((splits - 1) * splitTokens).toBeLessThan(length);
        expect(splits).toBeLessThanOrEqual(257);
      }),
    );
    expect(latentAttentionShape(128, 4096).splits).toBe(32);
    expect(latentAttentionShape(16, 16384).splits).toBe(256);
    expect(latentAttentionShape(4096, 4096).splits).toBe(1);
  });
});
