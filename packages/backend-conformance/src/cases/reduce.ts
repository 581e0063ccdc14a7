/** Reductions, and the selection of the largest values. */
import { REDUCE_OPS } from '@mariana/core';
import fc from 'fast-check';
import { axis, axisOf, shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { build, count, positionOf } from '../oracle/indexing.ts';
import { integers, randomFrom, reals, shuffled, wholes, wide } from '../random.ts';
import { gamma } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const NONE = Number.NEGATIVE_INFINITY;

/** Shapes whose reduced axis, first, middle or last, is empty, single, or longer than a block. */
const AXES = [
  { shape: [5], axis: 0 },
  { shape: [0], axis: 0 },
  { shape: [3, 0], axis: 1 },
  { shape: [0, 3], axis: 1 },
  { shape: [2, 0, 3], axis: 1 },
  { shape: [129, 3], axis: -2 },
  { shape: [3, 257], axis: -1 },
  { shape: [2, 17, 5], axis: 1 },
];

const shapeAndAxis = shape({ rank: [1, 5] }).chain((shape) =>
  fc.record({ shape: fc.constant(shape), axis: axisOf(shape.length), keepDims: fc.boolean(), seed: valueSeed }),
);

/** The lines of a tensor along an axis, and the shape of what is left when each becomes one number. */
function linesOf(data: ArrayLike<number>, shape: readonly number[], axis: number) {
  const at = axis < 0 ? axis + shape.length : axis;
  const rest = shape.filter((_, i) => i !== at);
  const line = (position: number[]) =>
    Array.from(
      { length: shape[at]! },
      (_, i) => data[positionOf([...position.slice(0, at), i, ...position.slice(at)], shape)]!,
    );
  return { rest, kept: shape.map((size, i) => (i === at ? 1 : size)), line };
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** The k largest of a line, largest first, of equal ones the first: by asking for each how many come before it. */
function largest(line: readonly number[], k: number): { values: number[]; indices: number[] } {
  const before = (i: number) => line.filter((x, j) => x > line[i]! || (x === line[i] && j < i)).length;
  const ranks = line.map((_, i) => before(i));
  const indices = Array.from({ length: k }, (_, rank) => ranks.indexOf(rank));
  return { values: indices.map((i) => line[i]!), indices };
}

async function expectTopK(bench: Workbench, x: Float32Array, shape: readonly number[], k: number): Promise<void> {
  const width = shape.at(-1)!;
  const rows = width === 0 ? 0 : x.length / width;
  const chosen = Array.from({ length: rows }, (_, row) => largest([...x.subarray(row * width, (row + 1) * width)], k));
  const { values, indices } = bench.backend.topK(bench.tensor(x, shape), k);
  bench.hold(values);
  bench.hold(indices);
  const of = [...shape.slice(0, -1), k];
  await bench.expect(values, { shape: of, values: chosen.flatMap((row) => row.values) });
  await bench.expect(indices, { shape: of, dtype: 'i32', values: chosen.flatMap((row) => row.indices) });
}

export const reduceCases: readonly CaseDefinition[] = [
  property(
    'reduce',
    'sum agrees with float64 over any axis',
    { arbitrary: shapeAndAxis, examples: AXES.map((one, i) => ({ ...one, keepDims: i % 2 === 0, seed: 1 })) },
    async (bench, { shape, axis, keepDims, seed }) => {
      const x = wide(randomFrom(seed), count(shape), -8, 8);
      const { rest, kept, line } = linesOf(x, shape, axis);
      const magnitudes = build(rest, (at) => sum(line(at).map(Math.abs)));
      await bench.expect(bench.backend.reduce('sum', bench.tensor(x, shape), axis, { keepDims }), {
        shape: keepDims ? kept : rest,
        values: build(rest, (at) => sum(line(at))),
        bound: (i) => gamma(shape.at(axis)!, magnitudes[i]!),
      });
    },
  ),

  property(
    'reduce',
    'max is exact over any axis',
    { arbitrary: shapeAndAxis, examples: AXES.map((one, i) => ({ ...one, keepDims: i % 2 === 0, seed: 1 })) },
    async (bench, { shape, axis, keepDims, seed }) => {
      const random = randomFrom(seed);
      // All below zero half of the time: a maximum that starts at 0 shows there.
      const x = random() < 0.5 ? reals(random, count(shape), -9, -1) : wide(random, count(shape));
      const { rest, kept, line } = linesOf(x, shape, axis);
      await bench.expect(bench.backend.reduce('max', bench.tensor(x, shape), axis, { keepDims }), {
        shape: keepDims ? kept : rest,
        values: build(rest, (at) => Math.max(NONE, ...line(at))),
      });
    },
  ),

  example('reduce', 'does not keep the axis unless told to', async (bench) => {
    const x = bench.tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
    await bench.expect(bench.backend.reduce('sum', x, 0), { shape: [3], values: [5, 7, 9] });
    await bench.expect(bench.backend.reduce('sum', x, 1, {}), { shape: [2], values: [6, 15] });
    await bench.expect(bench.backend.reduce('max', x, -1), { shape: [2], values: [3, 6] });
  }),

  example('reduce', 'an empty axis sums to 0, and its maximum is minus infinity', async (bench) => {
    const x = bench.tensor(new Float32Array(0), [2, 0]);
    await bench.expect(bench.backend.reduce('sum', x, 1), { shape: [2], values: [0, 0] });
    await bench.expect(bench.backend.reduce('max', x, 1), { shape: [2], values: [NONE, NONE] });
    await bench.expect(bench.backend.reduce('max', x, 0), { shape: [0], values: [] });
  }),

  example('reduce', 'infinities and NaN come through', async (bench) => {
    const lines = [
      [1, Number.NaN, 2],
      [Number.NaN, NONE, 1],
      [1, 2, Number.NaN],
      [NONE, NONE, NONE],
      [1, Number.POSITIVE_INFINITY, 2],
      [NONE, 1, Number.POSITIVE_INFINITY],
    ];
    const x = bench.tensor(Float32Array.from(lines.flat()), [lines.length, 3]);
    const shape = [lines.length];
    await bench.expect(bench.backend.reduce('sum', x, 1), { shape, values: lines.map(sum) });
    await bench.expect(bench.backend.reduce('max', x, 1), { shape, values: lines.map((line) => Math.max(...line)) });
  }),

  example('reduce', 'refuses axes that are not there, and other dtypes', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    const scalar = bench.tensor(new Float32Array(1), []);
    const int = bench.tensor(new Int32Array(2), [2]);
    for (const op of REDUCE_OPS) {
      for (const axis of [2, -3, 0.5, Number.NaN]) {
        await bench.refuses(`axis ${axis} of ${x}`, 'SHAPE_MISMATCH', () => backend.reduce(op, x, axis));
      }
      await bench.refuses('an axis of a scalar', 'SHAPE_MISMATCH', () => backend.reduce(op, scalar, -1));
      await bench.refuses(`${op} of i32`, 'DTYPE_MISMATCH', () => backend.reduce(op, int, 0));
    }
  }),

  property(
    'topK',
    'gives the largest values in order',
    {
      arbitrary: fc
        .tuple(shape({ rank: [1, 4], elements: 1500 }), fc.nat(), valueSeed)
        .map(([shape, k, seed]) => ({ shape, k: k % (shape.at(-1)! + 1), seed })),
      examples: [
        { shape: [256], k: 8, seed: 1 },
        { shape: [3, 257], k: 257, seed: 2 },
        { shape: [0, 5], k: 2, seed: 3 },
        { shape: [4, 0], k: 0, seed: 4 },
        { shape: [4, 3], k: 0, seed: 5 },
        { shape: [2, 3, 1], k: 1, seed: 6 },
      ],
    },
    async (bench, { shape, k, seed }) => {
      // A random order of distinct values: a sample of random floats could hold equal ones by chance.
      const x = Float32Array.from(shuffled(randomFrom(seed), count(shape)), (rank) => (rank - 100) / 8);
      await expectTopK(bench, x, shape, k);
    },
  ),

  property(
    'topK',
    'of equal values takes the first',
    {
      arbitrary: fc
        .tuple(axis(40), axis(130, 1), fc.nat(), valueSeed)
        .map(([rows, width, k, seed]) => ({ rows, width, k: k % (width + 1), seed })),
      examples: [
        { rows: 1, width: 130, k: 130, seed: 1 },
        { rows: 2, width: 64, k: 6, seed: 2 },
      ],
    },
    async (bench, { rows, width, k, seed }) => {
      await expectTopK(bench, wholes(randomFrom(seed), rows * width, 0, 2), [rows, width], k);
    },
  ),

  example('topK', 'takes masked values last, and infinities first', async (bench) => {
    const INF = Number.POSITIVE_INFINITY;
    await expectTopK(bench, Float32Array.of(NONE, -5, NONE, -3e38, NONE, -1), [1, 6], 3);
    await expectTopK(bench, Float32Array.of(NONE, -5, NONE, -3e38, NONE, -1), [1, 6], 5);
    await expectTopK(bench, Float32Array.of(NONE, NONE, NONE, NONE), [2, 2], 2);
    await expectTopK(bench, Float32Array.of(1, INF, 3e38, NONE, INF, 0), [6], 4);
  }),

  property(
    'topK',
    'gives valid, distinct indices where there is NaN',
    { arbitrary: fc.record({ width: axis(130, 1), seed: valueSeed }) },
    async (bench, { width, seed }) => {
      const random = randomFrom(seed);
      const x = reals(random, width).map((value) => (random() < 0.4 ? Number.NaN : value));
      const k = Math.min(width, 8);
      const { values, indices } = bench.backend.topK(bench.tensor(x, [width]), k);
      bench.hold(values);
      const chosen = await bench.read(bench.hold(indices));
      const valid = chosen.every((i) => i >= 0 && i < width) && new Set(chosen).size === k;
      bench.must(valid, `indices ${chosen.join()} are not ${k} different ones below ${width}`);
    },
  ),

  example('topK', 'refuses a k that the last axis does not have, scalars, other dtypes', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    const scalar = bench.tensor(new Float32Array(1), []);
    const int = bench.tensor(integers(randomFrom(1), 3, 0, 9), [3]);
    for (const k of [4, -1, 1.5, Number.NaN]) {
      await bench.refuses(`k = ${k} of ${x}`, 'SHAPE_MISMATCH', () => backend.topK(x, k));
    }
    await bench.refuses('a scalar', 'SHAPE_MISMATCH', () => backend.topK(scalar, 1));
    await bench.refuses('i32', 'DTYPE_MISMATCH', () => backend.topK(int, 1));
  }),
];
