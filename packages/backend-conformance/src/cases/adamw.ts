/** One step of AdamW: the parameter within what its roundings explain, moments in the dtypes they came in. */
import type { Shape, Tensor } from '@mariana/core';
import fc from 'fast-check';
import { shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { randomFrom, reals } from '../random.ts';
import { divisionError, floorOf, gamma, relativeError, U } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const GROUP = 'adamw';

interface Update {
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay?: number;
}

async function expectStep(bench: Workbench, shape: Shape, seed: number, options: Update, dtype: 'f32' | 'bf16') {
  const { backend, tolerance } = bench;
  const random = randomFrom(seed);
  const size = count(shape);
  const [p, g] = [reals(random, size, -2, 2), reals(random, size, -1, 1)];
  const moments = [reals(random, size, -1, 1), reals(random, size, 0, 1)].map((values) => {
    const tensor = bench.tensor(values, shape);
    return dtype === 'f32' ? tensor : bench.hold(backend.cast(tensor, dtype));
  });
  const [m, v] = await Promise.all(moments.map((tensor) => bench.read(bench.hold(backend.cast(tensor, 'f32')))));
  const state = { parameter: bench.tensor(p, shape), firstMoment: moments[0]!, secondMoment: moments[1]! };
  const next = backend.adamw(state, bench.tensor(g, shape), options);

  const { step, learningRate, weightDecay = 0.1 } = options;
  const [beta1, beta2, epsilon] = [0.9, 0.95, 1e-8];
  const [firsts, seconds, values, bounds] = Array.from({ length: 4 }, () => new Float64Array(size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  // Factors are float32 numbers: each is off by u, and each operation by another.
  const sumError = (a: number, b: number) => 4 * U * (Math.abs(a) + Math.abs(b));
  for (let i = 0; i < size; i++) {
    const [oldM, newM, oldV, newV] = [beta1 * m![i]!, (1 - beta1) * g[i]!, beta2 * v![i]!, (1 - beta2) * g[i]! ** 2];
    firsts[i] = oldM + newM;
    seconds[i] = oldV + newV;
    const root = Math.sqrt(seconds[i]! / (1 - beta2 ** step)) + epsilon;
    const size = learningRate / (1 - beta1 ** step) / root;
    const kept = p[i]! * (shape.length >= 2 ? 1 - learningRate * weightDecay : 1);
    values[i] = kept - firsts[i]! * size;
    const relative = 2 * U + relativeError('sqrt', seconds[i]!, tolerance) + divisionError(tolerance) + 6 * U;
    const moved = sumError(oldM, newM) * size + Math.abs(firsts[i]! * size) * relative;
    bounds[i] = moved + 3 * U * Math.abs(kept) + U * Math.abs(values[i]!) + floorOf(tolerance);
  }
  await bench.expect(next.parameter, { shape, values, bound: bounds });
  bench.expectHandle(bench.hold(next.firstMoment), shape, dtype);
  bench.expectHandle(bench.hold(next.secondMoment), shape, dtype);
  const rounding = dtype === 'f32' ? 0 : 2 ** -8;
  await bench.expect(bench.hold(backend.cast(next.firstMoment, 'f32')), {
    shape,
    values: firsts,
    bound: (i) => sumError(beta1 * m![i]!, 0.1 * g[i]!) + rounding * Math.abs(firsts[i]!) + floorOf(tolerance),
  });
  await bench.expect(bench.hold(backend.cast(next.secondMoment, 'f32')), {
    shape,
    values: seconds,
    bound: (i) => sumError(seconds[i]!, 0) + rounding * seconds[i]! + floorOf(tolerance),
  });
}

export const adamwCases: readonly CaseDefinition[] = [
  property(
    GROUP,
    'moves parameter and moments',
    {
      arbitrary: fc.record({
        shape: shape({ rank: [0, 3], elements: 6000 }),
        dtype: fc.constantFrom('f32' as const, 'bf16' as const),
        step: fc.integer({ min: 1, max: 2000 }),
        seed: valueSeed,
      }),
      examples: [
        { shape: [], dtype: 'f32', step: 1, seed: 1 },
        { shape: [5], dtype: 'f32', step: 1, seed: 2 },
        { shape: [3, 7], dtype: 'f32', step: 2, seed: 3 },
        { shape: [3, 4099], dtype: 'f32', step: 100, seed: 4 },
        { shape: [9, 130], dtype: 'bf16', step: 3, seed: 5 },
        { shape: [0, 4], dtype: 'f32', step: 1, seed: 6 },
      ],
    },
    async (bench, { shape, dtype, step, seed }) => {
      await expectStep(bench, shape, seed, { step, learningRate: 0.01, weightDecay: 0.3 }, dtype);
    },
  ),

  example(GROUP, 'decays by a tenth of the learning rate unless told otherwise, and no vectors', async (bench) => {
    await expectStep(bench, [4, 4], 1, { step: 1, learningRate: 0.5 }, 'f32');
    await expectStep(bench, [16], 2, { step: 1, learningRate: 0.5 }, 'f32');
  }),

  example(GROUP, 'leaves what it was given as it was', async (bench) => {
    const { backend } = bench;
    const given = [Float32Array.of(1, 2), Float32Array.of(0.5, 0), Float32Array.of(0.25, 1), Float32Array.of(-1, 1)];
    const [parameter, firstMoment, secondMoment, gradient] = given.map((values) => bench.tensor(values, [2]));
    const state = { parameter: parameter!, firstMoment: firstMoment!, secondMoment: secondMoment! };
    const next = backend.adamw(state, gradient!, { step: 1, learningRate: 0.1 });
    for (const tensor of Object.values(next)) bench.hold(tensor);
    for (const [i, tensor] of [parameter, firstMoment, secondMoment, gradient].entries()) {
      await bench.expect(tensor!, { shape: [2], values: given[i]!, bound: 0 });
    }
  }),

  example(GROUP, 'refuses other shapes, other dtypes and a step 0', async (bench) => {
    const { backend } = bench;
    const vector = () => bench.tensor(new Float32Array(2), [2]);
    const state = { parameter: vector(), firstMoment: vector(), secondMoment: vector() };
    const options = { step: 1, learningRate: 0.1 };
    const long = bench.tensor(new Float32Array(3), [3]);
    const ints = bench.tensor(new Int32Array(2), [2]);
    await bench.refuses('a longer gradient', 'SHAPE_MISMATCH', () => backend.adamw(state, long, options));
    await bench.refuses('an integer gradient', 'DTYPE_MISMATCH', () => backend.adamw(state, ints, options));
    await bench.refuses('step 0', 'INVALID_ARGUMENT', () => backend.adamw(state, vector(), { ...options, step: 0 }));
  }),

  property(
    GROUP,
    'moves all parameters as it moves each by its scaled gradient',
    {
      arbitrary: fc.record({
        shapes: fc.array(shape({ rank: [0, 2], elements: 500 }), { maxLength: 5 }),
        dtype: fc.constantFrom('f32' as const, 'bf16' as const),
        scale: fc.constantFrom<number | undefined>(undefined, 1, 0.3),
        seed: valueSeed,
      }),
      examples: [
        { shapes: [[3], [5, 7], []], dtype: 'f32', scale: 0.25, seed: 1 },
        { shapes: [[4099], [2, 3]], dtype: 'f32', scale: undefined, seed: 2 },
        { shapes: [[9], [3, 3]], dtype: 'bf16', scale: 0.7, seed: 3 },
        { shapes: new Array<Shape>(70).fill([2, 2]), dtype: 'f32', scale: 0.5, seed: 4 },
      ],
    },
    async (bench, { shapes, dtype, scale, seed }) => {
      const { backend } = bench;
      const random = randomFrom(seed);
      const options = { step: 3, learningRate: 0.01 };
      const gradients = shapes.map((shape) => reals(random, count(shape), -1, 1));
      const states = shapes.map((shape) => {
        const [p, m, v] = [[-2, 2] as const, [-1, 1] as const, [0, 1] as const].map(([low, high]) =>
          bench.tensor(reals(random, count(shape), low, high), shape),
        );
        const moment = (x: Tensor) => (dtype === 'f32' ? x : bench.hold(backend.cast(x, dtype)));
        return { parameter: p!, firstMoment: moment(m!), secondMoment: moment(v!) };
      });
      const given = gradients.map((values, i) => bench.tensor(values, shapes[i]!));
      const factor = scale === undefined ? {} : { gradientScale: bench.tensor(Float32Array.of(scale), []) };
      const moved = backend.adamwAll(states, given, { ...options, ...factor });
      for (const tensor of moved.flatMap((state) => Object.values(state))) bench.hold(tensor);
      bench.must(moved.length === shapes.length, `moved ${moved.length} of ${shapes.length} parameters`);
      for (const [i, shape] of shapes.entries()) {
        const scaled = gradients[i]!.map((value) => value * Math.fround(scale ?? 1));
        const one = backend.adamw(states[i]!, bench.tensor(scaled, shape), options);
        for (const tensor of Object.values(one)) bench.hold(tensor);
        for (const part of ['parameter', 'firstMoment', 'secondMoment'] as const) {
          bench.expectHandle(moved[i]![part], shape, part === 'parameter' ? 'f32' : dtype);
          const values = await bench.read(bench.hold(backend.cast(one[part], 'f32')));
          const bound = (j: number) => 4 * U * Math.abs(values[j]!) + floorOf(bench.tolerance);
          await bench.expect(bench.hold(backend.cast(moved[i]![part], 'f32')), { shape, values, bound });
        }
      }
    },
  ),

  property(
    GROUP,
    'squares and sums each tensor',
    {
      arbitrary: fc.record({
        shapes: fc.array(shape({ rank: [0, 3], elements: 500 }), { maxLength: 5 }),
        seed: valueSeed,
      }),
      examples: [
        { shapes: [], seed: 1 },
        { shapes: [[], [0, 3], [5, 7], [4099]], seed: 2 },
      ],
    },
    async (bench, { shapes, seed }) => {
      const random = randomFrom(seed);
      const data = shapes.map((shape) => reals(random, count(shape), -2, 2));
      const norms = bench.backend.squaredNorms(data.map((values, i) => bench.tensor(values, shapes[i]!)));
      const values = data.map((x) => x.reduce((sum, value) => sum + value * value, 0));
      const bound = (i: number) => gamma(data[i]!.length + 1, values[i]!) + floorOf(bench.tolerance);
      await bench.expect(norms, { shape: [shapes.length], values, bound });
    },
  ),

  example(GROUP, 'refuses a gradient too few, and two factors', async (bench) => {
    const { backend } = bench;
    const vector = () => bench.tensor(new Float32Array(2), [2]);
    const state = { parameter: vector(), firstMoment: vector(), secondMoment: vector() };
    const options = { step: 1, learningRate: 0.1 };
    await bench.refuses('no gradient', 'SHAPE_MISMATCH', () => backend.adamwAll([state], [], options));
    await bench.refuses('two factors', 'SHAPE_MISMATCH', () =>
      backend.adamwAll([state], [vector()], { ...options, gradientScale: vector() }),
    );
    await bench.refuses('the norm of integers', 'DTYPE_MISMATCH', () =>
      backend.squaredNorms([bench.tensor(new Int32Array(2), [2])]),
    );
  }),
];
