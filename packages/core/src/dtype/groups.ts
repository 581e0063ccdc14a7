/**
 * Weights as grouped integers, the formats in which a large model fits a small machine: INT8 and INT4 with one float32
 * scale for a group of consecutive inputs. These are readable references; kernels are tested against them.
 */

import { viewAsBytes } from './convert.ts';
import { dequantizeInt4, quantizeInt4 } from './int4-groups.ts';
import { dequantizeInt8, quantizeInt8 } from './int8-groups.ts';

/** The grouped integer formats, described at `quantizeGroups`. */
export type GroupFormat = 'int8' | 'int4';

/** Columns that share a scale unless something else is asked for. */
export const GROUP_SIZE: Readonly<Record<GroupFormat, number>> = Object.freeze({ int8: 128, int4: 32 });

/** A weight [N, K] as codes and scales. */
export interface QuantizedGroups<F extends GroupFormat = GroupFormat> {
  /** `int8`: [N, K]. `int4`: two codes a byte, [N, ceil(K / 2)]. */
  codes: F extends 'int8' ? Int8Array<ArrayBuffer> : Uint8Array<ArrayBuffer>;
  /** Float32, [N, ceil(K / groupSize)]; finite, never zero. */
  scales: Float32Array<ArrayBuffer>;
}

/**
 * A weight [rows, columns] as grouped integers, each row in groups of `groupSize` columns, the last perhaps narrower.
 *
 * - `int8`: `value = code * scale`, codes from -127 to 127; `scale = amax / 127`, codes rounded to nearest, ties to
 *   even. The error is at most half a scale.
 * - `int4`: `value = (nibble - 8) * scale`, column 2i in the low nibble of a byte and column 2i + 1 in the high one.
 *   The scale is the one with the least squared error of a few that are tried (see int4-groups.ts), and may be
 *   negative. If `columns` is odd, the last high nibble of a row is 8, which stands for zero.
 *
 * @param groupSize 128 for `int8`, 32 for `int4` by default; even for `int4`.
 * @throws MarianaError `TENSOR_INVALID` for a NaN or an infinity, `SHAPE_MISMATCH` if `values` is not
 *   [rows, columns], `INVALID_ARGUMENT` for an impossible group size.
 */
export function quantizeGroups<F extends GroupFormat>(
  format: F,
  values: Float32Array,
  rows: number,
  columns: number,
  groupSize: number = GROUP_SIZE[format],
): QuantizedGroups<F> {
  const quantize: (...args: [Float32Array, number, number, number]) => unknown =
    format === 'int8' ? quantizeInt8 : quantizeInt4;
  return quantize(values, rows, columns, groupSize) as QuantizedGroups<F>;
}

/**
 * The float32 values [rows, columns] of a weight in grouped integers.
 *
 * @param codes as `quantizeGroups` gives them, or their bytes as a file holds them
 * @throws MarianaError `SHAPE_MISMATCH` if codes or scales do not fit rows and columns, `INVALID_ARGUMENT` for an
 *   impossible group size.
 */
export function dequantizeGroups(
  format: GroupFormat,
  codes: Uint8Array | Int8Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  groupSize: number = GROUP_SIZE[format],
): Float32Array<ArrayBuffer> {
  return format === 'int8'
    ? dequantizeInt8(new Int8Array(codes.buffer, codes.byteOffset, codes.length), scales, rows, columns, groupSize)
    : dequantizeInt4(viewAsBytes(codes), scales, rows, columns, groupSize);
}
