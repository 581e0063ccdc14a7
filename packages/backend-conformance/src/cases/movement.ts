/** Operations that move elements without computing, for every dtype: `slice`, `concat`, `transpose`, `reshape`. */
import { TENSOR_DTYPES, type TensorDType } from '@mariana/core';
import fc from 'fast-check';
import { axisOf, shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { build, count, positionOf } from '../oracle/indexing.ts';
import { anyElements, randomFrom, shuffled } from '../random.ts';

/** The elements of a result, each taken from a position of the data. */
const taken = (data: ArrayLike<number>, shape: readonly number[], position: (at: number[]) => number) =>
  build(shape, (at) => data[position(at)]!);

const slices = (dtype: TensorDType): CaseDefinition =>
  property(
    'slice',
    `takes part of any axis of ${dtype}`,
    {
      arbitrary: shape({ rank: [1, 5], elements: 1500 }).chain((shape) =>
        axisOf(shape.length).chain((axis) =>
          fc
            .tuple(fc.nat(shape.at(axis)!), fc.nat(shape.at(axis)!), valueSeed)
            .map(([a, b, seed]) => ({ shape, axis, start: Math.min(a, b), end: Math.max(a, b), seed })),
        ),
      ),
      examples: [
        { shape: [5], axis: 0, start: 0, end: 5, seed: 1 },
        { shape: [5, 3], axis: 0, start: 2, end: 2, seed: 2 },
        { shape: [3, 130], axis: -1, start: 128, end: 130, seed: 3 },
      ],
    },
    async (bench, { shape, axis, start, end, seed }) => {
      const data = anyElements(randomFrom(seed), dtype, count(shape));
      const at = axis < 0 ? axis + shape.length : axis;
      const of = shape.with(at, end - start);
      const values = taken(data, of, (to) => positionOf(to.with(at, to[at]! + start), shape));
      const result = bench.backend.slice(bench.tensor(data, shape, dtype), axis, start, end);
      await bench.expect(result, { shape: of, dtype, values, bits: true });
    },
  );

const concats = (dtype: TensorDType): CaseDefinition =>
  property(
    'concat',
    `joins ${dtype} along any axis`,
    {
      arbitrary: shape({ rank: [1, 5], elements: 600 }).chain((shape) =>
        fc.record({
          shape: fc.constant(shape),
          axis: axisOf(shape.length),
          sizes: fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
          seed: valueSeed,
        }),
      ),
      examples: [
        { shape: [2], axis: 0, sizes: [3], seed: 1 },
        { shape: [2, 3], axis: -1, sizes: [0, 5, 0, 1], seed: 2 },
        { shape: [0, 3], axis: 1, sizes: [1, 2], seed: 3 },
      ],
    },
    async (bench, { shape, axis, sizes, seed }) => {
      const random = randomFrom(seed);
      const at = axis < 0 ? axis + shape.length : axis;
      const parts = sizes.map((size) => {
        const of = shape.with(at, size);
        return { shape: of, data: anyElements(random, dtype, count(of)) };
      });
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const values = build(shape.with(at, total), (to) => {
        let along = to[at]!;
        const part = parts.find((one) => {
          if (along < one.shape[at]!) return true;
          along -= one.shape[at]!;
          return false;
        })!;
        return part.data[positionOf(to.with(at, along), part.shape)]!;
      });
      const tensors = parts.map((part) => bench.tensor(part.data, part.shape, dtype));
      const result = bench.backend.concat(tensors, axis);
      await bench.expect(result, { shape: shape.with(at, total), dtype, values, bits: true });
    },
  );

const transposes = (dtype: TensorDType): CaseDefinition =>
  property(
    'transpose',
    `reorders the axes of ${dtype}`,
    {
      arbitrary: fc.record({ shape: shape({ elements: 1500 }), seed: valueSeed }),
      examples: [
        { shape: [33, 65], seed: 1 },
        { shape: [2, 3, 4], seed: 2 },
        { shape: [2, 3, 4], seed: 3 },
        { shape: [2, 3, 4, 5], seed: 4 },
        { shape: [2, 3, 2, 3, 2], seed: 5 },
      ],
    },
    async (bench, { shape, seed }) => {
      const random = randomFrom(seed);
      const permutation = shuffled(random, shape.length);
      const data = anyElements(random, dtype, count(shape));
      const of = permutation.map((axis) => shape[axis]!);
      const values = taken(data, of, (to) => {
        const from = new Array<number>(shape.length);
        permutation.forEach((axis, i) => {
          from[axis] = to[i]!;
        });
        return positionOf(from, shape);
      });
      const result = bench.backend.transpose(bench.tensor(data, shape, dtype), permutation);
      await bench.expect(result, { shape: of, dtype, values, bits: true });
    },
  );

const reshapes = (dtype: TensorDType): CaseDefinition =>
  property(
    'reshape',
    `gives ${dtype} another shape`,
    { arbitrary: fc.record({ shape: shape({ elements: 600 }), seed: valueSeed }) },
    async (bench, { shape, seed }) => {
      const values = anyElements(randomFrom(seed), dtype, count(shape));
      const x = bench.tensor(values, shape, dtype);
      for (const to of [[count(shape)], [1, ...shape, 1], [...shape].reverse(), shape]) {
        await bench.expect(bench.backend.reshape(x, to), { shape: to, dtype, values, bits: true });
      }
    },
  );

export const movementCases: readonly CaseDefinition[] = [
  ...TENSOR_DTYPES.map(slices),

  example('slice', 'refuses ranges and axes that are not there', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    const scalar = bench.tensor(new Float32Array(1), []);
    const refused = [
      [1, 0, 4],
      [1, -1, 2],
      [1, 2, 1],
      [0, 0, 3],
      [0, 0.5, 1],
      [0, 0, 1.5],
      [0, Number.NaN, 1],
      [2, 0, 1],
      [-3, 0, 1],
    ] as const;
    for (const [axis, start, end] of refused) {
      const what = `${start} to ${end} of axis ${axis} of ${x}`;
      await bench.refuses(what, 'SHAPE_MISMATCH', () => backend.slice(x, axis, start, end));
    }
    await bench.refuses('a slice of a scalar', 'SHAPE_MISMATCH', () => backend.slice(scalar, 0, 0, 1));
  }),

  ...TENSOR_DTYPES.map(concats),

  example('concat', 'takes the same tensor twice, and copies a single one', async (bench) => {
    const x = bench.tensor(Float32Array.of(1, 2), [1, 2]);
    await bench.expect(bench.backend.concat([x, x], 0), { shape: [2, 2], values: [1, 2, 1, 2] });
    await bench.expect(bench.backend.concat([x, x], 1), { shape: [1, 4], values: [1, 2, 1, 2] });
    await bench.expect(bench.backend.concat([x], 1), { shape: [1, 2], values: [1, 2] });
    await bench.expect(x, { shape: [1, 2], values: [1, 2] });
  }),

  example('concat', 'refuses nothing, shapes that do not fit, mixed dtypes', async (bench) => {
    const { backend } = bench;
    const a = bench.tensor(new Float32Array(6), [2, 3]);
    const b = bench.tensor(new Float32Array(4), [2, 2]);
    const flat = bench.tensor(new Float32Array(3), [3]);
    const ints = bench.tensor(new Int32Array(6), [2, 3]);
    const scalar = bench.tensor(new Float32Array(1), []);
    await bench.refuses('no tensors', 'SHAPE_MISMATCH', () => backend.concat([], 0));
    await bench.refuses('[2, 3] and [2, 2] along 0', 'SHAPE_MISMATCH', () => backend.concat([a, b], 0));
    await bench.refuses('ranks 2 and 1', 'SHAPE_MISMATCH', () => backend.concat([a, flat], 0));
    await bench.refuses('axis 2', 'SHAPE_MISMATCH', () => backend.concat([a, a], 2));
    await bench.refuses('scalars', 'SHAPE_MISMATCH', () => backend.concat([scalar, scalar], 0));
    await bench.refuses('f32 and i32', 'DTYPE_MISMATCH', () => backend.concat([a, ints], 0));
  }),

  ...TENSOR_DTYPES.map(transposes),

  example('transpose', 'refuses what does not permute the axes', async (bench) => {
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    for (const permutation of [[0], [0, 0], [1, 2], [0, 1, 2], [-1, 0], [0.5, 1], []]) {
      await bench.refuses(`[${permutation}] of ${x}`, 'SHAPE_MISMATCH', () => bench.backend.transpose(x, permutation));
    }
  }),

  ...TENSOR_DTYPES.map(reshapes),

  example('reshape', 'copies nothing', async (bench) => {
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    const { bytes } = bench.backend.memory();
    const y = bench.hold(bench.backend.reshape(x, [3, 2]));
    const grown = bench.backend.memory().bytes - bytes;
    bench.must(grown === 0, `a reshaped handle takes ${grown} bytes; it should share the storage of its origin`);
    x.dispose();
    await bench.expect(y, { shape: [3, 2], values: new Float32Array(6) });
  }),

  example('reshape', 'refuses a shape of another size, and what is no shape', async (bench) => {
    const x = bench.tensor(new Float32Array(6), [2, 3]);
    for (const to of [[5], [], [2, 2], [-2, -3], [1.5, 4], [-1, 6], [7]]) {
      await bench.refuses(`[${to}] for ${x}`, 'SHAPE_MISMATCH', () => bench.backend.reshape(x, to));
    }
  }),
];
