/** Elementwise functions of two tensors, `where`, and broadcasting. */
import { BINARY_OPS, type BinaryOp, COMPARISON_OPS, type Shape } from '@mariana/core';
import fc from 'fast-check';
import { broadcasting, shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { EXACT_BINARY } from '../oracle/elementwise.ts';
import { broadcastPosition, broadcastShape, build, count } from '../oracle/indexing.ts';
import { anyElements, integers, randomFrom, reals, SPECIAL_VALUES, wide } from '../random.ts';
import { SMALLEST_NORMAL, U, ulp } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const isComparison = (op: BinaryOp) => (COMPARISON_OPS as readonly BinaryOp[]).includes(op);
const INTEGER_OPS = BINARY_OPS.filter((op) => op !== 'div');

/** Shapes that go wrong where broadcasting is done by halves: scalars, rows, columns, outer products, both stretched. */
const PATTERNS: readonly (readonly [Shape, Shape])[] = [
  [[], []],
  [[3, 5], []],
  [[], [3, 5]],
  [[3, 5], [5]],
  [
    [3, 5],
    [3, 1],
  ],
  [
    [3, 1],
    [1, 5],
  ],
  [[7], [3, 1]],
  [
    [2, 1, 4, 1, 3],
    [3, 1, 5, 1],
  ],
  [
    [1, 0],
    [3, 1],
  ],
  [[0], [1]],
  [
    [2, 0, 3],
    [1, 1, 3],
  ],
  [
    [129, 5],
    [129, 5],
  ],
];

type Operand = { readonly data: Float32Array | Int32Array; readonly shape: Shape };

async function expectBinary(bench: Workbench, op: BinaryOp, a: Operand, b: Operand): Promise<void> {
  const shape = broadcastShape(a.shape, b.shape);
  const operandsAt = (coordinates: number[]) =>
    [a.data[broadcastPosition(coordinates, a.shape)]!, b.data[broadcastPosition(coordinates, b.shape)]!] as const;
  const values = build(shape, (coordinates) => EXACT_BINARY[op](...operandsAt(coordinates)));
  const { tolerance, backend } = bench;
  const bound = (i: number) => {
    if (op === 'max' || op === 'min' || isComparison(op)) return 0;
    const exact = values[i]!;
    if (tolerance.subnormals === 'flushed' && Math.abs(exact) < SMALLEST_NORMAL) return SMALLEST_NORMAL;
    return (op === 'div' ? tolerance.div : 0.5) * ulp(exact);
  };
  await bench.expect(backend.binary(op, bench.tensor(a.data, a.shape), bench.tensor(b.data, b.shape)), {
    shape,
    dtype: isComparison(op) || a.data instanceof Int32Array ? 'i32' : 'f32',
    values,
    bound,
  });
}

const ofFloats = (op: BinaryOp): CaseDefinition =>
  property(
    'binary',
    `${op} of f32 agrees with float64, in all broadcasts`,
    {
      arbitrary: fc.record({ shapes: broadcasting(2), seed: valueSeed }),
      examples: PATTERNS.map((shapes) => ({ shapes: [...shapes], seed: 1 })),
    },
    async (bench, { shapes: [a, b], seed }) => {
      const random = randomFrom(seed);
      // Few different values, so that comparisons meet equal ones; magnitudes far from overflow.
      const draw = (shape: Shape) =>
        random() < 0.5 ? wide(random, count(shape)) : reals(random, count(shape)).map((x) => Math.round(2 * x) || 0.5);
      await expectBinary(bench, op, { data: draw(a!), shape: a! }, { data: draw(b!), shape: b! });
    },
  );

const ofIntegers = (op: BinaryOp): CaseDefinition =>
  property(
    'binary',
    `${op} of i32 is exact, in all broadcasts`,
    {
      arbitrary: fc.record({ shapes: broadcasting(2), seed: valueSeed }),
      examples: PATTERNS.map((shapes) => ({ shapes: [...shapes], seed: 1 })),
    },
    async (bench, { shapes: [a, b], seed }) => {
      const random = randomFrom(seed);
      // Beyond 2^24, where float32 no longer tells integers apart, but not beyond what an i32 product holds.
      const limit = op === 'mul' ? 46340 : random() < 0.5 ? 3 : 2 ** 30 - 1;
      const draw = (shape: Shape) => integers(random, count(shape), -limit, limit);
      await expectBinary(bench, op, { data: draw(a!), shape: a! }, { data: draw(b!), shape: b! });
    },
  );

const ofSpecials = (op: BinaryOp): CaseDefinition =>
  example('binary', `${op} of zeros, infinities, NaN and the largest numbers`, async (bench) => {
    const kept = bench.tolerance.subnormals === 'kept';
    const specials = SPECIAL_VALUES.filter((x) => kept || x === 0 || !(Math.abs(x) < SMALLEST_NORMAL));
    const data = Float32Array.from(specials);
    const n = data.length;
    await expectBinary(bench, op, { data, shape: [n, 1] }, { data, shape: [1, n] });
  });

export const binaryCases: readonly CaseDefinition[] = [
  ...BINARY_OPS.map(ofFloats),
  ...INTEGER_OPS.map(ofIntegers),
  ...BINARY_OPS.map(ofSpecials),

  example('binary', 'a rounded sum rounds to even', async (bench) => {
    // 2^24 + 1 lies halfway between two float32 numbers, and so does 2^24 + 3.
    const a = { data: Float32Array.of(2 ** 24, 2 ** 24 + 2, 1), shape: [3] };
    await expectBinary(bench, 'add', a, { data: Float32Array.of(1, 1, U), shape: [3] });
  }),

  example('binary', 'takes the same tensor twice', async (bench) => {
    const x = bench.tensor(Float32Array.of(1, -2, 3), [3]);
    await bench.expect(bench.backend.binary('mul', x, x), { shape: [3], values: [1, 4, 9] });
    await bench.expect(x, { shape: [3], values: [1, -2, 3] });
  }),

  example('binary', 'refuses shapes that do not broadcast', async (bench) => {
    const { backend } = bench;
    const of = (shape: Shape) => bench.tensor(new Float32Array(count(shape)), shape);
    const pairs: readonly (readonly [Shape, Shape])[] = [
      [[2], [3]],
      [
        [2, 3],
        [3, 2],
      ],
      [[2, 3], [2]],
      [[0], [2]],
      [
        [4, 1, 3],
        [5, 2, 3],
      ],
    ];
    for (const [a, b] of pairs) {
      const [left, right] = [of(a), of(b)];
      for (const op of BINARY_OPS) {
        await bench.refuses(`${op} of ${left} and ${right}`, 'SHAPE_MISMATCH', () => backend.binary(op, left, right));
      }
    }
  }),

  example('binary', 'refuses mixed and other dtypes, and div of i32', async (bench) => {
    const { backend } = bench;
    const float = bench.tensor(Float32Array.of(1), [1]);
    const int = bench.tensor(Int32Array.of(1), [1]);
    const codes = bench.tensor(Uint16Array.of(0x3f80), [1], 'bf16');
    for (const op of BINARY_OPS) {
      await bench.refuses(`${op} of f32 and i32`, 'DTYPE_MISMATCH', () => backend.binary(op, float, int));
      await bench.refuses(`${op} of i32 and f32`, 'DTYPE_MISMATCH', () => backend.binary(op, int, float));
      await bench.refuses(`${op} of bf16`, 'DTYPE_MISMATCH', () => backend.binary(op, codes, codes));
    }
    await bench.refuses('div of i32', 'DTYPE_MISMATCH', () => backend.binary('div', int, int));
  }),

  ...(['f32', 'i32'] as const).map((dtype) =>
    property(
      'where',
      `chooses between ${dtype} elements, in all broadcasts`,
      { arbitrary: fc.record({ shapes: broadcasting(3), seed: valueSeed }) },
      async (bench, { shapes, seed }) => {
        const random = randomFrom(seed);
        const [ofTest, ofA, ofB] = shapes as [Shape, Shape, Shape];
        const test = integers(random, count(ofTest), -1, 1);
        const [a, b] = [anyElements(random, dtype, count(ofA)), anyElements(random, dtype, count(ofB))];
        const shape = broadcastShape(...shapes);
        const values = build(shape, (at) =>
          test[broadcastPosition(at, ofTest)] !== 0 ? a[broadcastPosition(at, ofA)]! : b[broadcastPosition(at, ofB)]!,
        );
        const result = bench.backend.where(
          bench.tensor(test, ofTest),
          bench.tensor(a, ofA, dtype),
          bench.tensor(b, ofB, dtype),
        );
        await bench.expect(result, { shape, dtype, values, bits: true });
      },
    ),
  ),

  property(
    'where',
    'an element that is not chosen leaves no trace',
    { arbitrary: fc.record({ shape: shape({ rank: [1, 3] }), seed: valueSeed }) },
    async (bench, { shape, seed }) => {
      // A blend computed as c * a + (1 - c) * b would make NaN of these.
      const size = count(shape);
      const test = integers(randomFrom(seed), size, 0, 1);
      const [one, poison] = [new Float32Array(size).fill(1), new Float32Array(size).fill(Number.NaN)];
      const expected = Float32Array.from(test, (c) => (c ? 1 : Number.NEGATIVE_INFINITY));
      const condition = bench.tensor(test, shape);
      const masked = bench.backend.where(
        condition,
        bench.tensor(one, shape),
        bench.tensor(Float32Array.of(Number.NEGATIVE_INFINITY), []),
      );
      await bench.expect(masked, { shape, values: expected });
      const poisoned = bench.backend.where(condition, bench.tensor(poison, shape), bench.tensor(one, shape));
      const clean = bench.backend.where(condition, bench.tensor(one, shape), bench.hold(poisoned));
      await bench.expect(clean, { shape, values: one });
    },
  ),

  example(
    'where',
    'refuses a condition that is no i32, branches of two dtypes, shapes that do not fit',
    async (bench) => {
      const { backend } = bench;
      const float = bench.tensor(new Float32Array(2), [2]);
      const int = bench.tensor(new Int32Array(2), [2]);
      const three = bench.tensor(new Float32Array(3), [3]);
      await bench.refuses('a condition of f32', 'DTYPE_MISMATCH', () => backend.where(float, float, float));
      await bench.refuses('branches f32 and i32', 'DTYPE_MISMATCH', () => backend.where(int, float, int));
      await bench.refuses('branches of [2] and [3]', 'SHAPE_MISMATCH', () => backend.where(int, float, three));
      await bench.refuses('a condition of [2] for [3]', 'SHAPE_MISMATCH', () => backend.where(int, three, three));
    },
  ),
];
