/**
 * How a scale is chosen for a group of numbers that are to become E4M3 codes, and the shape checks that every
 * quantiser here makes. A scale maps the largest magnitude of its group to the largest code.
 */

import { MarianaError } from '../errors.ts';
import { bitsOfF32, f32OfBits } from './float-bits.ts';
import { E4M3_MAX } from './float8.ts';

/**
 * How scales are stored. `f32`: any float32. `ue8m0`: a power of two, rounded up so that nothing overflows; it costs
 * up to one bit of precision and makes scaling exact (DeepSeek-V3.1).
 */
export type ScaleFormat = 'f32' | 'ue8m0';

/** The scale that maps `amax` (a float32 above zero) to 448. */
export function fp8Scale(amax: number, format: ScaleFormat): number {
  const scale = Math.fround(amax / E4M3_MAX);
  return format === 'ue8m0' ? nextPowerOfTwo(scale) : scale;
}

/** The smallest power of two that is not below `x`, a positive normal float32. Infinity and NaN stay. */
function nextPowerOfTwo(x: number): number {
  const bits = bitsOfF32(x);
  return (bits & 0x7fffff) === 0 ? x : Number.isFinite(x) ? f32OfBits((bits & 0x7f800000) + 0x800000) : x;
}

/** Checks that the `length` elements called `what` are [rows, columns]. @throws MarianaError `SHAPE_MISMATCH`. */
export function checkShape(what: string, length: number, rows: number, columns: number): void {
  if (!(Number.isSafeInteger(rows) && rows >= 0 && Number.isSafeInteger(columns) && columns >= 0)) {
    throw new MarianaError('SHAPE_MISMATCH', `${what}: [${rows}, ${columns}] is not a shape of rows and columns`);
  }
  if (rows * columns !== length) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `${what}: shape [${rows}, ${columns}] has ${rows * columns} elements, the array has ${length}`,
    );
  }
}

/** Checks that a tile, block or group size is a whole number from one up. @throws MarianaError `INVALID_ARGUMENT`. */
export function checkGroup(what: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new MarianaError('INVALID_ARGUMENT', `${what} must be a whole number from one up, not ${size}`);
  }
}

/** A weight that cannot be quantised because it is not finite. */
export function notFinite(value: number, row: number, column: number): MarianaError {
  return new MarianaError(
    'TENSOR_INVALID',
    `the weight at row ${row}, column ${column} is ${value}; only finite weights can be quantised`,
    { details: { row, column, value } },
  );
}
