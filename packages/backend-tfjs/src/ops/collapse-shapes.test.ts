import { broadcastShapes, type Shape, sizeOf, transposeShape } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { collapseBroadcast, collapseTranspose, splitAtAxis } from './collapse-shapes.ts';

const size = fc.integer({ min: 1, max: 3 });

/** The offset in an operand of each element of the broadcast shape, in order. */
function offsets(operand: Shape, out: Shape): number[] {
  let all = [0];
  const lead = out.length - operand.length;
  out.forEach((axis, i) => {
    const own = i < lead ? 1 : operand[i - lead]!;
    const step = i < lead ? 0 : sizeOf(operand.slice(i - lead + 1));
    all = all.flatMap((start) => Array.from({ length: axis }, (_, j) => start + (own === 1 ? 0 : j * step)));
  });
  return all;
}

function offsetsTransposed(shape: Shape, permutation: readonly number[]): number[] {
  let all = [0];
  for (const axis of permutation) {
    const step = sizeOf(shape.slice(axis + 1));
    all = all.flatMap((start) => Array.from({ length: shape[axis]! }, (_, j) => start + j * step));
  }
  return all;
}

describe('collapseBroadcast', () => {
  const operands = fc.array(size, { maxLength: 8 }).chain((out) =>
    fc.array(
      fc
        .tuple(fc.array(fc.boolean(), { minLength: out.length, maxLength: out.length }), fc.nat(out.length))
        .map(([ones, drop]) => out.map((axis, i) => (ones[i] ? 1 : axis)).slice(drop)),
      { minLength: 1, maxLength: 3 },
    ),
  );

  test('every element of the result meets the same elements of the operands', () => {
    fc.assert(
      fc.property(operands, (shapes) => {
        const out = broadcastShapes('test', ...shapes);
        const views = collapseBroadcast(shapes, out);
        const collapsed = broadcastShapes('test', ...views);
        expect(sizeOf(collapsed)).toBe(sizeOf(out));
        views.forEach((view, i) => {
          expect(offsets(view, collapsed)).toEqual(offsets(shapes[i]!, out));
        });
      }),
    );
  });

  test('takes as few axes as there are changes between stretched and not', () => {
    expect(collapseBroadcast([[2, 3, 4, 5]], [2, 3, 4, 5])).toEqual([[120]]);
    expect(collapseBroadcast([[2, 3, 4, 5], [5]], [2, 3, 4, 5])).toEqual([
      [24, 5],
      [1, 5],
    ]);
    expect(collapseBroadcast([[7, 1, 9], []], [7, 1, 9])).toEqual([[63], [1]]);
    expect(collapseBroadcast([[1], []], [1])).toEqual([[], []]);
  });
});

describe('collapseTranspose', () => {
  const cases = fc
    .array(size, { maxLength: 8 })
    .chain((shape) =>
      fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })),
    );

  test('moves every element to the same place', () => {
    fc.assert(
      fc.property(cases, ([shape, permutation]) => {
        const collapsed = collapseTranspose(shape, permutation);
        expect(offsetsTransposed(collapsed.shape, collapsed.permutation)).toEqual(
          offsetsTransposed(shape, permutation),
        );
        expect(sizeOf(transposeShape(collapsed.shape, collapsed.permutation))).toBe(sizeOf(shape));
      }),
    );
  });

  test('sees axes that stay together as one, and no axes of size 1', () => {
    expect(collapseTranspose([2, 3, 4, 5], [2, 3, 0, 1])).toEqual({ shape: [6, 20], permutation: [1, 0] });
    expect(collapseTranspose([2, 1, 4], [1, 0, 2])).toEqual({ shape: [8], permutation: [0] });
    expect(collapseTranspose([1, 1], [1, 0])).toEqual({ shape: [], permutation: [] });
  });
});

test('splitAtAxis gives what lies before, at and after an axis', () => {
  expect(splitAtAxis([2, 3, 4, 5], 1)).toEqual([2, 3, 20]);
  expect(splitAtAxis([7], 0)).toEqual([1, 7, 1]);
});
