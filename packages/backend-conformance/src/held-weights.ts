/** What the cases of weights share: shapes, and what a product with a weight should be. */
import type { Shape, Weight, WeightFormat } from '@mariana/core';
import fc from 'fast-check';
import { axis } from './arbitraries.ts';
import { type Approximate, exactly, linear } from './oracle/approximate.ts';
import { count } from './oracle/indexing.ts';
import { randomFrom, reals } from './random.ts';
import { activationErrors, floorOf, type Tolerance } from './tolerance.ts';
import type { Grouping } from './weight-sources.ts';
import type { Workbench } from './workbench.ts';

export type Matrix = readonly [number, number];

/** Shapes of weights: pieces that are whole, cut, and single. */
export const matrices: fc.Arbitrary<Matrix> = fc
  .tuple(axis(130, 1), axis(130, 1))
  .map(([out, inputs]) => [out, out * inputs > 6000 ? Math.max(1, Math.floor(6000 / out)) : inputs] as const);

export const MATRICES: readonly Matrix[] = [
  [1, 1],
  [3, 5],
  [128, 128],
  [129, 130],
  [5, 257],
  [257, 5],
  [2, 33],
];

export const groupings: fc.Arbitrary<Grouping | undefined> = fc.option(
  fc.record({
    blockSize: fc.constantFrom<readonly [number, number]>([64, 128], [16, 16], [3, 5], [1, 128]),
    groupSize: fc.constantFrom(16, 32, 64, 128, 6),
  }),
  { nil: undefined },
);

/** The values that a weight holds, as the backend itself decodes them. */
export async function heldValues({ backend }: Workbench, weight: Weight): Promise<Float32Array> {
  using decoded = backend.dequantize(weight);
  return (await backend.read(decoded)) as Float32Array;
}

/** x W^T for W [out, in], each row of x rounded as the backend says it does before it meets a weight of this format. */
export function linearOf(
  x: Float32Array,
  held: Float32Array,
  [out, inputs]: Matrix,
  format: WeightFormat,
  tolerance: Tolerance,
): Approximate {
  const operand = exactly(x);
  for (let start = 0; start < x.length; start += inputs) {
    operand.errors.set(activationErrors(x.subarray(start, start + inputs), format, tolerance), start);
  }
  const { values, errors } = linear(operand, held, inputs, out);
  return { values, errors: errors.map((error) => error + inputs * floorOf(tolerance)) };
}

/** Checks `linear` on rows of a shape. */
export async function expectLinear(bench: Workbench, weight: Weight, lead: Shape, seed: number): Promise<void> {
  const [out, inputs] = weight.shape;
  const x = reals(randomFrom(seed), count(lead) * inputs);
  const { values, errors } = linearOf(x, await heldValues(bench, weight), weight.shape, weight.format, bench.tolerance);
  await bench.expect(bench.backend.linear(bench.tensor(x, [...lead, inputs]), weight), {
    shape: [...lead, out],
    values,
    bound: errors,
  });
}
