/**
 * The two 8-bit floats of "FP8 Formats for Deep Learning" (arXiv 2209.05433) and the 8-bit exponent that scales them.
 *
 * E4M3 here always means E4M3FN, PyTorch's `float8_e4m3fn`: 4 exponent bits, 3 mantissa bits, no infinities, one NaN
 * a sign, range ±448 in 253 distinct values. DeepSeek-V3 stores its weights in it and rounds its activations to it.
 * Conversion to E4M3 saturates: 500 becomes 448, and so does infinity. (A plain PyTorch cast makes NaN of both; a
 * saturating one is what the scaled formats need, because x / (amax / 448) may exceed 448 by a rounding error.)
 *
 * E5M2 has the exponent range of binary16 and is what gradients are rounded to; it has infinities, and saturates at
 * ±57344 unless asked not to.
 *
 * Codes round to nearest, ties to even. Numbers that are no float32 are rounded to float32 first.
 */

import { bitsOfF32, INFINITY_BITS, roundMagnitude, valueOfCode } from './float-bits.ts';

/** The largest finite E4M3 value. */
export const E4M3_MAX = 448;
/** The largest finite E5M2 value. */
export const E5M2_MAX = 57344;

function tableOf(value: (code: number) => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 256 }, (_, code) => value(code));
}

/** The values of all codes, shared: not to be written. */
export const E4M3_VALUES = /* @__PURE__ */ tableOf((code) =>
  (code & 0x7f) === 0x7f ? Number.NaN : valueOfCode(code, 8, 3, 7),
);

/** The values of all codes, shared: not to be written. */
export const E5M2_VALUES = /* @__PURE__ */ tableOf((code) => {
  const magnitude = code & 0x7f;
  if (magnitude > 0x7c) return Number.NaN;
  if (magnitude === 0x7c) return code === 0x7c ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  return valueOfCode(code, 8, 2, 15);
});

/** The values of the 256 E4M3 codes, in an array of your own: a look-up table for kernels. */
export function e4m3Values(): Float32Array<ArrayBuffer> {
  return E4M3_VALUES.slice();
}

/** The values of the 256 E5M2 codes, in an array of your own. */
export function e5m2Values(): Float32Array<ArrayBuffer> {
  return E5M2_VALUES.slice();
}

/** The value of an E4M3 code; only the low 8 bits of `code` count. 0x7f and 0xff are NaN, 0x80 is -0. */
export function decodeE4m3(code: number): number {
  return E4M3_VALUES[code & 0xff]!;
}

/** The value of an E5M2 code; only the low 8 bits of `code` count. 0x7c and 0xfc are infinite. */
export function decodeE5m2(code: number): number {
  return E5M2_VALUES[code & 0xff]!;
}

/** The value of an E8M0 code, 2^(code - 127); 0xff is NaN. Only the low 8 bits of `code` count. */
export function decodeE8m0(code: number): number {
  const exponent = code & 0xff;
  return exponent === 0xff ? Number.NaN : 2 ** (exponent - 127);
}

/** The E4M3 code nearest to `x`, ties to even. Beyond ±448, infinities too, it is ±448; NaN becomes NaN. */
export function encodeE4m3(x: number): number {
  return e4m3FromBits(bitsOfF32(x));
}

/**
 * The E5M2 code nearest to `x`, ties to even; NaN becomes NaN.
 *
 * @param saturate true (default): beyond ±57344, infinities too, it is ±57344. false: as IEEE 754 rounds, so
 *   magnitudes from 61440 up become infinite.
 */
export function encodeE5m2(x: number, saturate = true): number {
  return e5m2FromBits(bitsOfF32(x), saturate);
}

/** `encodeE4m3` of the float32 with these bits. */
export function e4m3FromBits(bits: number): number {
  const sign = (bits >>> 24) & 0x80;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return sign | 0x7f;
  return sign | Math.min(roundMagnitude(magnitude, 3, 7), 0x7e);
}

/** `encodeE5m2` of the float32 with these bits. */
export function e5m2FromBits(bits: number, saturate: boolean): number {
  const sign = (bits >>> 24) & 0x80;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return sign | 0x7f;
  return sign | Math.min(roundMagnitude(magnitude, 2, 15), saturate ? 0x7b : 0x7c);
}

/**
 * Where the first NaN code of `codes` stands, or -1. Quantisation never writes one, so a NaN among the weights of a
 * checkpoint is damage; whoever loads weights looks for it before computing with them.
 */
export function indexOfE4m3NaN(codes: Uint8Array): number {
  for (let i = 0; i < codes.length; i++) {
    if ((codes[i]! & 0x7f) === 0x7f) return i;
  }
  return -1;
}
