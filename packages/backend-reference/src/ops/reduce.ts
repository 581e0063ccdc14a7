/** Reductions along one axis, and the selection of the largest values. */
import { type ReduceOp, type Shape, sizeOf } from '@mariana/core';

const REDUCE: Readonly<Record<ReduceOp, { empty: number; combine: (a: number, b: number) => number }>> = {
  sum: { empty: 0, combine: (a, b) => a + b },
  max: { empty: Number.NEGATIVE_INFINITY, combine: Math.max },
};

/** Folds axis `axis` of `x` into `out`, which holds the other axes in order. Sums are kept in double precision. */
export function reduce(op: ReduceOp, x: Float32Array, shape: Shape, axis: number, out: Float32Array): void {
  const { empty, combine } = REDUCE[op];
  const size = shape[axis]!;
  const inner = sizeOf(shape.slice(axis + 1));
  for (let i = 0; i < out.length; i++) {
    const start = Math.floor(i / inner) * inner * size + (i % inner);
    let value = empty;
    for (let j = 0; j < size; j++) value = combine(value, x[start + j * inner]!);
    out[i] = value;
  }
}

/** The k largest of each row of `width` values, largest first, of equal ones the first. */
export function topK(x: Float32Array, width: number, k: number, values: Float32Array, indices: Int32Array): void {
  const rows = width === 0 ? 0 : x.length / width;
  for (let row = 0; row < rows; row++) {
    const order = Array.from({ length: width }, (_, i) => i);
    const value = (i: number) => x[row * width + i]!;
    order.sort((a, b) => (value(b) > value(a) ? 1 : value(b) < value(a) ? -1 : a - b));
    for (let i = 0; i < k; i++) {
      indices[row * k + i] = order[i]!;
      values[row * k + i] = value(order[i]!);
    }
  }
}
