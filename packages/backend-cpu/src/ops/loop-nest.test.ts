import { type Shape, sizeOf } from '@mariana/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { forEachRun, loopNest } from './loop-nest.ts';

test.each([
  {
    name: 'equal shapes are one run',
    shape: [2, 3, 4],
    operands: [
      [2, 3, 4],
      [2, 3, 4],
    ],
    sizes: [24],
    steps: [[1], [1]],
  },
  { name: 'a scalar does not step', shape: [2, 3], operands: [[2, 3], []], sizes: [6], steps: [[1], [0]] },
  {
    name: 'a row',
    shape: [2, 5, 3],
    operands: [[2, 5, 3], [3]],
    sizes: [3, 10],
    steps: [
      [1, 3],
      [1, 0],
    ],
  },
  {
    name: 'a column',
    shape: [2, 5, 3],
    operands: [
      [2, 5, 3],
      [2, 5, 1],
    ],
    sizes: [3, 10],
    steps: [
      [1, 3],
      [0, 1],
    ],
  },
  {
    name: 'a middle',
    shape: [2, 5, 3],
    operands: [
      [2, 5, 3],
      [2, 1, 3],
    ],
    sizes: [3, 5, 2],
    steps: [
      [1, 3, 15],
      [1, 0, 3],
    ],
  },
  {
    name: 'axes of size 1 go',
    shape: [1, 4, 1],
    operands: [
      [4, 1],
      [1, 1, 1],
    ],
    sizes: [4],
    steps: [[1], [0]],
  },
  { name: 'one element', shape: [1, 1], operands: [[1, 1], []], sizes: [1], steps: [[0], [0]] },
])('$name', ({ shape, operands, sizes, steps }) => {
  expect(loopNest(shape, operands)).toEqual({ sizes, steps });
});

/** Where the element of an operand lies that broadcasts to a place of the result. */
function placeIn(operand: Shape, shape: Shape, element: number): number {
  let [rest, stride, place] = [element, 1, 0];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const own = operand[axis - shape.length + operand.length] ?? 1;
    if (own !== 1) place += (rest % shape[axis]!) * stride;
    stride *= own;
    rest = Math.floor(rest / shape[axis]!);
  }
  return place;
}

/** A shape, and three operands that broadcast to it. */
const broadcast = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 5 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    operands: fc.tuple(
      ...[0, 1, 2].map(() =>
        fc
          .record({ stretched: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), lead: fc.nat(shape.length) })
          .map(({ stretched, lead }) => shape.map((size, axis) => (stretched[axis] ? 1 : size)).slice(lead)),
      ),
    ),
    inner: fc.nat(3),
  }),
);

test('runs visit the elements of every operand in the order of the result, whatever the shapes', () => {
  fc.assert(
    fc.property(broadcast, ({ shape, operands, inner }) => {
      const nest = loopNest(shape, operands);
      const visited: number[][] = [];
      forEachRun(nest, inner, (...starts) => {
        const count = sizeOf(nest.sizes.slice(0, inner));
        for (let i = 0; i < count; i++) {
          visited.push(
            starts.map((start, operand) => {
              let [rest, place] = [i, start];
              for (let loop = 0; loop < Math.min(inner, nest.sizes.length); loop++) {
                place += (rest % nest.sizes[loop]!) * nest.steps[operand]![loop]!;
                rest = Math.floor(rest / nest.sizes[loop]!);
              }
              return place;
            }),
          );
        }
      });
      const expected = Array.from({ length: sizeOf(shape) }, (_, i) =>
        operands.map((operand) => placeIn(operand, shape, i)),
      );
      expect(visited).toEqual(expected);
    }),
  );
});
