/** Norm, rotary, SwiGLU, softmax, top-k, gathering, adding and the router, on every build, against float64. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KernelEngine } from './engine.ts';
import { addRows, combineRows, gatherRows, rmsNorm, rotary, route, softmax, swiglu, topK } from './rows.ts';
import { normal, put, random, SETUPS, startEngine, take, toBf16, worst } from './test-kit.ts';

const WIDTHS = [1, 3, 4, 31, 64, 130, 1000];

describe.each(SETUPS)('row kernels: $name', ({ options }) => {
  let engine: KernelEngine;
  beforeAll(async () => {
    engine = await startEngine(options);
  });
  afterAll(() => engine.dispose());

  it.each(WIDTHS)('norms rows of %i, adding first if asked', (width) => {
    const tokens = 5;
    const a = engine.arena;
    const [x, plus, weight] = [normal(tokens * width, 1), normal(tokens * width, 2), normal(width, 3)];
    const at = put(a, x);
    const y = a.alloc(tokens * width * 4);
    const o = { x: at, y, tokens, width, weight: put(a, weight), epsilon: 1e-6 };
    const formula = (rows: Float32Array) =>
      Float64Array.from(rows, (v, i) => {
        const row = rows.subarray(Math.floor(i / width) * width, (Math.floor(i / width) + 1) * width);
        const mean = row.reduce((s, u) => s + u * u, 0) / width;
        return (v / Math.sqrt(mean + 1e-6)) * weight[i % width]!;
      });
    rmsNorm(engine.job(), o);
    engine.job().run();
    const want = formula(x);
    expect(worst(take(a, y, tokens * width), want, (i) => 1e-6 * Math.abs(want[i]!) + 1e-12)).toBeLessThanOrEqual(1);
    rmsNorm(engine.job(), { ...o, plus: put(a, plus) });
    engine.job().run();
    const sum = x.map((v, i) => v + plus[i]!);
    expect(take(a, at, tokens * width)).toEqual(sum);
    const wantSum = formula(sum);
    expect(worst(take(a, y, tokens * width), wantSum, (i) => 1e-6 * Math.abs(wantSum[i]!) + 1e-12)).toBeLessThanOrEqual(
      1,
    );
  });

  it('norms a row of zeros to zeros, and huge or tiny ones as the formula does', () => {
    const a = engine.arena;
    const x = put(a, Float32Array.of(0, 0, 0, 0, 1e15, -1e15, 1e15, 1e15, 1e-12, 0, 0, 0));
    const y = a.alloc(48);
    rmsNorm(engine.job(), { x, y, tokens: 3, width: 4, weight: put(a, Float32Array.of(1, 1, 1, 1)), epsilon: 1e-6 });
    engine.job().run();
    const want = [0, 0, 0, 0, 1, -1, 1, 1, 1e-9, 0, 0, 0];
    expect(worst(take(a, y, 12), want, () => 1e-6)).toBeLessThanOrEqual(1);
  });

  it('turns pairs, by listed positions, in place, and back', () => {
    const [tokens, heads, dim, stride] = [4, 3, 6, 40];
    const a = engine.arena;
    const x = normal(tokens * stride, 4);
    const angles = normal(10 * 3, 5);
    const cos = put(a, angles.map(Math.cos));
    const sin = put(a, angles.map(Math.sin));
    const positions = [7, 0, 9, 3];
    const at = put(a, x);
    const o = { x: at, y: at, tokens, heads, dim, cos, sin, positions: put(a, Int32Array.from(positions)) };
    const strides = { xStride: stride, xHead: 12, yStride: stride, yHead: 12 };
    rotary(engine.job(), { ...o, ...strides });
    engine.job().run();
    const want = Float64Array.from(x);
    positions.forEach((position, t) => {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < dim / 2; i++) {
          const p = t * stride + h * 12 + 2 * i;
          const [c, s] = [Math.cos(angles[position * 3 + i]!), Math.sin(angles[position * 3 + i]!)];
          want[p] = x[p]! * c - x[p + 1]! * s;
          want[p + 1] = x[p]! * s + x[p + 1]! * c;
        }
      }
    });
    expect(worst(take(a, at, x.length), want, () => 1e-6)).toBeLessThanOrEqual(1);
    rotary(engine.job(), { ...o, ...strides, inverse: true });
    engine.job().run();
    expect(worst(take(a, at, x.length), x, () => 2e-6)).toBeLessThanOrEqual(1);
  });

  it('computes SwiGLU over the whole range of floats', () => {
    const gate = Float32Array.from({ length: 4003 }, (_, i) => (i - 2001) / 10 + i * 1e-4);
    gate.set([0, -0, 1e-30, -1e-30, 88.7, -88.7, -103, -1e10, 1e30, Number.NaN, Number.POSITIVE_INFINITY]);
    const a = engine.arena;
    const at = put(a, gate);
    swiglu(engine.job(), { gate: at, up: put(a, new Float32Array(4003).fill(1)), y: at, tokens: 1, width: 4003 });
    engine.job().run();
    const want = Float64Array.from(gate, (g) => g / (1 + Math.exp(-g)));
    const got = take(a, at, 4003);
    expect(got[9]).toBeNaN();
    expect(got[10]).toBe(Number.POSITIVE_INFINITY);
    // exp within 2 ulp, and three more roundings; beyond -87 the result is below 1e-36, where exp may be infinite.
    expect(
      worst(got.subarray(11), want.subarray(11), (i) => 6e-7 * Math.abs(want[i + 11]!) + 1e-35),
    ).toBeLessThanOrEqual(1);
    expect(
      worst(got.subarray(0, 9), want.subarray(0, 9), (i) => 6e-7 * Math.abs(want[i]!) + 1e-35),
    ).toBeLessThanOrEqual(1);
  });

  it('has exp within 2 ulp', () => {
    // softmax([x, 0]) = [e, 1] / (1 + e) would hide it; with a row of one large number the weights are exp themselves.
    const xs = Float32Array.from({ length: 20_000 }, (_, i) => -86.97 * (i / 20_000) - 1e-5 * (i % 7));
    const rows = new Float32Array(xs.length * 2);
    for (const [i, x] of xs.entries()) rows[2 * i] = x;
    const a = engine.arena;
    const at = put(a, rows);
    softmax(engine.job(), { x: at, y: at, tokens: xs.length, width: 2 });
    engine.job().run();
    const got = take(a, at, rows.length);
    // weight / other weight = exp(x), with two roundings of the divisions by the sum.
    let most = 0;
    for (const [i, x] of xs.entries()) {
      const e = Math.exp(x);
      most = Math.max(most, Math.abs(got[2 * i]! / got[2 * i + 1]! / e - 1));
    }
    expect(most).toBeLessThan(2 * 2 ** -23 + 2 * 2 ** -24);
  });

  it.each([1, 2, 5, 64, 129, 70_001])('softmax of rows of %i', (width) => {
    const tokens = 2;
    const x = normal(tokens * width, 6, 8);
    x[0] = Number.NEGATIVE_INFINITY;
    x[width - 1] = 30;
    const a = engine.arena;
    const y = a.alloc(tokens * width * 4);
    softmax(engine.job(), { x: put(a, x), y, tokens, width });
    engine.job().run();
    const got = take(a, y, tokens * width);
    for (let t = 0; t < tokens; t++) {
      const row = x.subarray(t * width, (t + 1) * width);
      const top = row.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY);
      const total = row.reduce((s, v) => s + Math.exp(v - top), 0);
      const want = Float64Array.from(row, (v) => Math.exp(v - top) / total);
      const part = got.subarray(t * width, (t + 1) * width);
      // The difference to the largest is rounded before exp, which turns its absolute error into a relative one.
      const bound = (i: number) => (1e-6 + (top - Math.max(row[i]!, -1e4)) * 2 ** -24) * want[i]! + 1e-37;
      expect(worst(part, want, bound)).toBeLessThanOrEqual(1);
    }
  });

  it('makes NaN of a softmax with NaN, in its row only', () => {
    const x = normal(3 * 9, 7);
    x[9 + 4] = Number.NaN;
    const a = engine.arena;
    const at = put(a, x);
    softmax(engine.job(), { x: at, y: at, tokens: 3, width: 9 });
    engine.job().run();
    expect([...take(a, at, 27)].map(Number.isNaN)).toEqual(Array.from({ length: 27 }, (_, i) => i >= 9 && i < 18));
  });

  it.each([
    [1, 1],
    [10, 10],
    [1000, 8],
    [5000, 1],
  ])('finds the top of %i: %i', (width, k) => {
    const tokens = 3;
    const next = random(8);
    const x = Float32Array.from({ length: tokens * width }, () => Math.floor(next() * width));
    if (width > 3) x.set([Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY], width);
    const a = engine.arena;
    const [values, indices] = [a.alloc(tokens * k * 4), a.alloc(tokens * k * 4)];
    topK(engine.job(), { x: put(a, x), tokens, width, k, values, indices });
    engine.job().run();
    for (let t = 0; t < tokens; t++) {
      const row = x.subarray(t * width, (t + 1) * width);
      const rank = (v: number) => (Number.isNaN(v) ? Number.NEGATIVE_INFINITY : v);
      const order = [...row.keys()].sort((i, j) => {
        const [p, q] = [row[i]!, row[j]!];
        if (Number.isNaN(p) !== Number.isNaN(q)) return Number.isNaN(p) ? 1 : -1;
        return rank(q) - rank(p) || i - j;
      });
      const got = [...a.i32.subarray(indices / 4 + t * k, indices / 4 + (t + 1) * k)];
      expect(got).toEqual(order.slice(0, k));
      expect([...take(a, values + t * k * 4, k)]).toEqual(got.map((i) => row[i]!));
    }
  });

  it.each(WIDTHS)('gathers, adds and combines rows of %i', (width) => {
    const a = engine.arena;
    const table = toBf16(normal(10 * width, 9));
    const rows = put(a, Int32Array.of(3, 9, 0, 3));
    const y = a.alloc(4 * width * 4);
    const expected = Float32Array.from(
      [3, 9, 0, 3].flatMap((r) => [...table.values.subarray(r * width, (r + 1) * width)]),
    );
    gatherRows(engine.job(), { from: put(a, table.bits), format: 'bf16', width, rows, tokens: 4, y });
    engine.job().run();
    expect(take(a, y, 4 * width)).toEqual(expected);
    const from = put(a, table.values);
    gatherRows(engine.job(), { from, format: 'f32', width, rows, tokens: 4, y });
    engine.job().run();
    expect(take(a, y, 4 * width)).toEqual(expected);
    addRows(engine.job(), { x: y, plus: from, y, tokens: 4, width, scale: -0.5 });
    engine.job().run();
    const added = Float64Array.from(expected, (v, i) => v - 0.5 * table.values[i]!);
    expect(worst(take(a, y, 4 * width), added, () => 1e-6)).toBeLessThanOrEqual(1);
    const weights = normal(4 * 3, 10);
    const slots = Int32Array.of(0, 9, 4, 2, -1, 2, 5, 5, 5, -1, -1, -1);
    const before = take(a, y, 4 * width);
    const o = { x: from, weights: put(a, weights), slots: put(a, slots), k: 3, y, tokens: 4, width };
    const combined = Float64Array.from({ length: 4 * width }, (_, i) => {
      const t = Math.floor(i / width);
      const sum = (j: number) =>
        slots[t * 3 + j]! < 0 ? 0 : weights[t * 3 + j]! * table.values[slots[t * 3 + j]! * width + (i % width)]!;
      return sum(0) + sum(1) + sum(2);
    });
    combineRows(engine.job(), { ...o, accumulate: true });
    engine.job().run();
    expect(
      worst(
        take(a, y, 4 * width),
        combined.map((v, i) => v + before[i]!),
        () => 3e-6,
      ),
    ).toBeLessThanOrEqual(1);
    combineRows(engine.job(), o);
    engine.job().run();
    expect(worst(take(a, y, 4 * width), combined, () => 3e-6)).toBeLessThanOrEqual(1);
  });

  it.each([
    {
      experts: 8,
      groups: 1,
      topGroups: 1,
      topK: 2,
      scoring: 'sigmoid',
      bias: true,
      groupScore: 'top2',
      normalize: true,
    },
    {
      experts: 12,
      groups: 3,
      topGroups: 2,
      topK: 4,
      scoring: 'sigmoid',
      bias: true,
      groupScore: 'top2',
      normalize: true,
    },
    {
      experts: 16,
      groups: 4,
      topGroups: 2,
      topK: 3,
      scoring: 'softmax',
      bias: false,
      groupScore: 'max',
      normalize: false,
    },
    {
      experts: 6,
      groups: 6,
      topGroups: 3,
      topK: 3,
      scoring: 'sigmoid',
      bias: true,
      groupScore: 'top2',
      normalize: true,
    },
    {
      experts: 256,
      groups: 8,
      topGroups: 4,
      topK: 8,
      scoring: 'sigmoid',
      bias: true,
      groupScore: 'top2',
      normalize: true,
    },
  ] as const)('routes $experts experts in $groups groups by $scoring', (c) => {
    const tokens = 17;
    const { experts, groups } = c;
    const size = experts / groups;
    const logits = normal(tokens * experts, 11, 2);
    // Negative biases make biased scores negative: a dropped group at 0 would win.
    const bias = normal(experts, 12, 0.5).map((v) => v - 2);
    const a = engine.arena;
    const [indices, weights, scores] = [c.topK, c.topK, experts].map((n) => a.alloc(tokens * n * 4)) as [
      number,
      number,
      number,
    ];
    route(engine.job(), {
      ...c,
      logits: put(a, logits),
      tokens,
      bias: c.bias ? put(a, bias) : undefined,
      scale: 2.5,
      indices,
      weights,
      scores,
    });
    engine.job().run();
    for (let t = 0; t < tokens; t++) {
      const row = [...logits.subarray(t * experts, (t + 1) * experts)];
      const total = row.reduce((s, v) => s + Math.exp(v), 0);
      const score = row.map((v) => (c.scoring === 'sigmoid' ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / total));
      const choice = score.map((v, e) => v + (c.bias ? bias[e]! : 0));
      const order = (v: number[]) => [...v.keys()].sort((i, j) => v[j]! - v[i]!);
      const groupScores = Array.from({ length: groups }, (_, g) => {
        const best = choice.slice(g * size, (g + 1) * size).sort((p, q) => q - p);
        return best[0]! + (c.groupScore === 'top2' && size > 1 ? best[1]! : 0);
      });
      const kept = groups > 1 ? order(groupScores).slice(0, c.topGroups) : [0];
      const open = choice.map((v, e) => (kept.includes(Math.floor(e / size)) ? v : Number.NEGATIVE_INFINITY));
      const chosen = order(open).slice(0, c.topK);
      expect([...a.i32.subarray(indices / 4 + t * c.topK, indices / 4 + (t + 1) * c.topK)]).toEqual(chosen);
      const sum = c.normalize ? chosen.reduce((s, e) => s + score[e]!, 0) : 1;
      const want = chosen.map((e) => (score[e]! / sum) * 2.5);
      expect(worst(take(a, weights + t * c.topK * 4, c.topK), want, (i) => 2e-6 * want[i]!)).toBeLessThanOrEqual(1);
      expect(worst(take(a, scores + t * experts * 4, experts), score, (i) => 1e-6 * score[i]!)).toBeLessThanOrEqual(1);
    }
  });

  it('chooses different, existing experts whatever the logits are', () => {
    const a = engine.arena;
    const [experts, k] = [12, 4];
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0]) {
      const indices = a.alloc(k * 4);
      route(engine.job(), {
        logits: put(a, new Float32Array(experts).fill(value)),
        tokens: 1,
        experts,
        scoring: 'sigmoid',
        groups: 3,
        topGroups: 2,
        groupScore: 'top2',
        topK: k,
        normalize: true,
        scale: 1,
        indices,
        weights: a.alloc(k * 4),
      });
      engine.job().run();
      const chosen = [...a.i32.subarray(indices / 4, indices / 4 + k)];
      expect(new Set(chosen).size).toBe(k);
      expect(chosen.every((e) => e >= 0 && e < experts)).toBe(true);
    }
  });

  it('does nothing for no tokens', () => {
    softmax(engine.job(), { x: 64, y: 64, tokens: 0, width: 5 });
    engine.job().run();
  });
});
