/**
 * Rounding of float32 values to the values of a shorter format with nothing but float32 additions, multiplications and
 * comparisons, because tfjs has no view of a float's bits. It is exact on every engine whose additions and
 * multiplications round to nearest even, and does not depend on any approximation.
 *
 * How: float32 numbers near 1.5 * 2^23 u lie u apart, so adding that much to x and taking it away again leaves x
 * rounded to a multiple of u, ties to even. The step u that a format has at x is the leading power of two of x, shifted
 * by the mantissa, and never below the step of the subnormals.
 */
import type { FloatDType } from '@mariana/core';
import type { TfModule, TfTensor } from '../tf-module.ts';

/**
 * The largest power of two not above |x| (the "unit in the first place" of S. M. Rump's papers on exact summation), for
 * finite |x| < 2^100; 0 for 0. Exact for subnormals too.
 *
 * q is x moved up by 23 binades, and a little more so that it is no power of two; the second product rounds to its
 * lower neighbour, and neighbours there are as far apart as the leading power of x.
 */
export function leadingPower(tf: TfModule, x: TfTensor): TfTensor {
  const q = tf.mul(x, tf.scalar(2 ** 23 + 1, 'float32'));
  return tf.abs(tf.sub(q, tf.mul(q, tf.scalar(1 - 2 ** -24, 'float32'))));
}

/** Rounds to `mantissaBits` (+ 1 implied), in steps of 2^(minExponent - mantissaBits) at least. |x| < 2^100, no NaN. */
function roundFinite(tf: TfModule, x: TfTensor, mantissaBits: number, minExponent: number): TfTensor {
  const power = tf.maximum(leadingPower(tf, x), tf.scalar(2 ** minExponent, 'float32'));
  const shift = tf.mul(power, tf.scalar(1.5 * 2 ** (23 - mantissaBits), 'float32'));
  return tf.sub(tf.add(x, shift), shift);
}

/** float32 `x` rounded to the nearest value of `dtype`, ties to even, with the signs of zeros kept and NaN kept. */
export function roundTo(tf: TfModule, x: TfTensor, dtype: FloatDType): TfTensor {
  switch (dtype) {
    case 'f32':
      return x;
    case 'bf16':
      return roundToBf16(tf, x);
    case 'f16': {
      // 2^17 is beyond the format and within the rounding's reach.
      const rounded = restoreZeros(tf, x, roundFinite(tf, tf.clipByValue(x, -(2 ** 17), 2 ** 17), 10, -14));
      const overflows = tf.greater(tf.abs(rounded), tf.scalar(65504, 'float32'));
      const infinite = tf.mul(rounded, tf.scalar(Number.POSITIVE_INFINITY, 'float32'));
      return restoreNaN(tf, x, tf.where(overflows, infinite, rounded));
    }
    case 'e4m3':
      return restoreNaN(tf, x, restoreZeros(tf, x, roundFinite(tf, tf.clipByValue(x, -448, 448), 3, -6)));
    case 'e5m2':
      return restoreNaN(tf, x, restoreZeros(tf, x, roundFinite(tf, tf.clipByValue(x, -57344, 57344), 2, -14)));
  }
}

/** BF16 has the range of float32, so large values are rounded at a smaller scale and overflow on the way back. */
function roundToBf16(tf: TfModule, x: TfTensor): TfTensor {
  const magnitude = tf.abs(x);
  const large = tf.greaterEqual(magnitude, tf.scalar(2 ** 64, 'float32'));
  const scaled = tf.where(large, tf.mul(x, tf.scalar(2 ** -64, 'float32')), x);
  const rounded = roundFinite(tf, scaled, 7, -126);
  const restored = tf.where(large, tf.mul(rounded, tf.scalar(2 ** 64, 'float32')), rounded);
  const finite = tf.less(magnitude, tf.scalar(Number.POSITIVE_INFINITY, 'float32'));
  return tf.where(finite, restoreZeros(tf, x, restored), x);
}

/** The rounding turns -0, and what rounds to it, into 0: x * 0 has the right sign. */
function restoreZeros(tf: TfModule, x: TfTensor, rounded: TfTensor): TfTensor {
  const zero = tf.scalar(0, 'float32');
  return tf.where(tf.equal(rounded, zero), tf.mul(x, zero), rounded);
}

function restoreNaN(tf: TfModule, x: TfTensor, rounded: TfTensor): TfTensor {
  return tf.where(tf.isNaN(x), x, rounded);
}
