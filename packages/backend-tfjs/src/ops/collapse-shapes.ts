/**
 * Fewer axes for the same operation. Engines of tfjs stop at four to six axes in places, and are fastest with few;
 * contiguous axes that an operation treats alike can be seen as one. Each function here gives smaller shapes over the
 * same elements in the same order.
 */
import { type Shape, sizeOf } from '@mariana/core';

/**
 * Shapes of one rank, as few axes as possible, that broadcast as `operands` do.
 *
 * @param operands - Shapes that broadcast to `out`.
 * @param out - The broadcast shape, of at least one element.
 */
export function collapseBroadcast(operands: readonly Shape[], out: Shape): number[][] {
  const full = operands.map((shape) => [...new Array<number>(out.length - shape.length).fill(1), ...shape]);
  const views = operands.map((): number[] => []);
  let previous: string | undefined;
  for (const [axis, size] of out.entries()) {
    if (size === 1) continue;
    const stretched = full.map((shape) => shape[axis] === 1);
    const pattern = stretched.join();
    views.forEach((view, i) => {
      const own = stretched[i] ? 1 : size;
      if (pattern === previous) view[view.length - 1]! *= own;
      else view.push(own);
    });
    previous = pattern;
  }
  return views;
}

/** The axes before, at and after `axis` as three sizes. */
export function splitAtAxis(shape: Shape, axis: number): [outer: number, size: number, inner: number] {
  return [sizeOf(shape.slice(0, axis)), shape[axis]!, sizeOf(shape.slice(axis + 1))];
}

/** A shape and permutation of as few axes as possible that move elements as `permutation` moves those of `shape`. */
export function collapseTranspose(
  shape: Shape,
  permutation: readonly number[],
): { shape: number[]; permutation: number[] } {
  // Runs of source axes that stay side by side, in the order of the result.
  const runs: { first: number; size: number }[] = [];
  let expected = -1;
  for (const axis of permutation) {
    const size = shape[axis]!;
    if (size === 1) continue;
    if (axis === expected) runs.at(-1)!.size *= size;
    else runs.push({ first: axis, size });
    expected = axis + 1;
    while (shape[expected] === 1) expected++;
  }
  const inSource = runs.toSorted((a, b) => a.first - b.first);
  return { shape: inSource.map((run) => run.size), permutation: runs.map((run) => inSource.indexOf(run)) };
}
