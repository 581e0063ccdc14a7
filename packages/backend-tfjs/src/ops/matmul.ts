/** The matrix product in the forms that every engine has: one matrix, or two equally long batches of matrices. */
import { type MatmulOptions, type MatmulShape, type Shape, sizeOf } from '@mariana/core';
import type { TfModule, TfTensor } from '../tf-module.ts';
import { collapseBroadcast } from './collapse-shapes.ts';

/** Operands of at least one element each; the result has `sizes.shape`, possibly as fewer axes. */
export function matmul(
  tf: TfModule,
  a: TfTensor,
  aShape: Shape,
  b: TfTensor,
  bShape: Shape,
  { batch, m, k }: MatmulShape,
  { transposeA = false, transposeB = false }: MatmulOptions,
): TfTensor {
  const [aBatch, bBatch] = [aShape.slice(0, -2), bShape.slice(0, -2)];
  const bMatrix = bShape.slice(-2);
  if (sizeOf(bBatch) === 1 && !transposeA) {
    // Every matrix of the batch meets the same b: its rows are rows of one tall matrix.
    return tf.matMul(tf.reshape(a, [sizeOf(aBatch) * m, k]), tf.reshape(b, bMatrix), false, transposeB);
  }
  return tf.matMul(spread(tf, a, aShape, batch), spread(tf, b, bShape, batch), transposeA, transposeB);
}

/** [..., rows, columns] as [matrices, rows, columns], repeated to the whole batch. */
function spread(tf: TfModule, x: TfTensor, shape: Shape, batch: Shape): TfTensor {
  const matrix = shape.slice(-2);
  const leading = shape.slice(0, -2);
  const all = sizeOf(batch);
  if (sizeOf(leading) === all) return tf.reshape(x, [all, ...matrix]);
  const [have, want] = collapseBroadcast([leading, batch], batch) as [number[], number[]];
  const elements = sizeOf(matrix);
  return tf.reshape(tf.broadcastTo(tf.reshape(x, [...have, elements]), [...want, elements]), [all, ...matrix]);
}
