/**
 * Shapes for properties. Sizes lie on and around the widths that kernels are blocked by (4, 16, 128), so that tails and
 * whole blocks both occur, and 0 and 1 occur often.
 */
import type { Shape } from '@mariana/core';
import fc from 'fast-check';

/** Sizes of an axis, those that a failing example shrinks to first. */
const SIZES = [1, 2, 3, 0, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 128, 129, 130];

/** Size of an axis, up to `largest`. */
export function axis(largest = 130, smallest = 0): fc.Arbitrary<number> {
  return fc.constantFrom(...SIZES.filter((size) => size <= largest && size >= smallest));
}

/** A shape whose rank lies between two numbers (default 0 to 5), of at most `elements` elements. */
export function shape({ rank = [0, 5], elements = 3000, smallest = 0 }: ShapeLimits = {}): fc.Arbitrary<Shape> {
  return fc
    .array(axis(130, smallest), { minLength: rank[0], maxLength: rank[1] })
    .map((sizes) => fitted(sizes, elements));
}

export interface ShapeLimits {
  readonly rank?: readonly [number, number];
  readonly elements?: number;
  /** Smallest size of an axis. */
  readonly smallest?: number;
}

/** The sizes, with later ones cut where the product would exceed the limit. */
function fitted(sizes: readonly number[], elements: number): number[] {
  let product = 1;
  return sizes.map((size) => {
    const cut = Math.min(size, Math.max(1, Math.floor(elements / product)));
    product *= Math.max(1, cut);
    return cut;
  });
}

/** Shapes that broadcast together: any axis of any of them may be 1, and any may lack leading axes. */
export function broadcasting(count: number, limits: ShapeLimits = {}): fc.Arbitrary<Shape[]> {
  const operand = fc.record({
    drop: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
    ones: fc.array(
      fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      {
        minLength: 5,
        maxLength: 5,
      },
    ),
  });
  return fc
    .tuple(shape(limits), fc.array(operand, { minLength: count, maxLength: count }))
    .map(([full, operands]) =>
      operands.map(({ drop, ones }) => full.map((size, i) => (ones[i] ? 1 : size)).slice(Math.min(drop, full.length))),
    );
}

/** Seed of operand values. Not shrunk: another seed is not a simpler one. */
export const valueSeed = fc.noShrink(fc.integer({ min: 0, max: 2 ** 31 - 1 }));

/** An axis of a shape, counted from the front or from the end. */
export function axisOf(rank: number): fc.Arbitrary<number> {
  return fc.integer({ min: -rank, max: rank - 1 });
}
