/**
 * Operand values from a seed. fast-check chooses shapes and options, which are worth shrinking; the thousands of values
 * that fill them are not, so they come from a small generator that is seeded by one number of the example.
 */
import { allocateTensorData, type TensorData, type TensorDType } from '@mariana/core';

/** Numbers from 0 (included) to 1 (excluded). */
export type Random = () => number;

/** The generator of the same numbers for the same seed, on every platform: a 32-bit counter, mixed (Weyl, murmur). */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** An integer from `low` to `high`, both included. */
export function integer(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

/** Float32 values, uniform between `low` and `high`. */
export function reals(random: Random, count: number, low = -2, high = 2): Float32Array {
  return Float32Array.from({ length: count }, () => low + random() * (high - low));
}

/** Float32 values of both signs whose magnitudes spread evenly over powers of two. */
export function wide(random: Random, count: number, lowExponent = -20, highExponent = 20): Float32Array {
  return Float32Array.from(
    { length: count },
    () => (random() < 0.5 ? -1 : 1) * 2 ** (lowExponent + random() * (highExponent - lowExponent)),
  );
}

/** Whole numbers as float32. Sums of their products are exact, in whatever order they are made. */
export function wholes(random: Random, count: number, low = -8, high = 8): Float32Array {
  return Float32Array.from({ length: count }, () => integer(random, low, high));
}

/** Int32 values. */
export function integers(random: Random, count: number, low: number, high: number): Int32Array {
  return Int32Array.from({ length: count }, () => integer(random, low, high));
}

/** Float32 values that kernels trip over. */
export const SPECIAL_VALUES: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  -2.5,
  448,
  65504,
  16777217,
  -16777217,
  1e30,
  -1e30,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
  2 ** -126,
  -(2 ** -126),
  2 ** -127,
  2 ** -149,
  -(2 ** -149),
];

/** Any elements of a dtype: every code, or for `f32` ordinary values with special ones among them. */
export function anyElements(random: Random, dtype: TensorDType, count: number): TensorData {
  if (dtype === 'f32') {
    const values = wide(random, count);
    for (let i = 0; i < count; i++) {
      if (random() < 0.2) values[i] = SPECIAL_VALUES[integer(random, 0, SPECIAL_VALUES.length - 1)]!;
    }
    return values;
  }
  const data = allocateTensorData(dtype, count);
  for (let i = 0; i < count; i++) data[i] = random() * 2 ** 32; // the array keeps the low bits
  return data;
}

/** Sets to zero what a backend may flush to it: magnitudes below 2^-126, which only `f32` and `bf16` have. */
export function flushSubnormals(dtype: TensorDType, data: TensorData): void {
  data.forEach((element, i) => {
    if (dtype === 'f32' && Math.abs(element) < 2 ** -126) data[i] = 0;
    if (dtype === 'bf16' && (element & 0x7f80) === 0) data[i] = 0;
  });
}

/** The numbers from 0 to count - 1 in random order. */
export function shuffled(random: Random, count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = integer(random, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
