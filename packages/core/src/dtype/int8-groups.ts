/**
 * Weights in INT8: each row is cut into groups of 128 columns, and each group becomes integers from -127 to 127 and
 * one float32 scale. A row holds the weights of one output, so the groups lie along the sum that a product with the
 * weight makes.
 */

import type { QuantizedGroups } from './groups.ts';
import { checkGroup, checkShape, notFinite } from './scale.ts';

/** Below this the scale would be a float32 subnormal, and dividing by it would no longer be precise. */
const SMALLEST_AMAX = 127 * 2 ** -126;

/**
 * A weight [N, K] as INT8: `scale = amax / 127` of the group, `code = value / scale` rounded to the nearest integer,
 * ties to even. A group of zeros has scale 1. The error is at most half a scale.
 *
 * @throws MarianaError `TENSOR_INVALID` for a NaN or an infinity, `SHAPE_MISMATCH` if `values` is not [rows, columns],
 *   `INVALID_ARGUMENT` for an impossible group.
 */
export function quantizeInt8(
  values: Float32Array,
  rows: number,
  columns: number,
  group: number,
): QuantizedGroups<'int8'> {
  checkShape('weight', values.length, rows, columns);
  checkGroup('group', group);
  const groups = Math.ceil(columns / group);
  const codes = new Int8Array(values.length);
  const scales = new Float32Array(rows * groups);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const start = row * columns + g * group;
      const end = Math.min(start + group, (row + 1) * columns);
      let amax = 0;
      for (let i = start; i < end; i++) {
        const magnitude = Math.abs(values[i]!);
        if (!(magnitude < Number.POSITIVE_INFINITY)) throw notFinite(values[i]!, row, i - row * columns);
        if (magnitude > amax) amax = magnitude;
      }
      const scale = amax === 0 ? 1 : Math.fround(Math.max(amax, SMALLEST_AMAX) / 127);
      scales[row * groups + g] = scale;
      for (let i = start; i < end; i++) codes[i] = roundToEven(Math.fround(values[i]! / scale));
    }
  }
  return { codes, scales };
}

/**
 * The float32 values of an INT8 weight [N, K].
 *
 * @throws MarianaError `SHAPE_MISMATCH` if codes or scales do not fit rows and columns, `INVALID_ARGUMENT` for an impossible
 *   group.
 */
export function dequantizeInt8(
  codes: Int8Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  group: number,
): Float32Array<ArrayBuffer> {
  checkGroup('group', group);
  const groups = Math.ceil(columns / group);
  checkShape('codes', codes.length, rows, columns);
  checkShape('scales', scales.length, rows, groups);
  const values = new Float32Array(codes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const i = row * columns + column;
      values[i] = codes[i]! * scales[row * groups + Math.floor(column / group)]!;
    }
  }
  return values;
}

/** The integer nearest to `x`, ties to even, for magnitudes below 2^51. */
export function roundToEven(x: number): number {
  // Adding 1.5 * 2^52 leaves no bits for a fraction: the addition itself rounds, in the mode that is wanted.
  return x + 6755399441055744 - 6755399441055744;
}
