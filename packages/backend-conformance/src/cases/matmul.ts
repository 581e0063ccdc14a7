/** The matrix product: transposes, broadcast batches, sizes around the blocks of kernels, what is not finite. */
import type { MatmulOptions, Shape } from '@mariana/core';
import fc from 'fast-check';
import { axis, broadcasting, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { product } from '../oracle/matmul.ts';
import { randomFrom, reals, wholes } from '../random.ts';
import { floorOf, gamma } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

/** One product to be made. */
interface Example {
  /** Leading axes of both operands. */
  readonly batches: readonly Shape[];
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly seed: number;
}

/** Multiply-adds of one example, so that the whole stays within seconds. */
const WORK = 150_000;

const products: fc.Arbitrary<Example> = fc
  .record({
    batches: broadcasting(2, { rank: [0, 3], elements: 8 }),
    m: axis(),
    k: axis(),
    n: axis(),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    seed: valueSeed,
  })
  .map((one) => {
    const batch = Math.max(1, ...one.batches.map(count));
    const n = Math.min(one.n, Math.max(1, Math.floor(WORK / (batch * Math.max(1, one.m * one.k)))));
    return { ...one, n };
  });

/** All four ways to read the operands of sizes that blocks of 4, 8, 16, 64 and 128 do not divide, and empty ones. */
const SIZES: readonly Example[] = [
  [1, 1, 1],
  [0, 3, 2],
  [3, 0, 2],
  [3, 2, 0],
  [3, 3, 3],
  [1, 131, 7],
  [5, 129, 66],
  [17, 16, 15],
  [67, 5, 129],
  [64, 64, 32],
].flatMap(([m, k, n], i) =>
  [0, 1, 2, 3].map((bits) => ({
    batches: [[], []],
    m: m!,
    k: k!,
    n: n!,
    transposeA: (bits & 1) === 1,
    transposeB: (bits & 2) === 2,
    seed: 10 * i + bits,
  })),
);

const BATCHES: readonly Example[] = [
  [[2], [2]],
  [[2], []],
  [[], [3]],
  [
    [2, 1],
    [1, 3],
  ],
  [[2, 3], [1]],
  [[0], [1]],
  [
    [2, 1, 2],
    [3, 1],
  ],
].flatMap((batches, i) =>
  [0, 3].map((bits) => ({
    batches,
    m: 5,
    k: 9,
    n: 7,
    transposeA: (bits & 1) === 1,
    transposeB: (bits & 2) === 2,
    seed: 100 + 10 * i + bits,
  })),
);

async function expectProduct(bench: Workbench, one: Example, fill: typeof reals | typeof wholes): Promise<void> {
  const { batches, m, k, n, transposeA, transposeB, seed } = one;
  const random = randomFrom(seed);
  const aShape = [...batches[0]!, ...(transposeA ? [k, m] : [m, k])];
  const bShape = [...batches[1]!, ...(transposeB ? [n, k] : [k, n])];
  const [a, b] = [fill(random, count(aShape)), fill(random, count(bShape))];
  const { shape, values, magnitudes } = product(
    { data: a, shape: aShape, transposed: transposeA },
    { data: b, shape: bShape, transposed: transposeB },
  );
  const floor = k * floorOf(bench.tolerance);
  await bench.expect(
    bench.backend.matmul(bench.tensor(a, aShape), bench.tensor(b, bShape), { transposeA, transposeB }),
    { shape, values, bound: fill === wholes ? 0 : (i) => gamma(k, magnitudes[i]!) + floor },
  );
}

export const matmulCases: readonly CaseDefinition[] = [
  property(
    'matmul',
    'agrees with float64 within the error of a float32 sum',
    { arbitrary: products, examples: SIZES },
    (bench, one) => expectProduct(bench, one, reals),
  ),

  property(
    'matmul',
    'of whole numbers is exact',
    { arbitrary: products, examples: [...SIZES, ...BATCHES] },
    (bench, one) => expectProduct(bench, one, wholes),
  ),

  property('matmul', 'broadcasts leading axes', { arbitrary: products, examples: BATCHES }, (bench, one) =>
    expectProduct(bench, one, reals),
  ),

  example('matmul', 'reads neither operand transposed unless told to', async (bench) => {
    const a = bench.tensor(Float32Array.of(1, 2, 3, 4), [2, 2]);
    const b = bench.tensor(Float32Array.of(5, 6, 7, 8), [2, 2]);
    const of = (values: number[]) => ({ shape: [2, 2], values });
    const { backend } = bench;
    await bench.expect(backend.matmul(a, b), of([19, 22, 43, 50]));
    await bench.expect(backend.matmul(a, b, {}), of([19, 22, 43, 50]));
    await bench.expect(backend.matmul(a, b, { transposeA: true }), of([26, 30, 38, 44]));
    await bench.expect(backend.matmul(a, b, { transposeB: true }), of([17, 23, 39, 53]));
    await bench.expect(backend.matmul(a, b, { transposeA: true, transposeB: true }), of([23, 31, 34, 46]));
    await bench.expect(backend.matmul(a, a, { transposeB: true }), of([5, 11, 11, 25]));
  }),

  example('matmul', 'what is not finite stays in its rows and columns', async (bench) => {
    const INF = Number.POSITIVE_INFINITY;
    // Five columns, so that a kernel that pads its blocks with zeros shows 0 * Infinity if it pads too much.
    const a = Float32Array.of(1, 2, 3, 4, 5, Number.NaN, 0, 0, 0, 0, INF, 1, 1, 1, 1, 0, -INF, 0, 0, 0);
    const b = Float32Array.of(1, 0, 1, 1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    const { shape, values } = product({ data: a, shape: [4, 5] }, { data: b, shape: [5, 3] });
    const [left, right] = [bench.tensor(a, [4, 5]), bench.tensor(b, [5, 3])];
    await bench.expect(bench.backend.matmul(left, right), { shape, values });
    // The other way round: the odd ones in the right operand.
    const flipped = product({ data: b, shape: [5, 3], transposed: true }, { data: a, shape: [4, 5], transposed: true });
    const result = bench.backend.matmul(right, left, { transposeA: true, transposeB: true });
    await bench.expect(result, { shape: [3, 4], values: flipped.values });
  }),

  example('matmul', 'of an empty sum is zero', async (bench) => {
    const [a, b] = [bench.tensor(new Float32Array(0), [2, 3, 0]), bench.tensor(new Float32Array(0), [0, 4])];
    await bench.expect(bench.backend.matmul(a, b), { shape: [2, 3, 4], values: new Float64Array(24) });
  }),

  example('matmul', 'keeps precision in long sums', async (bench) => {
    // 4097 terms: a kernel that rounds products or partial sums to a shorter format is off by far more than this.
    const random = randomFrom(7);
    const [a, b] = [reals(random, 2 * 4097), reals(random, 3 * 4097)];
    const { shape, values, magnitudes } = product(
      { data: a, shape: [2, 4097] },
      { data: b, shape: [3, 4097], transposed: true },
    );
    // The worst case grows with the terms; errors of random signs, with their square root. Six times that is certain.
    await bench.expect(
      bench.backend.matmul(bench.tensor(a, [2, 4097]), bench.tensor(b, [3, 4097]), { transposeB: true }),
      { shape, values, bound: (i) => 6 * gamma(Math.sqrt(4097), magnitudes[i]!) },
    );
  }),

  example('matmul', 'refuses sizes that do not meet, vectors, other dtypes', async (bench) => {
    const { backend } = bench;
    const of = (shape: Shape) => bench.tensor(new Float32Array(count(shape)), shape);
    const refused: readonly (readonly [Shape, Shape, MatmulOptions?])[] = [
      [
        [2, 3],
        [2, 3],
      ],
      [[2, 3], [3, 2], { transposeA: true }],
      [[2, 3], [3, 2], { transposeB: true }],
      [[3], [3, 2]],
      [[2, 3], [3]],
      [
        [2, 4, 3],
        [3, 3, 5],
      ],
    ];
    for (const [a, b, options] of refused) {
      const [left, right] = [of(a), of(b)];
      const what = `${left} times ${right} with ${JSON.stringify(options ?? {})}`;
      await bench.refuses(what, 'SHAPE_MISMATCH', () => backend.matmul(left, right, options));
    }
    const [float, int] = [of([1, 1]), bench.tensor(new Int32Array(1), [1, 1])];
    const codes = bench.tensor(new Uint16Array(1), [1, 1], 'bf16');
    await bench.refuses('i32', 'DTYPE_MISMATCH', () => backend.matmul(int, int));
    await bench.refuses('f32 times bf16', 'DTYPE_MISMATCH', () => backend.matmul(float, codes));
    await bench.refuses('bf16 times f32', 'DTYPE_MISMATCH', () => backend.matmul(codes, float));
  }),
];
