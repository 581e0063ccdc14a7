/**
 * exp2 and log2, exact where the contract wants them exact (exp2 of an integer, log2 of a power of two: the E8M0 scales
 * rest on it). tfjs has neither function, and `pow(2, x)` and `log(x) / log(2)` are approximations on most engines. So
 * the power of two is split off exactly, and only what remains, between 1 and 2, is approximated.
 */
import type { TfModule, TfTensor } from '../tf-module.ts';
import { leadingPower } from './rounding.ts';

/** Below this exponent the table's first half stops, and the second factor takes over: no product of the two halves
 * passes through a subnormal before the last multiplication. */
const LOW = -100;
/** Exponents of the table: below the first everything is 0, from 128 on infinite. */
const FIRST = -151;
const LAST = 129;

const EXPONENTS = Array.from({ length: LAST - FIRST + 1 }, (_, i) => FIRST + i);
const HIGH_FACTORS = Float32Array.from(EXPONENTS, (n) => 2 ** Math.max(n, LOW));
const LOW_FACTORS = Float32Array.from(EXPONENTS, (n) => 2 ** Math.min(n - LOW, 0));

/** `x` times 2^n. n: float32 integers from `FIRST` to `LAST`. */
function timesPowerOfTwo(tf: TfModule, x: TfTensor, n: TfTensor): TfTensor {
  const at = tf.cast(tf.sub(n, tf.scalar(FIRST, 'float32')), 'int32');
  const factor = (table: Float32Array) => tf.gather(tf.tensor(table.slice(), [table.length], 'float32'), at, 0);
  return tf.mul(tf.mul(x, factor(HIGH_FACTORS)), factor(LOW_FACTORS));
}

export function exp2(tf: TfModule, x: TfTensor): TfTensor {
  const undefinedAt = tf.isNaN(x);
  const bounded = tf.clipByValue(tf.where(undefinedAt, tf.scalar(0, 'float32'), x), FIRST, LAST);
  const whole = tf.floor(bounded);
  const fraction = tf.sub(bounded, whole);
  const power = tf.exp(tf.mul(fraction, tf.scalar(Math.LN2, 'float32')));
  const exact = tf.where(tf.equal(fraction, tf.scalar(0, 'float32')), tf.scalar(1, 'float32'), power);
  return tf.where(undefinedAt, x, timesPowerOfTwo(tf, exact, whole));
}

export function log2(tf: TfModule, x: TfTensor): TfTensor {
  const constant = (value: number) => tf.scalar(value, 'float32');
  const positive = tf.greater(x, constant(0));
  const regular = tf.logicalAnd(positive, tf.less(x, constant(Number.POSITIVE_INFINITY)));
  // Into the reach of leadingPower, and away from subnormals.
  const number = tf.where(regular, x, constant(1));
  const tiny = tf.less(number, constant(2 ** LOW));
  const huge = tf.greater(number, constant(2 ** -LOW));
  const up = tf.where(tiny, tf.mul(number, constant(2 ** -LOW)), number);
  const scaled = tf.where(huge, tf.mul(number, constant(2 ** LOW)), up);
  const offset = tf.where(tiny, constant(LOW), tf.where(huge, constant(-LOW), constant(0)));
  // The logarithm of a power of two is within a hair of an integer.
  const exponent = tf.round(tf.mul(tf.log(leadingPower(tf, scaled)), constant(Math.LOG2E)));
  const mantissa = timesPowerOfTwo(tf, scaled, tf.neg(exponent));
  // The mantissa is halved where that brings it nearer to 1, so that the sum does not cancel just below 1.
  const upper = tf.greater(mantissa, constant(Math.SQRT2));
  const centred = tf.where(upper, tf.mul(mantissa, constant(0.5)), mantissa);
  const whole = tf.add(tf.add(exponent, offset), tf.where(upper, constant(1), constant(0)));
  const rest = tf.mul(tf.log(centred), constant(Math.LOG2E));
  const isPower = tf.equal(centred, constant(1));
  const result = tf.where(isPower, whole, tf.add(whole, rest));
  const irregular = tf.where(
    tf.equal(x, constant(0)),
    constant(Number.NEGATIVE_INFINITY),
    tf.where(positive, x, constant(Number.NaN)),
  );
  return tf.where(regular, result, irregular);
}
