/** Comparison of what a backend computed with what it should have: element by element, to a bound or exactly. */
import type { TensorData, TensorDType } from '@mariana/core';
import { ConformanceError } from './conformance-error.ts';

/** Bound of each element, one for all, or 0 (the default) for exact results. */
export type Bound = number | ArrayLike<number> | ((element: number) => number);

/** What a result is compared under. */
export interface Comparison {
  readonly operation: string;
  readonly operands?: readonly string[];
  /** Exact values, unrounded; or codes of `dtype`. */
  readonly expected: ArrayLike<number>;
  readonly bound?: Bound;
  readonly dtype: TensorDType;
}

/**
 * Checks a result, whose length is known to be right. A NaN must be a NaN, an infinity that infinity; the signs of
 * zeros are checked with `sameElement` only.
 *
 * @throws ConformanceError with the first element that differs.
 */
export function compare(
  actual: TensorData,
  { operation, operands = [], expected, bound = 0, dtype }: Comparison,
): void {
  // Only float32 is computed with; everything else is exact, whatever the bound of the operation.
  const exact = dtype !== 'f32';
  const boundAt = boundFunction(exact ? 0 : bound);
  const within = exact
    ? (i: number) => actual[i] === expected[i]
    : (i: number) => isWithin(actual[i]!, expected[i]!, boundAt(i));
  report(actual, within, { operation, operands, expected, dtype, boundAt });
}

/**
 * Checks elements that were only moved or stored: every bit must be there, the sign of a zero too. Only the payload of
 * a NaN is free.
 *
 * @throws ConformanceError with the first element that differs.
 */
export function compareElements(actual: TensorData, { operation, operands = [], expected, dtype }: Comparison): void {
  const within = (i: number) => sameElement(dtype, actual[i]!, expected[i]!);
  report(actual, within, { operation, operands, expected, dtype, boundAt: () => 0 });
}

function boundFunction(bound: Bound): (element: number) => number {
  if (typeof bound === 'number') return () => bound;
  return typeof bound === 'function' ? bound : (element) => bound[element]!;
}

function isWithin(actual: number, exact: number, bound: number): boolean {
  const expected = Math.fround(exact);
  if (Number.isNaN(expected)) return Number.isNaN(actual);
  if (actual === expected) return true;
  return Number.isFinite(expected) && Math.abs(actual - exact) <= bound;
}

/** Whether two elements are the same value. Codes of NaN are all the same. */
function sameElement(dtype: TensorDType, a: number, b: number): boolean {
  return Object.is(a, b) || (isNaNElement(dtype, a) && isNaNElement(dtype, b));
}

/** Largest magnitude code of a float that is not NaN. */
const LAST_NUMBER: Partial<Record<TensorDType, number>> = { bf16: 0x7f80, f16: 0x7c00, e4m3: 0x7e, e5m2: 0x7c };

/** Whether an element (a value, or a code) is a NaN. */
export function isNaNElement(dtype: TensorDType, element: number): boolean {
  if (dtype === 'f32') return Number.isNaN(element);
  const last = LAST_NUMBER[dtype];
  const magnitudeBits = dtype === 'bf16' || dtype === 'f16' ? 0x7fff : 0x7f;
  return last !== undefined && (element & magnitudeBits) > last;
}

interface Report extends Required<Pick<Comparison, 'operation' | 'operands' | 'expected' | 'dtype'>> {
  readonly boundAt: (element: number) => number;
}

function report(actual: TensorData, within: (i: number) => boolean, on: Report): void {
  let first = -1;
  let differing = 0;
  for (let i = 0; i < actual.length; i++) {
    if (within(i)) continue;
    if (first < 0) first = i;
    differing++;
  }
  if (first < 0) return;
  const failure = {
    operands: on.operands,
    element: first,
    actual: actual[first]!,
    expected: on.expected[first]!,
    bound: on.boundAt(first),
    differing,
  };
  const off = Math.abs(failure.actual - failure.expected);
  const by = Number.isFinite(off) && failure.bound > 0 ? `, off by ${off} where ${failure.bound} is explained` : '';
  throw new ConformanceError(
    on.operation,
    `${on.operands.length > 0 ? `${on.operands.join(', ')}: ` : ''}element ${first} is ${show(failure.actual)}, ` +
      `not ${show(failure.expected)}${by} (${differing} of ${actual.length} differ)`,
    failure,
  );
}

/** A number as it must be read: -0 with its sign. */
function show(x: number): string {
  return Object.is(x, -0) ? '-0' : String(x);
}
