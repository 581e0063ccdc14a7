/** Attention in both forms, on every build, against float64 softmax over a whole score matrix. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { causalAttention, latentAttention } from './attention.ts';
import type { KernelEngine } from './engine.ts';
import { normal, put, random, SETUPS, startEngine, take, toBf16, worst } from './test-kit.ts';

/** out[c] = sum of softmax(scores) * value(j, c). */
function attend(scores: number[], value: (j: number, c: number) => number, width: number): number[] {
  const top = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - top));
  const total = e.reduce((s, v) => s + v, 0);
  return Array.from({ length: width }, (_, c) => e.reduce((s, v, j) => s + v * value(j, c), 0) / total);
}

const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, n: number) => {
  let s = 0;
  for (let k = 0; k < n; k++) s += a[i + k]! * b[j + k]!;
  return s;
};

describe.each(SETUPS)('attention: $name', ({ options }) => {
  let engine: KernelEngine;
  beforeAll(async () => {
    engine = await startEngine(options);
  });
  afterAll(() => engine.dispose());

  it.each([
    { format: 'f32', tokens: 1, heads: 1, latent: 4, rope: 2, start: 0, pageRows: 4 },
    { format: 'f32', tokens: 1, heads: 5, latent: 16, rope: 6, start: 40, pageRows: 16 },
    { format: 'bf16', tokens: 3, heads: 18, latent: 24, rope: 8, start: 97, pageRows: 64 },
    { format: 'f32', tokens: 11, heads: 16, latent: 32, rope: 8, start: 5, pageRows: 7 },
    { format: 'f32', tokens: 2, heads: 3, latent: 8, rope: 4, start: 1100, pageRows: 64 },
    { format: 'bf16', tokens: 1, heads: 17, latent: 12, rope: 4, start: 9000, pageRows: 100 },
  ] as const)('absorbed over pages: $format, $tokens tokens at $start, $heads heads of $latent + $rope', (c) => {
    const { tokens, heads, latent, rope, start, pageRows } = c;
    const width = latent + rope;
    const length = start + tokens;
    const pages = Math.ceil(length / pageRows);
    // Pages lie in any order, between pages of others.
    const next = random(1);
    const table = Int32Array.from({ length: pages }, (_, i) => 2 * i + 1);
    for (let i = pages - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [table[i], table[j]] = [table[j]!, table[i]!];
    }
    const cache = toBf16(normal((2 * pages + 1) * pageRows * width, 2));
    const values = c.format === 'bf16' ? cache.values : normal(cache.values.length, 3);
    const qLatent = normal(tokens * heads * latent, 4);
    const qRope = normal(tokens * heads * rope, 5);
    const a = engine.arena;
    const out = a.alloc(tokens * heads * latent * 4);
    const used = a.usedBytes;
    const o = {
      qLatent: put(a, qLatent),
      qRope: put(a, qRope),
      tokens,
      heads,
      latent,
      rope,
      pages: put(a, c.format === 'bf16' ? cache.bits : values),
      pageTable: put(a, table),
      pageRows,
      format: c.format,
      scale: 0.3,
      start,
      out,
    };
    const before = a.usedBytes;
    latentAttention(engine.job(), o);
    expect(a.usedBytes).toBe(before);
    expect(before).toBeGreaterThan(used);
    const got = take(a, out, tokens * heads * latent);
    const rowAt = (r: number) => (table[Math.floor(r / pageRows)]! * pageRows + (r % pageRows)) * width;
    const step = Math.max(1, Math.floor(heads / 3));
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h += step) {
        const i = t * heads + h;
        const scores = Array.from({ length: start + t + 1 }, (_, r) => {
          const at = rowAt(r);
          return 0.3 * (dot(qLatent, i * latent, values, at, latent) + dot(qRope, i * rope, values, at + latent, rope));
        });
        const want = attend(scores, (j, k) => values[rowAt(j) + k]!, latent);
        expect(worst(got.subarray(i * latent, (i + 1) * latent), want, () => 2e-5)).toBeLessThanOrEqual(1);
      }
    }
    // One token at a time gives the same.
    for (let t = 0; t < tokens; t++) {
      latentAttention(engine.job(), {
        ...o,
        qLatent: o.qLatent + t * heads * latent * 4,
        qRope: o.qRope + t * heads * rope * 4,
        tokens: 1,
        start: start + t,
      });
      const alone = take(a, out, heads * latent);
      expect(worst(alone, got.subarray(t * heads * latent, (t + 1) * heads * latent), () => 2e-5)).toBeLessThanOrEqual(
        1,
      );
    }
  });

  it.each([
    { tokens: 1, heads: 1, nope: 4, rope: 2, value: 4, start: 0 },
    { tokens: 5, heads: 3, nope: 7, rope: 6, value: 5, start: 0 },
    { tokens: 33, heads: 2, nope: 16, rope: 8, value: 24, start: 0 },
    { tokens: 70, heads: 5, nope: 32, rope: 16, value: 32, start: 45 },
    { tokens: 3, heads: 2, nope: 10, rope: 0, value: 8, start: 200 },
  ])('spelled out: $tokens tokens at $start, $heads heads of $nope + $rope and $value', (c) => {
    const { tokens, heads, nope, rope, value, start } = c;
    const keys = start + tokens;
    const width = nope + rope;
    const q = normal(tokens * heads * width, 6);
    // As kv_b gives them: [k | v] of a head side by side.
    const kv = normal(keys * heads * (nope + value), 7);
    const kRope = normal(keys * Math.max(1, rope), 8);
    const a = engine.arena;
    const out = a.alloc(tokens * heads * value * 4);
    const kvAt = put(a, kv);
    causalAttention(engine.job(), {
      q: put(a, q),
      tokens,
      heads,
      nope,
      rope,
      value,
      kNope: kvAt,
      kStride: heads * (nope + value),
      kHead: nope + value,
      kRope: put(a, kRope),
      v: kvAt + nope * 4,
      vStride: heads * (nope + value),
      vHead: nope + value,
      scale: 0.5,
      start,
      out,
    });
    engine.job().run();
    const got = take(a, out, tokens * heads * value);
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h++) {
        const i = t * heads + h;
        const at = (j: number) => (j * heads + h) * (nope + value);
        const scores = Array.from(
          { length: start + t + 1 },
          (_, j) => 0.5 * (dot(q, i * width, kv, at(j), nope) + dot(q, i * width + nope, kRope, j * rope, rope)),
        );
        const want = attend(scores, (j, k) => kv[at(j) + nope + k]!, value);
        expect(worst(got.subarray(i * value, (i + 1) * value), want, () => 2e-5)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('survives scores far apart, and shows NaN where it is', () => {
    const a = engine.arena;
    const [latent, rope, rows] = [8, 4, 600];
    const cache = normal(rows * 12, 9);
    // One row outweighs all others by far more than exp can hold, first late and then early.
    for (const big of [550, 3]) {
      const strong = cache.slice();
      for (let k = 0; k < 12; k++) strong[big * 12 + k] = 1000;
      const q = new Float32Array(12).fill(50);
      const out = a.alloc(latent * 4);
      const o = {
        tokens: 1,
        heads: 1,
        latent,
        rope,
        pageRows: rows,
        format: 'f32',
        scale: 1,
        start: rows - 1,
        out,
      } as const;
      const qLatent = put(a, q.subarray(0, 8));
      const qRope = put(a, q.subarray(8));
      const pageTable = put(a, Int32Array.of(0));
      latentAttention(engine.job(), { ...o, qLatent, qRope, pageTable, pages: put(a, strong) });
      expect([...take(a, out, latent)]).toEqual(Array(latent).fill(1000));
      strong[big * 12 + 2] = Number.NaN;
      latentAttention(engine.job(), { ...o, qLatent, qRope, pageTable, pages: put(a, strong) });
      expect(take(a, out, latent).every(Number.isNaN)).toBe(true);
    }
  });

  it('refuses heads wider than its scratch memory', () => {
    const o = {
      qLatent: 64,
      qRope: 64,
      tokens: 1,
      heads: 1,
      latent: 8192,
      rope: 64,
      pages: 64,
      pageTable: 64,
      pageRows: 1,
    };
    expect(() => latentAttention(engine.job(), { ...o, format: 'f32', scale: 1, start: 0, out: 64 })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('has weights that sum to one, for any start', () => {
    const a = engine.arena;
    const [tokens, heads, latent] = [9, 2, 8];
    // Rows that are all ones come out as ones.
    const pages = put(a, new Float32Array(64 * 12).fill(1));
    const out = a.alloc(tokens * heads * latent * 4);
    const common = {
      heads,
      latent,
      rope: 4,
      pages,
      pageTable: put(a, Int32Array.of(0)),
      pageRows: 64,
      scale: 0.2,
      out,
    } as const;
    const qLatent = put(a, normal(tokens * heads * latent, 10));
    const qRope = put(a, normal(tokens * heads * 4, 11));
    for (const start of [0, 1, 22, 31, 32, 55]) {
      latentAttention(engine.job(), { ...common, qLatent, qRope, tokens, start, format: 'f32' });
      expect(
        worst(take(a, out, tokens * heads * latent), new Float32Array(tokens * heads * latent).fill(1), () => 1e-6),
      ).toBeLessThanOrEqual(1);
    }
  });
});
