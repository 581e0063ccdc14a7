/**
 * How far a result may lie from the exact one: all bounds of the suite, derived from the number format and from nothing
 * else. A backend whose device rounds some function less carefully says so in ulps; the bounds of everything that is
 * built on that function follow.
 *
 * Notation: `u` = 2^-24 is the unit roundoff of float32: a correctly rounded operation errs by at most u times the
 * magnitude of its result. An ulp of x is the distance between the float32 numbers around x, at most 2u |x|.
 *
 * Sums and products of n terms: whatever the order, and with or without fused multiply-adds, a float32 sum of products
 * errs by at most gamma_n * sum |a_i| |b_i|, gamma_n = n u / (1 - n u) (Higham, "Accuracy and Stability of Numerical
 * Algorithms", section 3.1). Accumulating more precisely errs by less.
 */
import type { UnaryOp, WeightFormat } from '@mariana/core';

/** Unit roundoff of float32. */
export const U = 2 ** -24;

/** The smallest normal float32. */
export const SMALLEST_NORMAL = 2 ** -126;

/** Error in ulps of the exact result, the same everywhere or depending on the operand. */
export type Ulps = number | ((x: number) => number);

/** What a backend's arithmetic promises. Every member has a default; see `DEFAULT_TOLERANCE`. */
export interface Tolerance {
  /** Division, in ulps of the quotient. Default 0.5: correctly rounded. */
  readonly div: number;
  /** Elementwise functions, in ulps of the result. `neg`, `abs`, `sign`, `floor` and `ceil` are exact always. */
  readonly unary: Readonly<Partial<Record<UnaryOp, Ulps>>>;
  /**
   * Whether subnormal numbers (magnitudes below 2^-126) are `kept` as IEEE 754 has it, or may be `flushed` to zero.
   * The results of `exp`, `exp2`, `sigmoid` and `softmax` may be flushed in any case. Default `kept`.
   */
  readonly subnormals: 'kept' | 'flushed';
  /**
   * Products with weights of these formats, if the backend rounds the activations first: how. A format that is absent
   * multiplies the activations as they are. Default: none.
   */
  readonly activations: Readonly<Partial<Record<'fp8' | 'int8' | 'int4', ActivationRounding>>>;
}

/** Activations rounded to `levels` steps on each side of zero, the largest magnitude of a group being the last step. */
export interface ActivationRounding {
  /** 127 for INT8. */
  readonly levels: number;
  /** Consecutive activations of a row that share a scale; Infinity for the whole row. */
  readonly group: number;
}

/**
 * IEEE 754 arithmetic, and elementary functions as a careful float32 library has them: 1/sqrt from two correctly
 * rounded operations (1.5), exponentials and logarithms within 2, 1/(1 + exp(-x)) from an `exp` of 2 (4).
 */
export const DEFAULT_TOLERANCE: Tolerance = {
  div: 0.5,
  unary: { sqrt: 0.5, rsqrt: 2, exp: 2, exp2: 2, log: 2, log2: 2, sigmoid: 4 },
  subnormals: 'kept',
  activations: {},
};

/** `exp` and `exp2` in WGSL; beyond 128 the result is 0 or infinite whatever the operand. */
const wgslExp = (x: number) => 3 + 2 * Math.min(Math.abs(x), 128);

/** `log` and `log2` in WGSL, around a result of zero an absolute error. */
const wgslLog = (log: (x: number) => number) => (x: number) => (x >= 0.5 && x <= 2 ? 2 ** -21 / ulp(log(x)) : 3);

/**
 * What the WGSL specification (section "Accuracy of Expressions") grants a GPU: division 2.5 ulps, `inverseSqrt` 2,
 * `sqrt` as 1 / inverseSqrt, `exp` and `exp2` 3 + 2|x|, `log` and `log2` 3 or 2^-21 in [0.5, 2], subnormals flushed.
 * `sigmoid` is 1 / (1 + exp(-x)): what `exp` errs by counts fully below zero and ever less above.
 */
export const WGSL_TOLERANCE: Tolerance = {
  div: 2.5,
  unary: {
    sqrt: 5,
    rsqrt: 2,
    exp: wgslExp,
    exp2: wgslExp,
    log: wgslLog(Math.log),
    log2: wgslLog(Math.log2),
    sigmoid: (x) => 6 + wgslExp(Math.min(x, 0)),
  },
  subnormals: 'flushed',
  activations: {},
};

/** Distance between neighbouring float32 numbers at x, which need not be one. */
export function ulp(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude >= SMALLEST_NORMAL)) return 2 ** -149;
  if (magnitude === Number.POSITIVE_INFINITY) return 2 ** 104;
  let exponent = Math.floor(Math.log2(magnitude));
  // The logarithm is rounded, so it may be one off next to a power of two.
  if (2 ** exponent > magnitude) exponent--;
  else if (2 ** (exponent + 1) <= magnitude) exponent++;
  return 2 ** (exponent - 23);
}

/** Bound on a sum of n products, given the sum of their magnitudes. See the top of this file. */
export function gamma(n: number, magnitudes: number): number {
  return ((n * U) / (1 - n * U)) * magnitudes;
}

/** Absolute slack for results near zero: subnormals are spaced evenly, or are zero where they are flushed. */
export function floorOf({ subnormals }: Tolerance): number {
  return subnormals === 'flushed' ? SMALLEST_NORMAL : 2 ** -149;
}

/** Functions whose small results may be flushed to zero on any backend: they are scaled by their exponent bits. */
const MAY_UNDERFLOW: ReadonlySet<UnaryOp> = new Set(['exp', 'exp2', 'sigmoid']);

/** Ulps granted to a function at an operand. */
export function ulpsOf(op: UnaryOp, x: number, { unary }: Tolerance): number {
  const ulps = unary[op] ?? 0;
  return typeof ulps === 'number' ? ulps : ulps(x);
}

/** Bound on a function of x, whose exact value is `exact`. */
export function unaryBound(op: UnaryOp, x: number, exact: number, tolerance: Tolerance): number {
  const floor = MAY_UNDERFLOW.has(op) || tolerance.subnormals === 'flushed' ? SMALLEST_NORMAL : 0;
  return Math.max(ulpsOf(op, x, tolerance) * ulp(exact), Math.abs(exact) < SMALLEST_NORMAL ? floor : 0);
}

/** Relative error of a function at x: an ulp is at most 2u of the result. */
export function relativeError(op: UnaryOp, x: number, tolerance: Tolerance): number {
  return 2 * U * ulpsOf(op, x, tolerance);
}

/** Relative error of a division. */
export function divisionError({ div }: Tolerance): number {
  return 2 * U * div;
}

/** The members given, over the defaults. `unary` and `activations` are merged member by member. */
export function toleranceOf(given: Partial<Tolerance> = {}): Tolerance {
  return {
    ...DEFAULT_TOLERANCE,
    ...given,
    unary: { ...DEFAULT_TOLERANCE.unary, ...given.unary },
    activations: { ...given.activations },
  };
}

/**
 * Bound on each value of a weight [out, in] that a backend converted to another format when it loaded it. Rounding to
 * a shorter float is off by half a step. The formats with scales are taken with their usual pieces, for which `largest`
 * gives the largest magnitude of the piece that a value lies in:
 *
 * - FP8: half a step of three mantissa bits, or of the subnormal codes: 2^-4 of the value, 2^-10 of largest / 448.
 * - INT8: half of largest / 127.
 * - INT4: codes reach from -8 to 7, so a value at the short end is off by up to one step of largest / 8; where a finer
 *   or coarser scale has the smaller squared error, single values may be off by more, but not beyond largest / 5.
 */
export function conversionBound(format: WeightFormat, value: number, largest: number): number {
  const magnitude = Math.abs(value);
  switch (format) {
    case 'f32':
      return 0;
    case 'bf16':
      return magnitude * 2 ** -8;
    case 'f16':
      return magnitude * 2 ** -11 + 2 ** -25;
    case 'fp8':
      return Math.max(magnitude * 2 ** -4, (largest / 448) * 2 ** -10) * (1 + 4 * U) + 4 * U * magnitude;
    case 'int8':
      return (largest / 254) * (1 + 2 ** -16);
    case 'int4':
      return largest / 5;
  }
}

/**
 * How far each activation of a row [inputs] may be from its value before it meets a weight of this format: half a step
 * of its group where the backend rounds it, else nothing.
 */
export function activationErrors(
  row: ArrayLike<number>,
  format: WeightFormat,
  { activations }: Tolerance,
): Float64Array {
  const errors = new Float64Array(row.length);
  const rounding = activations[format as keyof typeof activations];
  if (rounding === undefined) return errors;
  const group = Math.min(rounding.group, row.length);
  for (let start = 0; start < row.length; start += group) {
    let largest = 0;
    for (let i = start; i < Math.min(start + group, row.length); i++) largest = Math.max(largest, Math.abs(row[i]!));
    errors.fill((largest / (2 * rounding.levels)) * (1 + 2 ** -16), start, Math.min(start + group, row.length));
  }
  return errors;
}
