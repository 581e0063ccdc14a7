/**
 * How to walk operands that broadcast: as few nested loops as the shapes allow. Axes of size 1 go, and neighbouring axes
 * that every operand steps through alike become one, so that tensors of one shape are a single run, and a row or a
 * column against a matrix is two loops, whatever their ranks. Offsets and steps are in elements.
 */
import { type Shape, sizeOf } from '@mariana/core';

/** Loops over the elements of a result, innermost first; the result itself is walked in order. */
export interface LoopNest {
  readonly sizes: readonly number[];
  /** For each operand, what one turn of each loop adds to its offset; 0 where it is stretched. */
  readonly steps: readonly (readonly number[])[];
}

/** The loops over a result of shape `shape` (of at least one element) made of operands that broadcast to it. */
export function loopNest(shape: Shape, operands: readonly Shape[]): LoopNest {
  // What most operations are, and what the loop below would find.
  if (operands.every((operand) => isSameShape(operand, shape))) {
    const size = sizeOf(shape);
    return { sizes: [size], steps: operands.map(() => [size === 1 ? 0 : 1]) };
  }
  const sizes: number[] = [];
  const steps: number[][] = operands.map(() => []);
  const strides = operands.map(() => 1);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    if (size === 1) continue;
    const own = operands.map((operand, i) => {
      const owned = operand[axis - shape.length + operand.length] ?? 1;
      const step = owned === 1 ? 0 : strides[i]!;
      strides[i]! *= owned;
      return step;
    });
    const last = sizes.length - 1;
    if (last >= 0 && own.every((step, i) => step === steps[i]![last]! * sizes[last]!)) {
      sizes[last]! *= size;
    } else {
      sizes.push(size);
      own.forEach((step, i) => {
        steps[i]!.push(step);
      });
    }
  }
  if (sizes.length === 0) {
    sizes.push(1);
    for (const step of steps) step.push(0);
  }
  return { sizes, steps };
}

/**
 * Calls `visit` for each run of the innermost loops, in the order of the result.
 *
 * @param inner - How many loops a run has; the others are walked here.
 * @param visit - Gets the offset of the run in each of up to three operands. The offset in the result is the number of
 *   elements before it.
 */
export function forEachRun(
  { sizes, steps }: LoopNest,
  inner: number,
  visit: (a: number, b: number, c: number) => void,
): void {
  const [ofA, ofB, ofC] = steps;
  const walk = (loop: number, a: number, b: number, c: number): void => {
    if (loop < inner) {
      visit(a, b, c);
      return;
    }
    const [stepA, stepB, stepC] = [ofA?.[loop] ?? 0, ofB?.[loop] ?? 0, ofC?.[loop] ?? 0];
    for (let i = 0; i < sizes[loop]!; i++) walk(loop - 1, a + i * stepA, b + i * stepB, c + i * stepC);
  };
  walk(sizes.length - 1, 0, 0, 0);
}

/** Elements in a run of the `inner` innermost loops. */
export function runLength({ sizes }: LoopNest, inner: number): number {
  return sizeOf(sizes.slice(0, inner));
}

export function isSameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}
