/**
 * The bits of a binary32, and the one rounding that every narrower float format here shares. Working on bits keeps
 * the rounding exact: a float32 is compared with the two neighbours that it lies between as integers, so there is no
 * second rounding that could spoil a tie.
 */

const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

/** The bit pattern of `x` rounded to float32, as a signed 32-bit integer. */
export function bitsOfF32(x: number): number {
  FLOAT[0] = x;
  return BITS[0]!;
}

/** The float32 whose bit pattern is the low 32 bits of `bits`. */
export function f32OfBits(bits: number): number {
  BITS[0] = bits;
  return FLOAT[0]!;
}

/** The bits of `values` seen as 32-bit integers, without copying. */
export function viewBits(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}

/** The magnitude bits of infinity: anything above is a NaN. */
export const INFINITY_BITS = 0x7f800000;

/**
 * The magnitude of a float32 rounded to the nearest value of a narrower format, ties to the even code: the code
 * without its sign bit. The exponent range is taken as endless upwards, so the caller clamps what overflows.
 *
 * A code of either format, read as an integer, counts the representable values from zero up. For a normal result the
 * rounding is therefore an integer addition on the float32 code, and a carry out of the mantissa moves into the
 * exponent by itself; below the smallest normal the steps stop shrinking, and the mantissa is shifted further.
 *
 * @param magnitude bits of a float32 that is not a NaN, sign bit cleared
 * @param mantissaBits explicit mantissa bits of the narrower format (E4M3: 3)
 * @param bias exponent bias of the narrower format (E4M3: 7)
 */
export function roundMagnitude(magnitude: number, mantissaBits: number, bias: number): number {
  const exponent = magnitude >>> 23;
  if (exponent > 127 - bias) {
    const shift = 23 - mantissaBits;
    const tieToEven = (magnitude >>> shift) & 1;
    return ((magnitude + (1 << (shift - 1)) - 1 + tieToEven) >>> shift) - ((127 - bias) << mantissaBits);
  }
  // In units of the smallest subnormal, 2^(1 - bias - mantissaBits), the value is significand / 2^shift.
  const shift = 151 - bias - mantissaBits - exponent;
  if (shift > 24) return 0; // less than half of the smallest subnormal (float32 subnormals too)
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const whole = significand >>> shift;
  return (significand + (1 << (shift - 1)) - 1 + (whole & 1)) >>> shift;
}

/**
 * The value of the code of a narrow float format whose largest exponent is not special.
 *
 * @param code sign, exponent and mantissa, `width` bits in all
 */
export function valueOfCode(code: number, width: number, mantissaBits: number, bias: number): number {
  const sign = code >>> (width - 1) === 1 ? -1 : 1;
  const mantissa = code & ((1 << mantissaBits) - 1);
  const exponent = (code & ((1 << (width - 1)) - 1)) >>> mantissaBits;
  return exponent === 0
    ? sign * mantissa * 2 ** (1 - bias - mantissaBits)
    : sign * (mantissa + (1 << mantissaBits)) * 2 ** (exponent - bias - mantissaBits);
}
