/** Products with stored matrices, on every build and thread count, against float64. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gemm, matmulDense, vecmat } from './dense.ts';
import type { KernelEngine } from './engine.ts';
import {
  e4m3Value,
  normal,
  product,
  put,
  random,
  SETUPS,
  startEngine,
  sumError,
  take,
  toBf16,
  worst,
} from './test-kit.ts';

/** [T, N, K]: matrix-vector and tiled, with partial vectors, rows, tiles and blocks. */
const SHAPES: [T: number, N: number, K: number][] = [
  [1, 1, 1],
  [1, 4, 16],
  [1, 7, 33],
  [2, 130, 129],
  [3, 257, 300],
  [5, 66, 515],
  [8, 9, 31],
  [10, 9, 31],
  [13, 131, 260],
  [131, 70, 257],
  // More than one block either way, and one that no number of threads can cut.
  [250, 200, 300],
  [10, 16, 6000],
];

describe.each(SETUPS)('dense products: $name', ({ options }) => {
  let engine: KernelEngine;
  beforeAll(async () => {
    engine = await startEngine(options);
  });
  afterAll(() => engine.dispose());

  it.each(SHAPES)('F32, %i tokens, [%i, %i]', (T, N, K) => {
    const x = normal(T * K, 1);
    const w = normal(N * K, 2);
    const a = engine.arena;
    const y = put(a, normal(T * N, 3));
    matmulDense(engine.job(), { x: put(a, x), w: { format: 'f32', at: put(a, w), rows: N, cols: K }, y, tokens: T });
    engine.job().run();
    const want = product(x, w, T, N, K);
    expect(worst(take(a, y, T * N), want.y, (i) => sumError(K) * want.size[i]! + 1e-30)).toBeLessThanOrEqual(1);
  });

  it.each(SHAPES)('BF16, %i tokens, [%i, %i]', (T, N, K) => {
    const x = normal(T * K, 4);
    const w = toBf16(normal(N * K, 5));
    const a = engine.arena;
    const y = a.alloc(T * N * 4);
    matmulDense(engine.job(), {
      x: put(a, x),
      w: { format: 'bf16', at: put(a, w.bits), rows: N, cols: K },
      y,
      tokens: T,
    });
    engine.job().run();
    const want = product(x, w.values, T, N, K);
    expect(worst(take(a, y, T * N), want.y, (i) => sumError(K) * want.size[i]! + 1e-30)).toBeLessThanOrEqual(1);
  });

  it.each(SHAPES)('FP8, %i tokens, [%i, %i]', (T, N, K) => {
    const next = random(6);
    const x = normal(T * K, 7);
    // Every code but the two NaNs, subnormal ones included.
    const codes = Uint8Array.from({ length: N * K }, () => {
      const code = Math.floor(next() * 256);
      return (code & 0x7f) === 0x7f ? code - 1 : code;
    });
    const across = Math.ceil(K / 128);
    const scales = Float32Array.from({ length: Math.ceil(N / 128) * across }, () => 0.001 + next());
    const w = Float64Array.from(codes, (code, i) => {
      const scale = scales[Math.floor(Math.floor(i / K) / 128) * across + Math.floor((i % K) / 128)]!;
      return e4m3Value(code) * scale;
    });
    const a = engine.arena;
    const y = a.alloc(T * N * 4);
    const matrix = { format: 'fp8', at: put(a, codes), rows: N, cols: K, scales: put(a, scales) } as const;
    matmulDense(engine.job(), { x: put(a, x), w: matrix, y, tokens: T });
    engine.job().run();
    const want = product(x, w, T, N, K);
    // One more rounding than F32 has: of code * scale, or of x * scale.
    expect(
      worst(take(a, y, T * N), want.y, (i) => (sumError(K) + 2 ** -23) * want.size[i]! + 1e-25),
    ).toBeLessThanOrEqual(1);
  });

  it.each([
    [1, 100],
    [11, 100],
  ])('takes listed rows, strides and adds to what is there (%i tokens)', (T, K) => {
    const N = 37;
    const x = normal(20 * 128, 8);
    const w = normal(N * K, 9);
    const before = normal(T * 64, 10);
    const rows = Int32Array.from({ length: T }, (_, t) => (t * 7 + 3) % 20);
    const a = engine.arena;
    const y = put(a, before);
    matmulDense(engine.job(), {
      x: put(a, x),
      xStride: 128,
      w: { format: 'f32', at: put(a, w), rows: N, cols: K },
      y,
      yStride: 64,
      tokens: T,
      rows: put(a, rows),
      accumulate: true,
    });
    engine.job().run();
    const got = take(a, y, T * 64);
    for (let t = 0; t < T; t++) {
      const row = rows[t]!;
      const want = product(x.subarray(row * 128, row * 128 + K), w, 1, N, K);
      const sums = want.y.map((v, n) => v + before[t * 64 + n]!);
      expect(worst(got.subarray(t * 64, t * 64 + N), sums, () => 1e-4)).toBeLessThanOrEqual(1);
      expect(got.subarray(t * 64 + N, t * 64 + 64)).toEqual(before.subarray(t * 64 + N, t * 64 + 64));
    }
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('multiplies in batches, transposed %s and %s', (transposeA, transposeB) => {
    const [batch, m, n, k] = [3, 133, 70, 261];
    const left = normal(batch * m * k, 11);
    const right = normal(batch * n * k, 12);
    const a = engine.arena;
    const c = a.alloc(batch * m * n * 4);
    const store = (v: Float32Array, rows: number, transposed: boolean) =>
      transposed
        ? v.map(
            (_, i) => v[Math.floor(i / (rows * k)) * rows * k + (i % rows) * k + Math.floor((i % (rows * k)) / rows)]!,
          )
        : v;
    gemm(engine.job(), {
      a: put(a, store(left, m, transposeA)),
      b: put(a, store(right, n, !transposeB)),
      c,
      m,
      n,
      k,
      transposeA,
      transposeB,
      batch,
      strideA: m * k,
      strideB: n * k,
      strideC: m * n,
    });
    engine.job().run();
    const got = take(a, c, batch * m * n);
    for (let i = 0; i < batch; i++) {
      const want = product(
        left.subarray(i * m * k, (i + 1) * m * k),
        right.subarray(i * n * k, (i + 1) * n * k),
        m,
        n,
        k,
      );
      const part = got.subarray(i * m * n, (i + 1) * m * n);
      expect(worst(part, want.y, (j) => sumError(k) * want.size[j]! + 1e-30)).toBeLessThanOrEqual(1);
    }
  });

  it.each([
    [1, 64, 32],
    [3, 37, 100],
    [2, 512, 128],
  ])('goes the other way round, %i tokens, [%i, %i]', (T, K, N) => {
    const x = normal(T * K, 13);
    const w = toBf16(normal(K * N, 14));
    const flipped = Float32Array.from({ length: N * K }, (_, i) => w.values[(i % K) * N + Math.floor(i / K)]!);
    const want = product(x, flipped, T, N, K);
    const a = engine.arena;
    const y = a.alloc(T * N * 4);
    for (const [format, at] of [
      ['bf16', put(a, w.bits)],
      ['f32', put(a, w.values)],
    ] as const) {
      vecmat(engine.job(), { x: put(a, x), w: { format, at, rows: K, cols: N }, y, tokens: T });
      engine.job().run();
      expect(worst(take(a, y, T * N), want.y, (i) => sumError(K) * want.size[i]! + 1e-30)).toBeLessThanOrEqual(1);
    }
  });

  it('carries NaN and infinity to the rows that meet them, and to no others', () => {
    const K = 48;
    const w = new Float32Array(6 * K).fill(1);
    w[2 * K + 5] = Number.NaN;
    w[4 * K + 47] = Number.POSITIVE_INFINITY;
    const a = engine.arena;
    for (const T of [1, 11]) {
      const y = a.alloc(T * 6 * 4);
      const x = put(a, new Float32Array(T * K).fill(1));
      matmulDense(engine.job(), { x, w: { format: 'f32', at: put(a, w), rows: 6, cols: K }, y, tokens: T });
      engine.job().run();
      const want = [K, K, Number.NaN, K, Number.POSITIVE_INFINITY, K];
      expect([...take(a, y, T * 6)]).toEqual(Array.from({ length: T }, () => want).flat());
    }
  });

  it('does nothing for no tokens', () => {
    const a = engine.arena;
    const y = put(a, Float32Array.of(1, 2, 3, 4));
    matmulDense(engine.job(), { x: y, w: { format: 'f32', at: y, rows: 4, cols: 1 }, y, tokens: 0 });
    engine.job().run();
    expect([...take(a, y, 4)]).toEqual([1, 2, 3, 4]);
  });

  it.each(['f32', 'bf16', 'fp8'] as const)('gives the same bits for one token as for several, %s', (format) => {
    const [most, N, K] = [5, 42, 203];
    const x = normal(most * K, 15);
    const a = engine.arena;
    const y = a.alloc(most * N * 4);
    const next = random(16);
    const values = {
      f32: () => normal(N * K, 16),
      bf16: () => toBf16(normal(N * K, 16)).bits,
      fp8: () => Uint8Array.from({ length: N * K }, () => Math.floor(next() * 2) * 128 + Math.floor(next() * 120)),
    };
    const scales = format === 'fp8' ? { scales: put(a, Float32Array.of(0.3, 0.7)) } : {};
    const matrix = { format, at: put(a, values[format]()), rows: N, cols: K, ...scales };
    const at = put(a, x);
    for (const T of [2, 3, 4, most]) {
      matmulDense(engine.job(), { x: at, w: matrix, y, tokens: T });
      engine.job().run();
      const together = take(a, y, T * N);
      for (let t = 0; t < T; t++) {
        matmulDense(engine.job(), { x: at + t * K * 4, w: matrix, y, tokens: 1 });
        engine.job().run();
        expect(take(a, y, N)).toEqual(together.subarray(t * N, (t + 1) * N));
      }
    }
  });
});
