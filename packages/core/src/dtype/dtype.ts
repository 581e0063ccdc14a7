/**
 * Names and sizes of number formats. A `DType` is any format in which a checkpoint file may store a tensor. The few
 * that a backend computes with or holds packed have a type of their own, `TensorDType` (tensor-dtype.ts); a tensor in
 * any other format is converted while it is read.
 */

const BYTES = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  e4m3: 1,
  e5m2: 1,
  e8m0: 1,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  u64: 8,
  u32: 4,
  u16: 2,
  u8: 1,
  bool: 1,
} as const;

/**
 * The format of one element of a stored tensor.
 *
 * - `f64`, `f32`, `f16`: IEEE 754 binary64, binary32 and binary16.
 * - `bf16`: the upper half of a binary32 (8 exponent bits, 7 mantissa bits).
 * - `e4m3`: the E4M3FN format of "FP8 Formats for Deep Learning" (arXiv 2209.05433): bias 7, largest value 448,
 *   no infinities, NaN at 0x7f and 0xff. DeepSeek-V3 weights are stored in it.
 * - `e5m2`: bias 15, largest value 57344, infinities and NaN as in IEEE 754.
 * - `e8m0`: an exponent alone, 2^(code - 127), NaN at 0xff; a scale, never a value.
 * - `i64` ... `u8`: two's complement and unsigned integers. `bool`: one byte, zero or not zero.
 */
export type DType = keyof typeof BYTES;

/** Every `DType`, widest floats first. */
export const DTYPES: readonly DType[] = Object.freeze(Object.keys(BYTES) as DType[]);

/** Whether `value` names a `DType`. */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(BYTES, value);
}

/** Bytes that one element of `dtype` takes. No `DType` packs several elements into a byte. */
export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}
