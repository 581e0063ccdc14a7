/** Products of groups of rows, in both directions: groups of all sizes, empty ones among them. */
import fc from 'fast-check';
import { axis, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { product } from '../oracle/matmul.ts';
import { randomFrom, reals, wholes } from '../random.ts';
import { floorOf, gamma } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const GROUP = 'matmulGroups';

/** Products of one call. */
interface Example {
  readonly counts: readonly number[];
  readonly k: number;
  readonly n: number;
  readonly transposeB: boolean;
  readonly seed: number;
}

const groups: fc.Arbitrary<Example> = fc.record({
  counts: fc.array(axis(65), { minLength: 1, maxLength: 6 }),
  k: axis(65),
  n: axis(33),
  transposeB: fc.boolean(),
  seed: valueSeed,
});

const EXAMPLES: readonly Example[] = [
  { counts: [1], k: 1, n: 1, transposeB: false, seed: 1 },
  { counts: [5, 0, 131], k: 7, n: 9, transposeB: false, seed: 2 },
  { counts: [0, 17, 3, 64], k: 33, n: 20, transposeB: true, seed: 3 },
  { counts: [0, 0], k: 3, n: 2, transposeB: true, seed: 4 },
  { counts: [4, 2], k: 0, n: 3, transposeB: false, seed: 5 },
  { counts: [4, 2], k: 3, n: 0, transposeB: true, seed: 6 },
  // More groups than a backend may make room for at first.
  { counts: new Array(80).fill(0).map((_, i) => i % 3), k: 5, n: 4, transposeB: true, seed: 7 },
];

/** Where each group begins; the last entry is the number of rows. */
function startsOf(counts: readonly number[]): number[] {
  const starts = [0];
  for (const count of counts) starts.push(starts.at(-1)! + count);
  return starts;
}

async function expectGroups(bench: Workbench, one: Example, fill: typeof reals | typeof wholes): Promise<void> {
  const { counts, k, n, transposeB, seed } = one;
  const random = randomFrom(seed);
  const starts = startsOf(counts);
  const rows = starts.at(-1)!;
  const x = fill(random, rows * k);
  const shape = transposeB ? [n, k] : [k, n];
  const weights = counts.map(() => fill(random, k * n));
  const [values, bounds] = [new Float64Array(rows * n), new Float64Array(rows * n)];
  for (const [g, count] of counts.entries()) {
    const part = product(
      { data: x.subarray(starts[g]! * k, starts[g + 1]! * k), shape: [count, k] },
      { data: weights[g]!, shape, transposed: transposeB },
    );
    values.set(part.values, starts[g]! * n);
    bounds.set(
      part.magnitudes.map((size) => gamma(k, size) + k * floorOf(bench.tolerance)),
      starts[g]! * n,
    );
  }
  const matrices = weights.map((weight) => bench.tensor(weight, shape));
  const y = bench.backend.matmulGroups(bench.tensor(x, [rows, k]), counts, matrices, { transposeB });
  await bench.expect(y, { shape: [rows, n], values, bound: fill === wholes ? 0 : bounds });
}

async function expectWithin(bench: Workbench, one: Example, fill: typeof reals | typeof wholes): Promise<void> {
  const { counts, k: m, n, seed } = one;
  const random = randomFrom(seed);
  const starts = startsOf(counts);
  const rows = starts.at(-1)!;
  const [a, b] = [fill(random, rows * m), fill(random, rows * n)];
  const products = bench.backend.matmulWithinGroups(bench.tensor(a, [rows, m]), bench.tensor(b, [rows, n]), counts);
  for (const tensor of products) bench.hold(tensor);
  bench.must(products.length === counts.length, `gave ${products.length} products for ${counts.length} groups`);
  for (const [g, count] of counts.entries()) {
    const { values, magnitudes } = product(
      { data: a.subarray(starts[g]! * m, starts[g + 1]! * m), shape: [count, m], transposed: true },
      { data: b.subarray(starts[g]! * n, starts[g + 1]! * n), shape: [count, n] },
    );
    const floor = count * floorOf(bench.tolerance);
    const bound = fill === wholes ? 0 : (i: number) => gamma(count, magnitudes[i]!) + floor;
    await bench.expect(products[g]!, { shape: [m, n], values, bound });
  }
}

export const matmulGroupCases: readonly CaseDefinition[] = [
  property(
    GROUP,
    'agrees with float64 within the error of a float32 sum',
    { arbitrary: groups, examples: EXAMPLES },
    (bench, one) => expectGroups(bench, one, reals),
  ),

  property(GROUP, 'of whole numbers is exact', { arbitrary: groups }, (bench, one) => expectGroups(bench, one, wholes)),

  property(
    GROUP,
    'multiplies the rows of each group with each other within the error of a float32 sum',
    { arbitrary: groups, examples: EXAMPLES },
    (bench, one) => expectWithin(bench, one, reals),
  ),

  property(GROUP, 'multiplies whole rows of each group exactly', { arbitrary: groups }, (bench, one) =>
    expectWithin(bench, one, wholes),
  ),

  example(GROUP, 'refuses groups that do not fit', async (bench) => {
    const { backend } = bench;
    const matrix = (rows: number, columns: number) => bench.tensor(new Float32Array(rows * columns), [rows, columns]);
    const x = matrix(3, 2);
    const two = [matrix(2, 4), matrix(2, 4)];
    const ints = bench.tensor(new Int32Array(6), [3, 2]);
    await bench.refuses('a row too few', 'SHAPE_MISMATCH', () => backend.matmulGroups(x, [1, 1], two));
    await bench.refuses('a matrix too few', 'SHAPE_MISMATCH', () => backend.matmulGroups(x, [3], two));
    await bench.refuses('no matrix', 'SHAPE_MISMATCH', () => backend.matmulGroups(matrix(0, 2), [], []));
    await bench.refuses('another inner size', 'SHAPE_MISMATCH', () =>
      backend.matmulGroups(x, [1, 2], two, { transposeB: true }),
    );
    await bench.refuses('matrices of two widths', 'SHAPE_MISMATCH', () =>
      backend.matmulGroups(x, [1, 2], [matrix(2, 4), matrix(2, 5)]),
    );
    await bench.refuses('a negative count', 'INVALID_ARGUMENT', () => backend.matmulGroups(x, [-1, 4], two));
    await bench.refuses('half a row', 'INVALID_ARGUMENT', () => backend.matmulGroups(x, [1.5, 1.5], two));
    await bench.refuses('integers', 'DTYPE_MISMATCH', () => backend.matmulGroups(ints, [1, 2], two));
    await bench.refuses('rows of two numbers', 'SHAPE_MISMATCH', () =>
      backend.matmulWithinGroups(x, matrix(2, 2), [1, 2]),
    );
    await bench.refuses('integers to multiply with', 'DTYPE_MISMATCH', () =>
      backend.matmulWithinGroups(x, ints, [1, 2]),
    );
    await bench.refuses('a negative count within', 'INVALID_ARGUMENT', () => backend.matmulWithinGroups(x, x, [-1, 4]));
  }),
];
