/** Elementwise functions, reductions and conversions, on every build, against float64 and core's codecs. */
import {
  BINARY_OPS,
  type BinaryOp,
  decodeBf16,
  decodeE4m3,
  encodeBf16,
  encodeE4m3,
  quantizeTiles as quantizeByHand,
  sizeOf,
} from '@mariana/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  binary,
  type Conversion,
  choose,
  convert,
  type KernelUnaryOp,
  quantizeTiles,
  reduce,
  unary,
} from './elementwise.ts';
import type { KernelEngine } from './engine.ts';
import type { Job } from './job.ts';
import { normal, put, random, SETUPS, startEngine, take } from './test-kit.ts';

const BINARY: Record<BinaryOp, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: Math.max,
  min: Math.min,
  equal: (a, b) => Number(a === b),
  less: (a, b) => Number(a < b),
  lessEqual: (a, b) => Number(a <= b),
};

const EXACT_UNARY: Partial<Record<KernelUnaryOp, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  sqrt: Math.sqrt,
};

const SPECIALS = [0, -0, 1, -1, 2 ** -149, -(2 ** -130), 3e38, Number.POSITIVE_INFINITY, -Infinity, Number.NaN];

/** Loops as `loopNest` gives them: sizes and steps innermost first. */
const NESTS: { name: string; sizes: number[]; aSteps: number[]; bSteps: number[] }[] = [
  { name: 'one element', sizes: [1], aSteps: [0], bSteps: [0] },
  { name: 'equal shapes', sizes: [9001], aSteps: [1], bSteps: [1] },
  { name: 'a scalar', sizes: [4097], aSteps: [1], bSteps: [0] },
  { name: 'a scalar first', sizes: [8192], aSteps: [0], bSteps: [1] },
  { name: 'a row', sizes: [13, 50], aSteps: [1, 13], bSteps: [1, 0] },
  { name: 'a column', sizes: [21, 50], aSteps: [1, 21], bSteps: [0, 1] },
  { name: 'a column and a row', sizes: [7, 600], aSteps: [0, 1], bSteps: [1, 0] },
  { name: 'a middle axis', sizes: [6, 5, 40], aSteps: [1, 6, 30], bSteps: [1, 0, 6] },
];

/** Elements of an operand that is walked with such steps. */
function lengthOf(sizes: number[], steps: number[]): number {
  return 1 + steps.reduce((last, step, loop) => last + step * (sizes[loop]! - 1), 0);
}

/** Where element i of the result has its operand. */
function placeOf(i: number, sizes: number[], steps: number[]): number {
  let [rest, at] = [i, 0];
  sizes.forEach((size, loop) => {
    at += (rest % size) * steps[loop]!;
    rest = Math.floor(rest / size);
  });
  return at;
}

/** The float32 numbers between two values, as integers. */
function ulpsApart(got: Float32Array, want: Float64Array): number {
  const bits = (values: Float32Array) => new Int32Array(values.buffer, values.byteOffset, values.length);
  const rounded = Float32Array.from(want);
  const [a, b] = [bits(got), bits(rounded)];
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    if (Number.isNaN(rounded[i]!) && Number.isNaN(got[i]!)) continue;
    most = Math.max(most, Math.abs(a[i]! - b[i]!));
  }
  return most;
}

/** Floats of all magnitudes and signs, NaN and infinities among them. */
function anyBits(n: number, seed: number): Float32Array {
  const next = random(seed);
  return new Float32Array(Uint32Array.from({ length: n }, () => next() * 2 ** 32).buffer);
}

describe.each(SETUPS)('elementwise kernels: $name', ({ options }) => {
  let engine: KernelEngine;
  beforeAll(async () => {
    engine = await startEngine(options);
  });
  afterAll(() => engine.dispose());

  it.each(NESTS)('every function of two tensors, with $name', ({ sizes, aSteps, bSteps }) => {
    const a = engine.arena;
    // Few different values, so that some are equal.
    const operand = (steps: number[], seed: number) =>
      normal(lengthOf(sizes, steps), seed).map((x, i) => (i % 3 ? Math.round(x) : SPECIALS[i % SPECIALS.length]!));
    const [left, right] = [operand(aSteps, 1), operand(bSteps, 2)];
    const n = sizeOf(sizes);
    const [at, bt, y] = [put(a, left), put(a, right), a.alloc(4 * n + 4)];
    for (const op of BINARY_OPS) {
      a.f32[y / 4 + n] = 77;
      binary(engine.job(), { op, a: at, b: bt, y, sizes, steps: [aSteps, bSteps] });
      engine.job().run();
      const values = Array.from({ length: n }, (_, i) =>
        BINARY[op](left[placeOf(i, sizes, aSteps)]!, right[placeOf(i, sizes, bSteps)]!),
      );
      const isComparison = op === 'equal' || op.startsWith('less');
      const got = isComparison ? Float32Array.from(a.i32.subarray(y / 4, y / 4 + n)) : take(a, y, n);
      expect(got, op).toEqual(Float32Array.from(values));
      expect(a.f32[y / 4 + n]).toBe(77);
    }
  });

  it.each(NESTS)('a choice between words keeps their bits, with $name', ({ sizes, aSteps, bSteps }) => {
    const a = engine.arena;
    const next = random(11);
    const words = (steps: number[], range: number) =>
      Int32Array.from({ length: lengthOf(sizes, steps) }, () => next() * range);
    const n = sizeOf(sizes);
    // Each of the three in turn is the one that never stretches.
    const dense = sizes.map((_, loop) => (n === 1 ? 0 : sizeOf(sizes.slice(0, loop))));
    for (const steps of [
      [dense, aSteps, bSteps],
      [aSteps, dense, bSteps],
      [aSteps, bSteps, dense],
    ] as [number[], number[], number[]][]) {
      const [test, left, right] = [words(steps[0], 3), words(steps[1], 2 ** 32), words(steps[2], 2 ** 32)];
      const y = a.alloc(4 * n + 4);
      a.i32[y / 4 + n] = 77;
      choose(engine.job(), { test: put(a, test), a: put(a, left), b: put(a, right), y, sizes, steps });
      engine.job().run();
      const want = Int32Array.from({ length: n }, (_, i) => {
        const [t, l, r] = steps.map((step) => placeOf(i, sizes, step)) as [number, number, number];
        return test[t]! !== 0 ? left[l]! : right[r]!;
      });
      expect(a.i32.slice(y / 4, y / 4 + n)).toEqual(want);
      expect(a.i32[y / 4 + n]).toBe(77);
    }
  });

  const map = (op: KernelUnaryOp, values: Float32Array) => {
    const a = engine.arena;
    const y = a.alloc(values.byteLength);
    unary(engine.job(), { op, x: put(a, values), y, n: values.length });
    engine.job().run();
    return take(a, y, values.length);
  };

  it('exact functions, of every kind of number', () => {
    const values = Float32Array.from([...SPECIALS, ...anyBits(9000, 3), ...normal(1003, 4, 100)]);
    for (const [op, exact] of Object.entries(EXACT_UNARY)) {
      expect(map(op as KernelUnaryOp, values), op).toEqual(Float32Array.from(values, exact));
    }
  });

  it('exp within 2 ulp over its whole range, down to where nothing is left', () => {
    const values = Float32Array.from({ length: 200_003 }, (_, i) => -105 + (i * 195) / 200_003);
    const specials = Float32Array.of(
      0,
      -0,
      88.72283,
      88.72284,
      89,
      1e30,
      -103.97,
      -104,
      -1e30,
      Infinity,
      -Infinity,
      NaN,
    );
    for (const x of [values, specials]) {
      expect(ulpsApart(map('exp', x), Float64Array.from(x, Math.exp))).toBeLessThanOrEqual(2);
    }
  });

  it('sigmoid within 4 ulp, rsqrt within 2', () => {
    const x = Float32Array.from({ length: 100_001 }, (_, i) => -87 + (i * 120) / 100_001);
    const sigmoid = Float64Array.from(x, (v) => 1 / (1 + Math.exp(-v)));
    expect(ulpsApart(map('sigmoid', x), sigmoid)).toBeLessThanOrEqual(4);
    expect(map('sigmoid', Float32Array.of(-Infinity, -1e30, 0, 1e30, Infinity, NaN))).toEqual(
      Float32Array.of(0, 0, 0.5, 1, 1, NaN),
    );
    const positive = anyBits(10_000, 5).map(Math.abs);
    const rsqrt = Float64Array.from(positive, (v) => 1 / Math.sqrt(v));
    expect(ulpsApart(map('rsqrt', positive), rsqrt)).toBeLessThanOrEqual(2);
  });

  it.each([
    [1, 1, 1],
    [3, 1000, 1],
    [50, 7, 1],
    [2, 0, 1],
    [1, 301, 16],
    [3, 29, 37],
    [7, 4, 3],
    [2, 0, 5],
  ])('sums and maxima of [%i, %i, %i] along the middle', (outer, size, inner) => {
    const a = engine.arena;
    const x = normal(outer * size * inner, 6, 1000);
    const columns = Array.from({ length: outer * inner }, (_, i) =>
      Array.from({ length: size }, (_, j) => x[(Math.floor(i / inner) * size + j) * inner + (i % inner)]!),
    );
    const [at, y] = [put(a, x), a.alloc(4 * outer * inner)];
    reduce(engine.job(), { op: 'max', x: at, y, outer, size, inner });
    engine.job().run();
    expect(take(a, y, outer * inner)).toEqual(Float32Array.from(columns, (column) => Math.max(...column)));
    reduce(engine.job(), { op: 'sum', x: at, y, outer, size, inner });
    engine.job().run();
    const sums = Float64Array.from(columns, (column) => column.reduce((sum, value) => sum + value, 0));
    // In float64 they are all but exact, in whatever order: half an ulp, and one for a sum that fell on a tie.
    expect(ulpsApart(take(a, y, outer * inner), sums)).toBeLessThanOrEqual(1);
  });

  it('a NaN reaches the sum and the maximum of its row or column', () => {
    const a = engine.arena;
    for (const [size, inner] of [
      [37, 1],
      [5, 19],
    ] as const) {
      const x = normal(3 * size * inner, 7);
      x[(size + 2) * inner] = Number.NaN;
      const [at, y] = [put(a, x), a.alloc(12 * inner)];
      for (const op of ['sum', 'max'] as const) {
        reduce(engine.job(), { op, x: at, y, outer: 3, size, inner });
        engine.job().run();
        const nan = [...take(a, y, 3 * inner)].map((value) => Number.isNaN(value));
        expect(nan.indexOf(true)).toBe(inner);
        expect(nan.lastIndexOf(true)).toBe(inner);
      }
    }
  });

  const converted = (conversion: Conversion, values: Float32Array | Uint16Array | Uint8Array, bytes: number) => {
    const a = engine.arena;
    const y = a.alloc(values.length * bytes);
    convert(engine.job(), { conversion, x: put(a, values), y, n: values.length });
    engine.job().run();
    return y;
  };

  it('decodes every code of BF16 and E4M3', () => {
    const a = engine.arena;
    const wide = Uint16Array.from({ length: 65536 }, (_, i) => i);
    expect(take(a, converted('bf16 f32', wide, 4), 65536)).toEqual(Float32Array.from(wide, decodeBf16));
    const short = Uint8Array.from({ length: 259 }, (_, i) => i);
    expect(take(a, converted('e4m3 f32', short, 4), 259)).toEqual(Float32Array.from(short, decodeE4m3));
  });

  it('encodes BF16 and E4M3 to the bit, NaN and ties included', () => {
    const a = engine.arena;
    const codes = Array.from({ length: 127 }, (_, code) => decodeE4m3(code));
    const middles = codes.slice(1).map((value, i) => (value + codes[i]!) / 2);
    const around = [...codes, ...middles].flatMap((x) => [x, -x, x * (1 + 2 ** -22), -x * (1 - 2 ** -22)]);
    const values = Float32Array.from([...SPECIALS, 448, 464, 465, ...around, ...anyBits(20_001, 8)]);
    const n = values.length;
    const wide = converted('f32 bf16', values, 2) / 2;
    expect(a.u16.slice(wide, wide + n)).toEqual(Uint16Array.from(values, encodeBf16));
    const short = converted('f32 e4m3', values, 1);
    expect(a.u8.slice(short, short + n)).toEqual(Uint8Array.from(values, encodeE4m3));
  });

  it.each([
    [5, 128, 128],
    [3, 300, 128],
    [4, 7, 3],
    [2, 1, 1],
  ])('quantises %i rows of %i in tiles of %i, as it is done by hand', (rows, width, tile) => {
    const a = engine.arena;
    const x = normal(rows * width, 9, 30).map((value, i) => (i % 11 ? value : 0));
    const tiles = Math.ceil(width / tile);
    for (const scaleFormat of ['f32', 'ue8m0'] as const) {
      const [codes, scales] = [a.alloc(rows * width), a.alloc(4 * rows * tiles)];
      const powers = scaleFormat === 'ue8m0';
      quantizeTiles(engine.job(), { x: put(a, x), rows, width, tile, powers, codes, scales });
      engine.job().run();
      const want = quantizeByHand(x, rows, width, { tile, scaleFormat });
      expect(take(a, scales, rows * tiles)).toEqual(want.scales);
      expect(a.u8.slice(codes, codes + rows * width)).toEqual(want.codes);
    }
  });

  it('a tile of zeros has a scale; one with a NaN has none, and no codes; an infinity leaves zeros', () => {
    const a = engine.arena;
    const x = Float32Array.of(0, 0, 0, 0, 0, 1, Number.NaN, 2, 3, 4, 1, 2, -Infinity, 3, 4);
    for (const powers of [false, true]) {
      const [codes, scales] = [a.alloc(15), a.alloc(12)];
      quantizeTiles(engine.job(), { x: put(a, x), rows: 3, width: 5, tile: 5, powers, codes, scales });
      engine.job().run();
      const floor = Math.fround(Math.fround(1e-4) / 448);
      expect(take(a, scales, 3)).toEqual(Float32Array.of(powers ? 2 ** -22 : floor, Number.NaN, Infinity));
      const values = Array.from(a.u8.slice(codes, codes + 15), decodeE4m3);
      expect(values).toEqual([0, 0, 0, 0, 0, NaN, NaN, NaN, NaN, NaN, 0, 0, NaN, 0, 0]);
    }
  });
});

it('sums and what is made of exp have the same bits on any number of threads', async () => {
  const [outer, size, inner] = [40, 50, 25];
  const x = normal(outer * size * inner, 10, 20);
  const results: Float32Array[][] = [];
  for (const threads of [1, 2, 3]) {
    const engine = await startEngine({ threads });
    const a = engine.arena;
    const [at, y] = [put(a, x), a.alloc(x.byteLength)];
    const run = (fill: (job: Job) => void, n: number) => {
      fill(engine.job());
      engine.job().run();
      return take(a, y, n);
    };
    results.push([
      run((job) => unary(job, { op: 'exp', x: at, y, n: x.length }), x.length),
      run((job) => unary(job, { op: 'sigmoid', x: at, y, n: x.length }), x.length),
      run((job) => reduce(job, { op: 'sum', x: at, y, outer, size, inner }), outer * inner),
      run((job) => reduce(job, { op: 'sum', x: at, y, outer: outer * size, size: inner, inner: 1 }), outer * size),
    ]);
    await engine.dispose();
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});
