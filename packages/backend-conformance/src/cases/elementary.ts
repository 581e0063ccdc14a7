/** The small composites: `rmsNorm`, `rotary`, `swiglu`, `softmax`. */
import type { Shape } from '@mariana/core';
import fc from 'fast-check';
import { axis, shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { exactly, softmax, swiglu } from '../oracle/approximate.ts';
import { count } from '../oracle/indexing.ts';
import { integer, randomFrom, reals, wide } from '../random.ts';
import { divisionError, floorOf, relativeError, U } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const NONE = Number.NEGATIVE_INFINITY;

const ranked = fc.record({ shape: shape({ rank: [1, 4], elements: 2000 }), seed: valueSeed });
const RANKED = [
  { shape: [1], seed: 1 },
  { shape: [5], seed: 2 },
  { shape: [0, 5], seed: 3 },
  { shape: [3, 0], seed: 4 },
  { shape: [7, 129], seed: 5 },
  { shape: [2, 3, 64], seed: 6 },
  { shape: [1, 2048], seed: 7 },
];

async function expectNorm(bench: Workbench, x: Float32Array, shape: Shape, weight: Float32Array, epsilon: number) {
  const { tolerance } = bench;
  const width = shape.at(-1)!;
  const values = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const row = x.subarray(start, start + width);
    const mean = row.reduce((sum, value) => sum + value * value, 0) / width;
    row.forEach((value, i) => {
      values[start + i] = (value / Math.sqrt(mean + Math.fround(epsilon))) * weight[i]!;
    });
  }
  // The mean of squares is off by width + 2 roundings and a division, its root by half of that.
  const relative = ((width + 3) * U + divisionError(tolerance)) / 2 + relativeError('rsqrt', 1, tolerance) + 3 * U;
  await bench.expect(bench.backend.rmsNorm(bench.tensor(x, shape), bench.tensor(weight, [width]), epsilon), {
    shape,
    values,
    bound: (i) => Math.abs(values[i]!) * relative + floorOf(tolerance),
  });
}

async function expectRotary(bench: Workbench, x: Float32Array, angles: Float64Array, shape: Shape): Promise<void> {
  const [tokens, heads, width] = shape as [number, number, number];
  const half = width / 2;
  const [cos, sin] = [Float32Array.from(angles, Math.cos), Float32Array.from(angles, Math.sin)];
  const values = new Float64Array(x.length);
  const errors = new Float64Array(x.length);
  for (let pair = 0; pair < x.length / 2; pair++) {
    const at = Math.floor(pair / (heads * half)) * half + (pair % half);
    const [a, b, c, s] = [x[2 * pair]!, x[2 * pair + 1]!, cos[at]!, sin[at]!];
    values[2 * pair] = a * c - b * s;
    values[2 * pair + 1] = a * s + b * c;
    errors[2 * pair] = 2.5 * U * (Math.abs(a * c) + Math.abs(b * s)) + floorOf(bench.tolerance);
    errors[2 * pair + 1] = 2.5 * U * (Math.abs(a * s) + Math.abs(b * c)) + floorOf(bench.tolerance);
  }
  const [ofCos, ofSin] = [cos, sin].map((values) => bench.tensor(values, [tokens, half]));
  await bench.expect(bench.backend.rotary(bench.tensor(x, shape), ofCos!, ofSin!), { shape, values, bound: errors });
}

async function expectSwiglu(bench: Workbench, gate: Float32Array, up: Float32Array, shape: Shape): Promise<void> {
  const { values, errors } = swiglu(exactly(gate), exactly(up), bench.tolerance);
  await bench.expect(bench.backend.swiglu(bench.tensor(gate, shape), bench.tensor(up, shape)), {
    shape,
    values,
    bound: errors,
  });
}

async function expectSoftmax(bench: Workbench, x: Float32Array, shape: Shape): Promise<void> {
  const width = shape.at(-1)!;
  const rows =
    width === 0 ? [] : Array.from({ length: x.length / width }, (_, i) => x.subarray(i * width, (i + 1) * width));
  const results = rows.map((row) => softmax(exactly(row), bench.tolerance));
  await bench.expect(bench.backend.softmax(bench.tensor(x, shape)), {
    shape,
    values: results.flatMap(({ values }) => [...values]),
    bound: results.flatMap(({ errors }) => [...errors]),
  });
}

export const elementaryCases: readonly CaseDefinition[] = [
  property(
    'rmsNorm',
    'agrees with float64 over the last axis',
    { arbitrary: ranked, examples: RANKED },
    async (bench, { shape, seed }) => {
      const random = randomFrom(seed);
      const x = random() < 0.5 ? reals(random, count(shape)) : wide(random, count(shape), -12, 12);
      const epsilon = random() < 0.5 ? 1e-6 : 1e-5;
      await expectNorm(bench, x, shape, reals(random, shape.at(-1)!), epsilon);
    },
  ),

  example('rmsNorm', 'of zeros is zero, and of tiny values is governed by epsilon', async (bench) => {
    await expectNorm(bench, new Float32Array(6), [2, 3], Float32Array.of(1, 2, 3), 1e-6);
    await expectNorm(bench, Float32Array.of(1e-6, -2e-6, 3e-6), [3], Float32Array.of(1, 1, 1), 1e-6);
    await expectNorm(bench, Float32Array.of(1e-6, -2e-6, 3e-6), [3], Float32Array.of(1, 1, 1), 1e-2);
  }),

  example('rmsNorm', 'worked by hand', async (bench) => {
    // Mean of squares of (3, 4) is 12.5, of (0, 5) too.
    const root = Math.sqrt(12.5);
    const y = bench.backend.rmsNorm(
      bench.tensor(Float32Array.of(3, 4, 0, 5), [2, 2]),
      bench.tensor(Float32Array.of(1, 2), [2]),
      0,
    );
    const values = [3 / root, 8 / root, 0, 10 / root];
    const relative = 4 * U + relativeError('rsqrt', 1, bench.tolerance) + divisionError(bench.tolerance);
    await bench.expect(y, { shape: [2, 2], values, bound: values.map((value) => value * relative) });
  }),

  example('rmsNorm', 'refuses a weight of another size, scalars, other dtypes', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    const three = bench.tensor(new Float32Array(3), [3]);
    const four = bench.tensor(new Float32Array(4), [4]);
    const scalar = bench.tensor(new Float32Array(1), []);
    const ints = bench.tensor(new Int32Array(6), [2, 3]);
    await bench.refuses('a weight [4] for [2, 3]', 'SHAPE_MISMATCH', () => backend.rmsNorm(x, four, 1e-6));
    await bench.refuses('a scalar', 'SHAPE_MISMATCH', () => backend.rmsNorm(scalar, three, 1e-6));
    await bench.refuses('i32', 'DTYPE_MISMATCH', () => backend.rmsNorm(ints, three, 1e-6));
  }),

  property(
    'rotary',
    'rotates neighbouring pairs by the angle of their token',
    {
      arbitrary: fc.record({ tokens: axis(33), heads: axis(9), half: axis(33), seed: valueSeed }),
      examples: [
        { tokens: 1, heads: 1, half: 1, seed: 1 },
        { tokens: 3, heads: 5, half: 3, seed: 2 },
        { tokens: 5, heads: 1, half: 32, seed: 3 },
        { tokens: 0, heads: 2, half: 2, seed: 4 },
        { tokens: 2, heads: 0, half: 2, seed: 5 },
      ],
    },
    async (bench, { tokens, heads, half, seed }) => {
      const random = randomFrom(seed);
      const angles = Float64Array.from(reals(random, tokens * half, -4, 4));
      await expectRotary(bench, reals(random, tokens * heads * half * 2), angles, [tokens, heads, 2 * half]);
    },
  ),

  example('rotary', 'worked by hand', async (bench) => {
    // A quarter turn takes (a, b) to (-b, a), and leaves the pair of the other angle alone.
    const [cos, sin] = [bench.tensor(Float32Array.of(0, 1), [1, 2]), bench.tensor(Float32Array.of(1, 0), [1, 2])];
    const x = bench.tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [1, 2, 4]);
    await bench.expect(bench.backend.rotary(x, cos, sin), { shape: [1, 2, 4], values: [-2, 1, 3, 4, -6, 5, 7, 8] });
  }),

  example('rotary', 'refuses odd widths, other ranks, tables that do not fit', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(12), [2, 1, 6]);
    const odd = bench.tensor(new Float32Array(6), [2, 1, 3]);
    const flat = bench.tensor(new Float32Array(12), [2, 6]);
    const table = bench.tensor(new Float32Array(6), [2, 3]);
    const short = bench.tensor(new Float32Array(4), [2, 2]);
    await bench.refuses('a width of 3', 'SHAPE_MISMATCH', () => backend.rotary(odd, table, table));
    await bench.refuses('rank 2', 'SHAPE_MISMATCH', () => backend.rotary(flat, table, table));
    await bench.refuses('cos of [2, 2]', 'SHAPE_MISMATCH', () => backend.rotary(x, short, table));
    await bench.refuses('sin of [2, 2]', 'SHAPE_MISMATCH', () => backend.rotary(x, table, short));
  }),

  property('swiglu', 'agrees with float64', { arbitrary: ranked, examples: RANKED }, async (bench, { shape, seed }) => {
    const random = randomFrom(seed);
    await expectSwiglu(bench, reals(random, count(shape), -20, 20), reals(random, count(shape)), shape);
  }),

  example('swiglu', 'of gates at which the sigmoid is as good as 0 or 1', async (bench) => {
    const gate = Float32Array.of(0, -0, 40, -40, 88, -88, -90, 100, -100, 1e30, -1e30, Number.NaN);
    await expectSwiglu(bench, gate, new Float32Array(gate.length).fill(-1.5), [gate.length]);
  }),

  example('swiglu', 'takes the same tensor twice', async (bench) => {
    const x = Float32Array.of(-2, -1, 0.5, 3);
    const { values, errors } = swiglu(exactly(x), exactly(x), bench.tolerance);
    const operand = bench.tensor(x, [4]);
    await bench.expect(bench.backend.swiglu(operand, operand), { shape: [4], values, bound: errors });
  }),

  example('swiglu', 'refuses shapes that do not fit, other dtypes', async (bench) => {
    const { backend } = bench;
    const [two, three] = [bench.tensor(new Float32Array(2), [2]), bench.tensor(new Float32Array(3), [3])];
    const ints = bench.tensor(new Int32Array(2), [2]);
    await bench.refuses('gate [2], up [3]', 'SHAPE_MISMATCH', () => backend.swiglu(two, three));
    await bench.refuses('a gate of i32', 'DTYPE_MISMATCH', () => backend.swiglu(ints, ints));
  }),

  property(
    'softmax',
    'agrees with float64 over the last axis',
    { arbitrary: ranked, examples: RANKED },
    async (bench, { shape, seed }) => {
      const random = randomFrom(seed);
      const spread = [1, 10, 100][integer(random, 0, 2)]!;
      await expectSoftmax(bench, reals(random, count(shape), -spread, spread), shape);
    },
  ),

  example('softmax', 'of large values does not overflow', async (bench) => {
    await expectSoftmax(bench, Float32Array.of(1000, 1001, 999, -1000, -1001, -999, 3e38, 3e38, 0), [3, 3]);
    await expectSoftmax(bench, Float32Array.of(-3e38, -3e38, -3e38, 88, 89, 90), [2, 3]);
  }),

  example('softmax', 'gives minus infinity no share', async (bench) => {
    await expectSoftmax(bench, Float32Array.of(NONE, 0, NONE, 1, NONE, NONE, NONE, -1000, NONE), [3, 3]);
    await expectSoftmax(bench, Float32Array.of(5), [1]);
  }),

  example('softmax', 'a row that has no sum is NaN, and the others are not', async (bench) => {
    const [NAN, INF] = [Number.NaN, Number.POSITIVE_INFINITY];
    const rows = [
      { x: [NONE, NONE, NONE], should: [NAN, NAN, NAN] },
      { x: [0, 0, NONE], should: [0.5, 0.5, 0] },
      { x: [1, NAN, 2], should: [NAN, NAN, NAN] },
      { x: [7, NONE, 7], should: [0.5, 0, 0.5] },
    ];
    const x = bench.tensor(Float32Array.from(rows.flatMap((row) => row.x)), [4, 3]);
    const bound = relativeError('exp', 0, bench.tolerance) + divisionError(bench.tolerance) + 4 * U;
    await bench.expect(bench.backend.softmax(x), { shape: [4, 3], values: rows.flatMap((row) => row.should), bound });
    const infinite = bench.hold(bench.backend.softmax(bench.tensor(Float32Array.of(INF, 0, 1), [3])));
    const y = await bench.read(infinite);
    bench.must(y.some(Number.isNaN), `Infinity, 0, 1 gave ${[...y]}, not NaN where infinities are divided`);
  }),

  example('softmax', 'refuses scalars and other dtypes', async (bench) => {
    const { backend } = bench;
    const scalar = bench.tensor(new Float32Array(1), []);
    const ints = bench.tensor(new Int32Array(2), [2]);
    await bench.refuses('a scalar', 'SHAPE_MISMATCH', () => backend.softmax(scalar));
    await bench.refuses('i32', 'DTYPE_MISMATCH', () => backend.softmax(ints));
  }),
];
