/** Attention in both forms of MLA: over keys and values per head, and over cached latents in pages. */
import { decodeBf16, encodeBf16, type LatentCacheView } from '@mariana/core';
import fc from 'fast-check';
import { axis, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { attendHead } from '../oracle/attention.ts';
import { type Random, randomFrom, reals, shuffled } from '../random.ts';
import type { Workbench } from '../workbench.ts';

interface Dense {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly width: number;
  readonly valueWidth: number;
  readonly queryStart: number | undefined;
  readonly spread: number;
  readonly seed: number;
}

const dense: fc.Arbitrary<Dense> = fc.record({
  batch: axis(3),
  queries: axis(17),
  keys: axis(33, 1),
  heads: axis(5),
  width: axis(33, 1),
  valueWidth: axis(33),
  queryStart: fc.option(fc.nat(20), { nil: undefined }),
  spread: fc.constantFrom(1, 8),
  seed: valueSeed,
});

const DENSE: readonly Dense[] = [
  { batch: 1, queries: 1, keys: 1, heads: 1, width: 1, valueWidth: 1, queryStart: 0, spread: 1, seed: 1 },
  { batch: 1, queries: 7, keys: 7, heads: 3, width: 6, valueWidth: 4, queryStart: undefined, spread: 1, seed: 2 },
  { batch: 2, queries: 3, keys: 19, heads: 5, width: 24, valueWidth: 16, queryStart: 16, spread: 1, seed: 3 },
  { batch: 2, queries: 1, keys: 129, heads: 2, width: 5, valueWidth: 7, queryStart: 128, spread: 8, seed: 4 },
  { batch: 1, queries: 0, keys: 5, heads: 2, width: 4, valueWidth: 4, queryStart: 5, spread: 1, seed: 5 },
  { batch: 0, queries: 2, keys: 2, heads: 2, width: 4, valueWidth: 4, queryStart: 0, spread: 1, seed: 6 },
];

async function expectAttention(bench: Workbench, one: Dense): Promise<void> {
  const { batch, queries, keys, heads, width, valueWidth, queryStart, spread, seed } = one;
  const random = randomFrom(seed);
  const q = reals(random, batch * queries * heads * width, -spread, spread);
  const k = reals(random, batch * keys * heads * width, -spread, spread);
  const v = reals(random, batch * keys * heads * valueWidth);
  const scale = Math.fround(width ** -0.5);
  const values = new Float64Array(batch * queries * heads * valueWidth);
  const bound = new Float64Array(values.length);
  for (let at = 0; at < batch * heads; at++) {
    const [b, h] = [Math.floor(at / heads), at % heads];
    const row = (data: Float32Array, tokens: number, size: number) => (token: number) => {
      const start = ((b * tokens + token) * heads + h) * size;
      return data.subarray(start, start + size);
    };
    const head = {
      queries,
      keys,
      query: row(q, queries, width),
      key: row(k, keys, width),
      value: row(v, keys, valueWidth),
      width: valueWidth,
    };
    attendHead(head, scale, queryStart ?? 0, bench.tolerance).forEach((result, i) => {
      values.set(result.values, ((b * queries + i) * heads + h) * valueWidth);
      bound.set(result.errors, ((b * queries + i) * heads + h) * valueWidth);
    });
  }
  const result = bench.backend.attention(
    bench.tensor(q, [batch, queries, heads, width]),
    bench.tensor(k, [batch, keys, heads, width]),
    bench.tensor(v, [batch, keys, heads, valueWidth]),
    { scale, ...(queryStart === undefined ? {} : { queryStart }) },
  );
  await bench.expect(result, { shape: [batch, queries, heads, valueWidth], values, bound });
}

interface Latent {
  readonly dtype: 'f32' | 'bf16';
  readonly queries: number;
  /** Tokens of the sequence before the queries. */
  readonly past: number;
  readonly heads: number;
  readonly latent: number;
  readonly rope: number;
  readonly pageSize: number;
  readonly spread: number;
  readonly seed: number;
}

const latents = (dtype: Latent['dtype']): fc.Arbitrary<Latent> =>
  fc.record({
    dtype: fc.constant(dtype),
    queries: axis(9),
    past: axis(65, 1),
    heads: axis(5, 1),
    latent: axis(33, 1),
    rope: axis(9),
    pageSize: axis(16, 1),
    spread: fc.constantFrom(1, 6),
    seed: valueSeed,
  });

const LATENTS: readonly Omit<Latent, 'dtype'>[] = [
  { queries: 1, past: 0, heads: 1, latent: 1, rope: 0, pageSize: 1, spread: 1, seed: 1 },
  { queries: 1, past: 16, heads: 3, latent: 8, rope: 4, pageSize: 16, spread: 1, seed: 2 },
  { queries: 1, past: 15, heads: 3, latent: 8, rope: 4, pageSize: 16, spread: 1, seed: 3 },
  { queries: 5, past: 0, heads: 2, latent: 17, rope: 6, pageSize: 4, spread: 1, seed: 4 },
  { queries: 3, past: 257, heads: 2, latent: 5, rope: 2, pageSize: 64, spread: 6, seed: 5 },
  { queries: 0, past: 5, heads: 2, latent: 4, rope: 2, pageSize: 4, spread: 1, seed: 6 },
];

/** A pool in which the pages of the sequence lie scattered among garbage, with its rows in their order. */
function pagedPool(random: Random, one: Latent) {
  const { dtype, past, queries, latent, rope, pageSize, spread } = one;
  const length = past + queries;
  const width = latent + rope;
  const used = Math.ceil(length / pageSize);
  const pages = Int32Array.from(shuffled(random, used + 3).slice(0, used));
  const poolRows = (used + 3) * pageSize;
  const rows = Array.from({ length }, () => {
    const row = reals(random, width, -spread, spread);
    return dtype === 'bf16' ? row.map((x) => decodeBf16(encodeBf16(x))) : row;
  });
  // What no token of the sequence wrote must not be read: there may be anything, here NaN.
  const values = new Float32Array(poolRows * width).fill(Number.NaN);
  rows.forEach((row, token) => {
    values.set(row, (pages[Math.floor(token / pageSize)]! * pageSize + (token % pageSize)) * width);
  });
  const data = dtype === 'bf16' ? Uint16Array.from(values, encodeBf16) : values;
  return { rows, data, shape: [poolRows, width], pages, length };
}

async function expectLatentAttention(bench: Workbench, one: Latent): Promise<void> {
  const { dtype, queries, past, heads, latent, rope, pageSize, spread, seed } = one;
  const random = randomFrom(seed);
  const width = latent + rope;
  const { rows, data, shape, pages, length } = pagedPool(random, one);
  const q = reals(random, queries * heads * width, -spread, spread);
  const scale = Math.fround(width ** -0.5);
  const values = new Float64Array(queries * heads * latent);
  const bound = new Float64Array(values.length);
  for (let h = 0; h < heads; h++) {
    // The naive form: every head has the row as its key, and the latent part of it as its value.
    const head = {
      queries,
      keys: length,
      query: (i: number) => q.subarray((i * heads + h) * width, (i * heads + h + 1) * width),
      key: (j: number) => rows[j]!,
      value: (j: number) => rows[j]!.subarray(0, latent),
      width: latent,
    };
    attendHead(head, scale, past, bench.tolerance).forEach((result, i) => {
      values.set(result.values, (i * heads + h) * latent);
      bound.set(result.errors, (i * heads + h) * latent);
    });
  }
  const cache: LatentCacheView = { pool: bench.tensor(data, shape, dtype), pageSize, pages, length };
  const result = bench.backend.latentAttention(bench.tensor(q, [queries, heads, width]), cache, {
    latentDim: latent,
    scale,
    queryStart: past,
  });
  await bench.expect(result, { shape: [queries, heads, latent], values, bound });
}

export const attentionCases: readonly CaseDefinition[] = [
  property('attention', 'agrees with float64', { arbitrary: dense, examples: DENSE }, expectAttention),

  example('attention', 'a query sees itself and what came before, and nothing later', async (bench) => {
    // Keys are all alike, so each query gives the mean of the values that it sees.
    const { backend } = bench;
    const ones = (n: number, shape: number[]) => bench.tensor(new Float32Array(n).fill(1), shape);
    const v = bench.tensor(Float32Array.of(1, 2, 4, 8, 16), [1, 5, 1, 1]);
    const [q, k] = [ones(4, [1, 2, 1, 2]), ones(10, [1, 5, 1, 2])];
    const means = async (queryStart: number | undefined, ...values: number[]) => {
      const options = { scale: 1, ...(queryStart === undefined ? {} : { queryStart }) };
      await bench.expect(backend.attention(q, k, v, options), { shape: [1, 2, 1, 1], values, bound: 1e-5 });
    };
    await means(undefined, 1, 1.5);
    await means(0, 1, 1.5);
    await means(2, 7 / 3, 15 / 4);
    await means(3, 15 / 4, 31 / 5);
    await means(9, 31 / 5, 31 / 5);
  }),

  example('attention', 'of scores that exp cannot hold', async (bench) => {
    const q = bench.tensor(Float32Array.of(100, -100), [1, 1, 2, 1]);
    const k = bench.tensor(Float32Array.of(10, 10, -10, -10), [1, 2, 2, 1]);
    const v = bench.tensor(Float32Array.of(1, 2, 3, 4), [1, 2, 2, 1]);
    const result = bench.backend.attention(q, k, v, { scale: 1, queryStart: 1 });
    await bench.expect(result, { shape: [1, 1, 2, 1], values: [1, 4], bound: 1e-5 });
  }),

  example('attention', 'takes one tensor for queries, keys and values', async (bench) => {
    // Two tokens of one number each: the second sees both, with scores 0 and 1 and so the weights of a sigmoid at 1.
    const x = bench.tensor(Float32Array.of(0, 1), [1, 2, 1, 1]);
    const result = bench.backend.attention(x, x, x, { scale: 1 });
    await bench.expect(result, { shape: [1, 2, 1, 1], values: [0, 0.7310585786], bound: 1e-5 });
  }),

  example('attention', 'refuses operands that do not fit', async (bench) => {
    const { backend } = bench;
    const of = (...shape: number[]) => bench.tensor(new Float32Array(shape.reduce((a, b) => a * b)), shape);
    const options = { scale: 1 };
    const [q, k, v] = [of(1, 2, 3, 4), of(1, 5, 3, 4), of(1, 5, 3, 2)];
    await bench.refuses('keys of width 5', 'SHAPE_MISMATCH', () => backend.attention(q, of(1, 5, 3, 5), v, options));
    await bench.refuses('keys of 2 heads', 'SHAPE_MISMATCH', () => backend.attention(q, of(1, 5, 2, 4), v, options));
    await bench.refuses('6 values', 'SHAPE_MISMATCH', () => backend.attention(q, k, of(1, 6, 3, 2), options));
    await bench.refuses('rank 3', 'SHAPE_MISMATCH', () => backend.attention(of(2, 3, 4), k, v, options));
    const ints = bench.tensor(new Int32Array(24), [1, 2, 3, 4]);
    await bench.refuses('queries of i32', 'DTYPE_MISMATCH', () => backend.attention(ints, k, v, options));
  }),

  ...(['f32', 'bf16'] as const).map((dtype) =>
    property(
      'latentAttention',
      `over ${dtype} pages in any order agrees with the naive form in float64`,
      { arbitrary: latents(dtype), examples: LATENTS.map((one) => ({ ...one, dtype })) },
      expectLatentAttention,
    ),
  ),

  example('latentAttention', 'reads rows that writeRows has just written', async (bench) => {
    const { backend } = bench;
    const pool = bench.target(new Uint16Array(12), [4, 3], 'bf16');
    const q = bench.tensor(Float32Array.of(0, 0, 0), [1, 1, 3]);
    const pages = Int32Array.of(1, 0);
    const view = { pool, pageSize: 2, pages, length: 3 };
    const options = { latentDim: 2, scale: 1, queryStart: 2 };
    await bench.expect(backend.latentAttention(q, view, options), { shape: [1, 1, 2], values: [0, 0] });
    // Tokens 0, 1 and 2 lie in rows 2, 3 and 0.
    const rows = bench.tensor(Float32Array.of(1, 2, 9, 4, 8, 9, 16, 32, 9), [3, 3]);
    backend.writeRows(pool, Int32Array.of(2, 3, 0), rows);
    await bench.expect(backend.latentAttention(q, view, options), { shape: [1, 1, 2], values: [7, 14], bound: 1e-5 });
  }),

  example('latentAttention', 'refuses queries that do not fit, and pages that are not there', async (bench) => {
    const { backend } = bench;
    const pool = bench.tensor(new Float32Array(12), [4, 3]);
    const q = bench.tensor(new Float32Array(3), [1, 1, 3]);
    const narrow = bench.tensor(new Float32Array(2), [1, 1, 2]);
    const flat = bench.tensor(new Float32Array(3), [1, 3]);
    const options = { latentDim: 2, scale: 1 };
    const view = (pages: number[], length: number) => ({ pool, pageSize: 2, pages: Int32Array.from(pages), length });
    await bench.refuses('rows of width 2', 'SHAPE_MISMATCH', () =>
      backend.latentAttention(narrow, view([0], 2), options),
    );
    await bench.refuses('rank 2', 'SHAPE_MISMATCH', () => backend.latentAttention(flat, view([0], 2), options));
    await bench.refuses('3 tokens in a page of 2', 'INVALID_ARGUMENT', () =>
      backend.latentAttention(q, view([0], 3), options),
    );
    await bench.refuses('page 2 of 2', 'INVALID_ARGUMENT', () => backend.latentAttention(q, view([2], 2), options));
    await bench.refuses('page -1', 'INVALID_ARGUMENT', () => backend.latentAttention(q, view([-1], 2), options));
  }),

  example('latentAttention', 'is cheap to call often: nothing piles up', async (bench) => {
    const { backend } = bench;
    const pool = bench.tensor(reals(randomFrom(1), 8 * 3), [8, 3]);
    const q = bench.tensor(reals(randomFrom(2), 6), [1, 2, 3]);
    const before = backend.memory();
    for (let length = 1; length <= 8; length++) {
      const pages = Int32Array.from({ length: Math.ceil(length / 2) }, (_, i) => i);
      const options = { latentDim: 2, scale: 1, queryStart: length - 1 };
      backend.latentAttention(q, { pool, pageSize: 2, pages, length }, options).dispose();
    }
    const { tensors } = backend.memory();
    bench.must(tensors === before.tensors, `8 calls left ${tensors - before.tensors} tensors`);
  }),
];
