/** Products with weights, and rows of them: `linear`, `groupedLinear`, `embed`. */
import type { Weight, WeightFormat } from '@mariana/core';
import fc from 'fast-check';
import { axis, shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { expectLinear, groupings, heldValues, linearOf, MATRICES, type Matrix, matrices } from '../held-weights.ts';
import { integers, randomFrom, reals } from '../random.ts';
import { knownWeight, WEIGHT_FORMATS } from '../weight-sources.ts';

const multiplies = (format: WeightFormat): CaseDefinition =>
  property(
    'linear',
    `by ${format} weights, of vectors, matrices and stacks of them`,
    {
      arbitrary: fc.record({
        shape: matrices,
        lead: shape({ rank: [0, 3], elements: 9 }),
        grouping: groupings,
        seed: valueSeed,
      }),
      examples: [
        ...MATRICES.map((shape, seed) => ({ shape, lead: [3], grouping: undefined, seed })),
        { shape: [5, 129] as Matrix, lead: [], grouping: undefined, seed: 11 },
        { shape: [5, 129] as Matrix, lead: [1], grouping: undefined, seed: 12 },
        { shape: [7, 64] as Matrix, lead: [2, 3], grouping: undefined, seed: 13 },
        { shape: [7, 64] as Matrix, lead: [0], grouping: undefined, seed: 14 },
        { shape: [7, 64] as Matrix, lead: [2, 0], grouping: undefined, seed: 15 },
      ],
    },
    async (bench, { shape, lead, grouping, seed }) => {
      const { source } = knownWeight(randomFrom(seed), format, shape, grouping);
      await expectLinear(bench, bench.hold(await bench.backend.loadWeight(source)), lead, seed + 1);
    },
  );

/** The product of each group with its own rows of the weight, put in the order of the result [T, groups, out]. */
const multipliesGroups = (format: WeightFormat): CaseDefinition =>
  property(
    'groupedLinear',
    `by ${format} weights, a matrix for each group`,
    {
      arbitrary: fc.record({
        tokens: axis(9),
        groups: fc.integer({ min: 1, max: 5 }),
        out: axis(33, 1),
        inputs: axis(65, 1),
        seed: valueSeed,
      }),
      examples: [
        { tokens: 1, groups: 1, out: 1, inputs: 1, seed: 1 },
        { tokens: 3, groups: 5, out: 6, inputs: 8, seed: 2 },
        { tokens: 2, groups: 3, out: 50, inputs: 129, seed: 3 }, // rows of a group across two FP8 blocks
        { tokens: 0, groups: 2, out: 3, inputs: 4, seed: 4 },
      ],
    },
    async (bench, { tokens, groups, out, inputs, seed }) => {
      const random = randomFrom(seed);
      const { source } = knownWeight(random, format, [groups * out, inputs]);
      const weight = bench.hold(await bench.backend.loadWeight(source));
      const held = await heldValues(bench, weight);
      const x = reals(random, tokens * groups * inputs);
      const parts = Array.from({ length: tokens * groups }, (_, at) => {
        const group = at % groups;
        const matrix = held.subarray(group * out * inputs, (group + 1) * out * inputs);
        const row = x.subarray(at * inputs, (at + 1) * inputs);
        return linearOf(row, matrix, [out, inputs], weight.format, bench.tolerance);
      });
      await bench.expect(bench.backend.groupedLinear(bench.tensor(x, [tokens, groups, inputs]), weight), {
        shape: [tokens, groups, out],
        values: parts.flatMap(({ values }) => [...values]),
        bound: parts.flatMap(({ errors }) => [...errors]),
      });
    },
  );

const embeds = (format: WeightFormat): CaseDefinition =>
  property(
    'embed',
    `takes rows of ${format} weights`,
    {
      arbitrary: fc.record({ shape: matrices, tokens: axis(33), seed: valueSeed }),
      examples: MATRICES.map((shape, seed) => ({ shape, tokens: 5, seed })),
    },
    async (bench, { shape, tokens, seed }) => {
      const random = randomFrom(seed);
      const [rows, width] = shape;
      const { source } = knownWeight(random, format, shape);
      const weight = bench.hold(await bench.backend.loadWeight(source));
      const held = await heldValues(bench, weight);
      const ids = integers(random, tokens, 0, rows - 1);
      await bench.expect(bench.backend.embed(bench.tensor(ids, [tokens]), weight), {
        shape: [tokens, width],
        values: [...ids].flatMap((id) => [...held.subarray(id * width, (id + 1) * width)]),
      });
    },
  );

const gone = (format: WeightFormat): CaseDefinition =>
  example('linear', `refuses ${format} weights that are disposed or of another backend`, async (bench) => {
    const { backend, foreign } = bench;
    const { source } = knownWeight(randomFrom(1), format, [4, 6]);
    const [x, ids] = [bench.tensor(new Float32Array(12), [2, 6]), bench.tensor(Int32Array.of(1), [1])];
    const heads = bench.tensor(new Float32Array(12), [1, 2, 6]);
    const disposed = await backend.loadWeight(source);
    disposed.dispose();
    const other = bench.hold(await foreign.loadWeight(source));
    const calls = (weight: Weight): readonly [string, () => unknown][] => [
      ['linear', () => backend.linear(x, weight)],
      ['groupedLinear', () => backend.groupedLinear(heads, weight)],
      ['embed', () => backend.embed(ids, weight)],
      ['dequantize', () => backend.dequantize(weight)],
    ];
    for (const [name, call] of calls(disposed)) await bench.refuses(`${name}, disposed,`, 'TENSOR_DISPOSED', call);
    for (const [name, call] of calls(other)) await bench.refuses(`${name}, of another backend,`, 'WRONG_BACKEND', call);
  });

export const linearCases: readonly CaseDefinition[] = [
  ...WEIGHT_FORMATS.map(multiplies),
  ...WEIGHT_FORMATS.map(gone),

  example('linear', 'by a weight without inputs is zero, and by one without outputs is empty', async (bench) => {
    const { backend } = bench;
    const narrow = bench.hold(backend.denseWeight(backend.upload(new Float32Array(0), [3, 0])));
    const none = bench.hold(backend.denseWeight(backend.upload(new Float32Array(0), [0, 3])));
    const [empty, x] = [bench.tensor(new Float32Array(0), [2, 0]), bench.tensor(new Float32Array(6), [2, 3])];
    await bench.expect(backend.linear(empty, narrow), { shape: [2, 3], values: new Float32Array(6) });
    await bench.expect(backend.linear(x, none), { shape: [2, 0], values: [] });
  }),

  example('linear', 'what is not finite stays in its row', async (bench) => {
    const { backend } = bench;
    const weight = bench.hold(backend.denseWeight(backend.upload(new Float32Array(15).fill(1), [3, 5])));
    const rows = [1, 2, 3, 4, 5, Number.NaN, 1, 1, 1, 1, Number.POSITIVE_INFINITY, 1, 1, 1, 1];
    const sums = [15, Number.NaN, Number.POSITIVE_INFINITY];
    await bench.expect(backend.linear(bench.tensor(Float32Array.from(rows), [3, 5]), weight), {
      shape: [3, 3],
      values: sums.flatMap((sum) => [sum, sum, sum]),
    });
  }),

  example(
    'linear',
    'refuses inputs that do not fit, scalars, other dtypes, foreign and disposed ones',
    async (bench) => {
      const { backend } = bench;
      const scalar = bench.tensor(new Float32Array(1), []);
      const [x, row] = [bench.tensor(new Float32Array(12), [2, 6]), bench.tensor(new Float32Array(5), [5])];
      const ints = bench.tensor(new Int32Array(10), [2, 5]);
      const foreign = bench.foreignTensor(new Float32Array(5), [5]);
      const gone = bench.tensor(new Float32Array(5), [5]);
      gone.dispose();
      for (const format of WEIGHT_FORMATS) {
        const { source } = knownWeight(randomFrom(1), format, [4, 5]);
        const weight = bench.hold(await backend.loadWeight(source));
        await bench.refuses(`${x} by [4, 5] as ${format}`, 'SHAPE_MISMATCH', () => backend.linear(x, weight));
        await bench.refuses(`a scalar by ${format}`, 'SHAPE_MISMATCH', () => backend.linear(scalar, weight));
        await bench.refuses(`i32 by ${format}`, 'DTYPE_MISMATCH', () => backend.linear(ints, weight));
        await bench.refuses(`x of another backend by ${format}`, 'WRONG_BACKEND', () =>
          backend.linear(foreign, weight),
        );
        await bench.refuses(`x, disposed, by ${format}`, 'TENSOR_DISPOSED', () => backend.linear(gone, weight));
        await bench.expect(backend.linear(row, weight), { shape: [4], values: [0, 0, 0, 0] });
      }
    },
  ),

  ...WEIGHT_FORMATS.map(multipliesGroups),

  example('groupedLinear', 'worked by hand', async (bench) => {
    const weight = bench.hold(
      bench.backend.denseWeight(bench.backend.upload(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [4, 2])),
    );
    const x = bench.tensor(Float32Array.of(1, 1, 1, -1), [1, 2, 2]);
    await bench.expect(bench.backend.groupedLinear(x, weight), { shape: [1, 2, 2], values: [3, 7, -1, -1] });
  }),

  example(
    'groupedLinear',
    'refuses groups that do not divide the rows, other widths, ranks and dtypes',
    async (bench) => {
      const { backend } = bench;
      const { source } = knownWeight(randomFrom(1), 'bf16', [6, 4]);
      const weight = bench.hold(await backend.loadWeight(source));
      const of = (...shape: number[]) => bench.tensor(new Float32Array(shape.reduce((a, b) => a * b)), shape);
      for (const x of [of(1, 4, 4), of(1, 2, 5), of(2, 4), of(1, 1, 2, 4)]) {
        await bench.refuses(`${x} by [6, 4]`, 'SHAPE_MISMATCH', () => backend.groupedLinear(x, weight));
      }
      const ints = bench.tensor(new Int32Array(8), [1, 2, 4]);
      const foreign = bench.foreignTensor(new Float32Array(8), [1, 2, 4]);
      await bench.refuses('i32', 'DTYPE_MISMATCH', () => backend.groupedLinear(ints, weight));
      await bench.refuses('x of another backend', 'WRONG_BACKEND', () => backend.groupedLinear(foreign, weight));
      const gone = of(1, 2, 4);
      gone.dispose();
      await bench.refuses('x, disposed,', 'TENSOR_DISPOSED', () => backend.groupedLinear(gone, weight));
    },
  ),

  ...WEIGHT_FORMATS.map(embeds),

  example('embed', 'refuses ids that are no i32, foreign and disposed ones', async (bench) => {
    const { backend } = bench;
    const { source } = knownWeight(randomFrom(1), 'bf16', [4, 6]);
    const weight = bench.hold(await backend.loadWeight(source));
    const floats = bench.tensor(Float32Array.of(1), [1]);
    const foreign = bench.foreignTensor(Int32Array.of(1), [1]);
    const gone = bench.tensor(Int32Array.of(1), [1]);
    gone.dispose();
    await bench.refuses('f32 ids', 'DTYPE_MISMATCH', () => backend.embed(floats, weight));
    await bench.refuses('ids of another backend', 'WRONG_BACKEND', () => backend.embed(foreign, weight));
    await bench.refuses('ids, disposed,', 'TENSOR_DISPOSED', () => backend.embed(gone, weight));
  }),

  example('embed', 'refuses indices out of range', async (bench) => {
    for (const format of WEIGHT_FORMATS) {
      const { source } = knownWeight(randomFrom(1), format, [4, 6]);
      const weight = bench.hold(await bench.backend.loadWeight(source));
      for (const bad of [4, -1]) {
        const ids = bench.tensor(Int32Array.of(1, bad), [2]);
        await bench.refuses(`id ${bad} of 4`, 'INVALID_ARGUMENT', () => bench.backend.embed(ids, weight));
      }
    }
  }),
];
