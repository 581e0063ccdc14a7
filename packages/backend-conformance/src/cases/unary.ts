/** Elementwise functions of one tensor. */
import { UNARY_OPS, type UnaryOp } from '@mariana/core';
import fc from 'fast-check';
import { shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { EXACT_UNARY } from '../oracle/elementwise.ts';
import { count } from '../oracle/indexing.ts';
import { type Random, randomFrom, reals, wide } from '../random.ts';
import { SMALLEST_NORMAL, unaryBound } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

/** Operands over the range in which a function does something. */
const OPERANDS: Readonly<Record<UnaryOp, (random: Random, count: number) => Float32Array>> = {
  neg: wide,
  abs: wide,
  sign: wide,
  floor: (random, count) => reals(random, count, -1000, 1000),
  ceil: (random, count) => reals(random, count, -1000, 1000),
  exp: (random, count) => reals(random, count, -86, 86),
  exp2: (random, count) => reals(random, count, -125, 127),
  log: (random, count) => wide(random, count, -100, 100).map(Math.abs),
  log2: (random, count) => wide(random, count, -100, 100).map(Math.abs),
  sqrt: (random, count) => wide(random, count, -100, 100).map(Math.abs),
  rsqrt: (random, count) => wide(random, count, -100, 100).map(Math.abs),
  sigmoid: (random, count) => reals(random, count, -30, 30),
};

const INFINITY = Number.POSITIVE_INFINITY;

/** Operands at the edges, for each function the ones whose result the contract settles. */
const EDGES: Readonly<Record<UnaryOp, readonly number[]>> = {
  neg: [0, -0, 1, INFINITY, -INFINITY, Number.NaN, 3e38],
  abs: [0, -0, -1, INFINITY, -INFINITY, Number.NaN, -3e38],
  sign: [0, -0, 1e-30, -1e-30, 3e38, INFINITY, -INFINITY, Number.NaN],
  floor: [0, -0, 0.5, -0.5, 1, -1, 2.9999998, -2.0000002, 8388607.5, 2147483648, 1e30, -1e30, INFINITY, Number.NaN],
  ceil: [0, -0, 0.5, -0.5, 1, -1, 2.0000002, -2.9999998, 8388607.5, 2147483648, 1e30, -1e30, -INFINITY, Number.NaN],
  exp: [0, -0, 1, -1, 88.5, 89, 200, 1e30, -110, -1e30, INFINITY, -INFINITY, Number.NaN],
  exp2: [0, 0.5, -0.5, 127.5, 128, 1e30, -160, -1e30, INFINITY, -INFINITY, Number.NaN],
  log: [0, 1, 0.99999994, 1.0000001, 2, 3e38, SMALLEST_NORMAL, -1, INFINITY, -INFINITY, Number.NaN],
  log2: [0, 1, 0.99999994, 1.0000001, 3, 3e38, -1, INFINITY, -INFINITY, Number.NaN],
  sqrt: [0, 1, 4, 3e38, SMALLEST_NORMAL, -1, INFINITY, -INFINITY, Number.NaN],
  rsqrt: [0, 1, 4, 3e38, SMALLEST_NORMAL, -1, INFINITY, -INFINITY, Number.NaN],
  sigmoid: [0, 1e-30, 20, 100, 1e30, -80, -100, -1e30, INFINITY, -INFINITY, Number.NaN],
};

async function expectUnary(bench: Workbench, op: UnaryOp, x: Float32Array, of = [x.length] as readonly number[]) {
  const values = Float64Array.from(x, EXACT_UNARY[op]);
  await bench.expect(bench.backend.unary(op, bench.tensor(x, of)), {
    shape: of,
    values,
    bound: (i) => unaryBound(op, x[i]!, values[i]!, bench.tolerance),
  });
}

const ofShapes = (op: UnaryOp): CaseDefinition =>
  property(
    'unary',
    `${op} agrees with float64`,
    { arbitrary: fc.record({ shape: shape(), seed: valueSeed }) },
    (bench, { shape, seed }) => expectUnary(bench, op, OPERANDS[op](randomFrom(seed), count(shape)), shape),
  );

const atEdges = (op: UnaryOp): CaseDefinition =>
  example('unary', `${op} at zeros, infinities, NaN and the ends of its range`, (bench) =>
    expectUnary(bench, op, Float32Array.from(EDGES[op])),
  );

/** 2^-126 to 2^127: every normal power of two. */
const EXPONENTS = Array.from({ length: 254 }, (_, i) => i - 126);

export const unaryCases: readonly CaseDefinition[] = [
  ...UNARY_OPS.map(ofShapes),
  ...UNARY_OPS.map(atEdges),

  example('unary', 'exp2 of an integer is exact', async (bench) => {
    const x = bench.tensor(Float32Array.from(EXPONENTS), [EXPONENTS.length]);
    const values = EXPONENTS.map((exponent) => 2 ** exponent);
    await bench.expect(bench.backend.unary('exp2', x), { shape: x.shape, values });
  }),

  example('unary', 'log2 of a power of two is exact', async (bench) => {
    const x = bench.tensor(
      Float32Array.from(EXPONENTS, (exponent) => 2 ** exponent),
      [EXPONENTS.length],
    );
    await bench.expect(bench.backend.unary('log2', x), { shape: x.shape, values: EXPONENTS });
  }),

  example('unary', 'neg, abs and sign keep subnormal numbers', async (bench) => {
    if (bench.tolerance.subnormals === 'flushed') return;
    const x = Float32Array.of(2 ** -149, -(2 ** -149), 2 ** -127, -(2 ** -127));
    for (const op of ['neg', 'abs', 'sign'] as const) await expectUnary(bench, op, x);
  }),

  example('unary', 'refuses other dtypes', async (bench) => {
    const integers = bench.tensor(Int32Array.of(1), [1]);
    const codes = bench.tensor(Uint16Array.of(0x3f80), [1], 'bf16');
    for (const op of UNARY_OPS) {
      await bench.refuses(`${op} of i32`, 'DTYPE_MISMATCH', () => bench.backend.unary(op, integers));
      await bench.refuses(`${op} of bf16`, 'DTYPE_MISMATCH', () => bench.backend.unary(op, codes));
    }
  }),
];
