/**
 * The k largest of each row, of equal ones the first. `tf.topk` promises that order, but tfjs-cpu compares by
 * subtraction and so mixes up equal infinities (with which a router masks experts), and tfjs-webgpu gives indices
 * beyond the row for NaN. NaN is therefore taken as minus infinity (its place is undefined by the contract, but the
 * indices are not), and where the engine needs it, infinities are ordered by a second, stable pass.
 */
import type { TfModule, TfTensor } from '../tf-module.ts';
import type { EngineTraits } from '../traits.ts';

/** @param x - float32 [rows, width], not empty. */
export function topK(
  tf: TfModule,
  traits: EngineTraits,
  x: TfTensor,
  k: number,
): { values: TfTensor; indices: TfTensor } {
  const numbers = tf.where(tf.isNaN(x), tf.scalar(Number.NEGATIVE_INFINITY, 'float32'), x);
  const indices = traits.topKOrdersInfinities ? tf.topk(numbers, k, true).indices : topKInTwoPasses(tf, numbers, k);
  return { values: takeAlongRows(tf, x, indices), indices };
}

/**
 * Sorts whole rows with infinities pulled in to the largest finite values, then by class (infinite, finite, minus
 * infinite): the order within a class, first come first, survives the second pass.
 */
function topKInTwoPasses(tf: TfModule, x: TfTensor, k: number): TfTensor {
  const width = x.shape[1]!;
  const byValue = tf.topk(tf.clipByValue(x, -LARGEST, LARGEST), width, true).indices;
  const above = tf.cast(tf.greater(x, tf.scalar(LARGEST, 'float32')), 'float32');
  const below = tf.cast(tf.less(x, tf.scalar(-LARGEST, 'float32')), 'float32');
  const byClass = tf.topk(takeAlongRows(tf, tf.sub(above, below), byValue), k, true).indices;
  return takeAlongRows(tf, byValue, byClass);
}

const LARGEST = (2 - 2 ** -23) * 2 ** 127;

/** x[row, indices[row, i]] for x [rows, width] and int32 indices [rows, n]. */
function takeAlongRows(tf: TfModule, x: TfTensor, indices: TfTensor): TfTensor {
  const [rows, width] = x.shape as [number, number];
  const starts = tf.tensor(
    Int32Array.from({ length: rows }, (_, row) => row * width),
    [rows, 1],
    'int32',
  );
  return tf.gather(tf.reshape(x, [rows * width]), tf.add(indices, starts), 0);
}
