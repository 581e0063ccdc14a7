/** Matrix products in float64, with the sum of the magnitudes on which their error depends. */
import type { Shape } from '@mariana/core';
import { broadcastPosition, broadcastShape, coordinatesOf, count } from './indexing.ts';

/** A product and, for each element, sum |a_i| |b_i|. */
export interface Product {
  readonly shape: number[];
  readonly values: Float64Array;
  readonly magnitudes: Float64Array;
  /** Terms of each sum. */
  readonly terms: number;
}

/** An operand of a product, read transposed or as it is. */
export interface Factor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape;
  readonly transposed?: boolean | undefined;
}

/** [..., M, K] times [..., K, N], with leading axes that broadcast. */
export function product(a: Factor, b: Factor): Product {
  const { rows: m, columns: terms } = matrixOf(a);
  const { columns: n } = matrixOf(b);
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const values = new Float64Array(count(batch) * m * n);
  const magnitudes = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const [left, right] = [a, b].map((factor) => reader(factor, coordinatesOf(Math.floor(i / (m * n)), batch)));
    const [row, column] = [Math.floor(i / n) % m, i % n];
    for (let k = 0; k < terms; k++) {
      const term = left!(row, k) * right!(k, column);
      values[i]! += term;
      magnitudes[i]! += Math.abs(term);
    }
  }
  return { shape: [...batch, m, n], values, magnitudes, terms };
}

function matrixOf({ shape, transposed }: Factor): { rows: number; columns: number } {
  const [first, second] = [shape.at(-2)!, shape.at(-1)!];
  return transposed ? { rows: second, columns: first } : { rows: first, columns: second };
}

/** Reads elements of the matrix that a factor has at this place of the batch. */
function reader({ data, shape, transposed }: Factor, batch: number[]): (row: number, column: number) => number {
  const [height, width] = [shape.at(-2)!, shape.at(-1)!];
  const start = broadcastPosition(batch, shape.slice(0, -2)) * height * width;
  return transposed
    ? (row, column) => data[start + column * width + row]!
    : (row, column) => data[start + row * width + column]!;
}
