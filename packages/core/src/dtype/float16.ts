/**
 * The two 16-bit floats. BF16 is the upper half of a float32: its range, three significant digits. F16 is IEEE
 * binary16: finer, but nothing beyond 65504. Both round to nearest, ties to even, and overflow to infinity, as IEEE
 * 754 and PyTorch do. A NaN becomes the quiet NaN; its payload is not kept. Numbers that are no float32 are rounded to
 * float32 first.
 */

import { bitsOfF32, f32OfBits, INFINITY_BITS, roundMagnitude } from './float-bits.ts';

/** The value of a BF16 code; only the low 16 bits of `code` count. */
export function decodeBf16(code: number): number {
  return f32OfBits(code << 16);
}

/** The BF16 code nearest to `x`, ties to even; magnitudes from about 3.396e38 up become infinite. */
export function encodeBf16(x: number): number {
  return bf16FromBits(bitsOfF32(x));
}

/** The value of a binary16 code; only the low 16 bits of `code` count. */
export function decodeF16(code: number): number {
  const magnitude = code & 0x7fff;
  if (magnitude >= F16_SMALLEST_NORMAL) return f32OfBits(f16ToBits(code));
  return magnitude * ((code & 0x8000) === 0 ? F16_SUBNORMAL_STEP : -F16_SUBNORMAL_STEP);
}

/** The binary16 code nearest to `x`, ties to even; magnitudes from 65520 up become infinite. */
export function encodeF16(x: number): number {
  return f16FromBits(bitsOfF32(x));
}

/** `encodeBf16` of the float32 with these bits. */
export function bf16FromBits(bits: number): number {
  if ((bits & 0x7fffffff) > INFINITY_BITS) return ((bits >>> 16) & 0x8000) | 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** `encodeF16` of the float32 with these bits. */
export function f16FromBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return sign | 0x7e00;
  return sign | Math.min(roundMagnitude(magnitude, 10, 15), 0x7c00);
}

/** The code of the smallest binary16 above the subnormals. */
export const F16_SMALLEST_NORMAL = 0x400;

/** Binary16 codes below `F16_SMALLEST_NORMAL` count in these steps. */
const F16_SUBNORMAL_STEP = 2 ** -24;

/** The float32 bits of a binary16 code that is not subnormal: the exponent is moved, and its bias exchanged. */
export function f16ToBits(code: number): number {
  const magnitude = (code & 0x7fff) << 13;
  const bits = (code & 0x7c00) === 0x7c00 ? magnitude | INFINITY_BITS : magnitude + ((127 - 15) << 23);
  return ((code & 0x8000) << 16) | bits;
}
