/** One step of Muon against its formula in float64: matrices of all forms, several of one shape among them. */
import type { Shape } from '@mariana/core';
import fc from 'fast-check';
import { valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { randomFrom, reals } from '../random.ts';
import { floorOf, U } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const GROUP = 'muon';

interface Example {
  readonly shapes: readonly Shape[];
  readonly dtype: 'f32' | 'bf16';
  readonly scale: number | undefined;
  readonly seed: number;
}

/** [rows, inner] times [inner, columns] in float64; there are too many of them for the general one of the oracle. */
function multiply(x: Float64Array, y: Float64Array, rows: number, inner: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = x[i * inner + k]!;
      for (let j = 0; j < columns; j++) out[i * columns + j]! += factor * y[k * columns + j]!;
    }
  }
  return out;
}

/** x with its singular values near 1, by the steps of the contract as they are written there. */
function orthogonal(matrix: Float64Array, [rows, columns]: readonly [number, number]): Float64Array {
  const norm = Math.max(Math.sqrt(matrix.reduce((sum, value) => sum + value * value, 0)), 1e-7);
  let x = matrix.map((value) => value / norm);
  for (let step = 0; step < 5; step++) {
    const turned = x.map((_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!);
    const gram = multiply(x, turned, rows, columns, rows);
    const squared = multiply(gram, gram, rows, rows, rows);
    const factor = gram.map((value, i) => -4.775 * value + 2.0315 * squared[i]!);
    const moved = multiply(factor, x, rows, rows, columns);
    x = x.map((value, i) => 3.4445 * value + moved[i]!);
  }
  return x;
}

async function expectStep(bench: Workbench, { shapes, dtype, scale, seed }: Example): Promise<void> {
  const { backend, tolerance } = bench;
  const random = randomFrom(seed);
  const options = { learningRate: 0.05, momentum: 0.9, weightDecay: 0.3 };
  const gradients = shapes.map((shape) => reals(random, count(shape), -1, 1));
  const parameters = shapes.map((shape) => reals(random, count(shape), -2, 2));
  const states = shapes.map((shape, i) => {
    const momentum = bench.tensor(reals(random, count(shape), -0.3, 0.3), shape);
    return {
      parameter: bench.tensor(parameters[i]!, shape),
      momentum: dtype === 'f32' ? momentum : bench.hold(backend.cast(momentum, dtype)),
    };
  });
  const before = await Promise.all(states.map(({ momentum }) => bench.read(bench.hold(backend.cast(momentum, 'f32')))));
  const factor = scale === undefined ? {} : { gradientScale: bench.tensor(Float32Array.of(scale), [1]) };
  const next = backend.muon(
    states,
    gradients.map((values, i) => bench.tensor(values, shapes[i]!)),
    { ...options, ...factor },
  );
  for (const tensor of next.flatMap((state) => Object.values(state))) bench.hold(tensor);
  bench.must(next.length === shapes.length, `moved ${next.length} of ${shapes.length} matrices`);
  for (const [i, shape] of shapes.entries()) {
    const [rows, columns] = shape as [number, number];
    const fresh = Float64Array.from(gradients[i]!, (g) => 0.1 * g * Math.fround(scale ?? 1));
    const momentum = fresh.map((value, j) => 0.9 * before[i]![j]! + value);
    const update = orthogonal(
      momentum.map((value, j) => 0.9 * value + fresh[j]!),
      [rows, columns],
    );
    const step = 0.2 * 0.05 * Math.sqrt(Math.max(rows, columns));
    // Each of five steps multiplies what is off in the smallest singular values by 3.4445; the roundings of a sum of n
    // products are independent, so that the root of n counts.
    const error = 3.4445 ** 5 * 4 * Math.sqrt(rows + columns) * U;
    await bench.expect(next[i]!.parameter, {
      shape,
      values: update.map((value, j) => parameters[i]![j]! * (1 - 0.05 * 0.3) - step * value),
      bound: (j) => step * error + 4 * U * Math.abs(parameters[i]![j]!),
    });
    bench.expectHandle(next[i]!.momentum, shape, dtype);
    await bench.expect(bench.hold(backend.cast(next[i]!.momentum, 'f32')), {
      shape,
      values: momentum,
      bound: (j) =>
        8 * U * (Math.abs(before[i]![j]!) + Math.abs(fresh[j]!)) +
        (dtype === 'f32' ? 0 : 2 ** -8 * Math.abs(momentum[j]!)) +
        floorOf(tolerance),
    });
  }
}

const matrix = fc.tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 }));

export const muonCases: readonly CaseDefinition[] = [
  property(
    GROUP,
    'moves matrices by their momentum made orthogonal',
    {
      arbitrary: fc.record({
        shapes: fc.array(matrix, { maxLength: 3 }),
        dtype: fc.constantFrom('f32' as const, 'bf16' as const),
        scale: fc.constantFrom<number | undefined>(undefined, 1, 0.3),
        seed: valueSeed,
      }),
      examples: [
        { shapes: [], dtype: 'f32', scale: undefined, seed: 1 },
        { shapes: [[1, 1]], dtype: 'f32', scale: undefined, seed: 2 },
        // Wide, tall and square ones, and more of one shape than are moved at once.
        { shapes: [[7, 30], [30, 7], [16, 16], [7, 30]], dtype: 'f32', scale: 0.25, seed: 3 }, // biome-ignore format: one line
        { shapes: new Array<Shape>(9).fill([40, 50]), dtype: 'f32', scale: undefined, seed: 4 },
        { shapes: [[121, 122]], dtype: 'f32', scale: undefined, seed: 5 },
        { shapes: [[9, 20], [20, 9]], dtype: 'bf16', scale: 0.7, seed: 6 }, // biome-ignore format: one line
      ],
    },
    expectStep,
  ),

  example(GROUP, 'lets a matrix without gradient decay, an empty one be, and one rank stay one', async (bench) => {
    const { backend } = bench;
    const zeros = (shape: Shape) => bench.tensor(new Float32Array(count(shape)), shape);
    const ones: Shape = [4, 9];
    const states = [ones, [3, 0] as Shape, ones].map((shape) => ({
      parameter: bench.tensor(new Float32Array(count(shape)).fill(2), shape),
      momentum: zeros(shape),
    }));
    const options = { learningRate: 0.5, weightDecay: 0.1 };
    const flat = bench.tensor(new Float32Array(36).fill(0.5), ones);
    const update = orthogonal(new Float64Array(36).fill(1), [4, 9]);
    const step = 0.2 * 0.5 * 3;
    for (const gradients of [
      [zeros(ones), zeros([3, 0])],
      [zeros(ones), zeros([3, 0]), flat],
    ]) {
      // biome-ignore format: one line
      const next = backend.muon(states.slice(0, gradients.length), gradients, options);
      for (const tensor of next.flatMap((state) => Object.values(state))) bench.hold(tensor);
      await bench.expect(next[0]!.parameter, { shape: ones, values: new Float64Array(36).fill(1.9), bound: 4 * U });
      await bench.expect(next[1]!.parameter, { shape: [3, 0], values: [] });
      if (next.length === 2) continue;
      await bench.expect(next[2]!.parameter, {
        shape: ones,
        values: update.map((value) => 1.9 - step * value),
        bound: step * 3.4445 ** 5 * 16 * U + 8 * U,
      });
    }
  }),

  example(GROUP, 'refuses vectors, other shapes, other dtypes and a momentum of 1', async (bench) => {
    const { backend } = bench;
    const zeros = (shape: Shape) => bench.tensor(new Float32Array(count(shape)), shape);
    const state = () => ({ parameter: zeros([2, 3]), momentum: zeros([2, 3]) });
    const options = { learningRate: 0.1 };
    const ints = bench.tensor(new Int32Array(6), [2, 3]);
    const vector = { parameter: zeros([6]), momentum: zeros([6]) };
    await bench.refuses('a vector', 'SHAPE_MISMATCH', () => backend.muon([vector], [zeros([6])], options));
    await bench.refuses('a turned gradient', 'SHAPE_MISMATCH', () => backend.muon([state()], [zeros([3, 2])], options));
    await bench.refuses('no gradient', 'SHAPE_MISMATCH', () => backend.muon([state()], [], options));
    await bench.refuses('an integer gradient', 'DTYPE_MISMATCH', () => backend.muon([state()], [ints], options));
    await bench.refuses('a momentum of 1', 'INVALID_ARGUMENT', () =>
      backend.muon([state()], [zeros([2, 3])], { ...options, momentum: 1 }),
    );
    await bench.refuses('two factors', 'SHAPE_MISMATCH', () =>
      backend.muon([state()], [zeros([2, 3])], { ...options, gradientScale: zeros([2]) }),
    );
  }),
];
