/**
 * The inner loops of the elementwise functions of two tensors, one for each function and dtype: the engine inlines a loop
 * that does one thing on arrays of one type, and none that calls back for each element. Offsets and steps are in elements
 * of the arrays, which span a whole memory. `x` holds both operands.
 */
import type { BinaryOp, ComparisonOp } from '@mariana/core';

type Floats = Float32Array<ArrayBufferLike>;
type Integers = Int32Array<ArrayBufferLike>;

/** y[o + i] = f(x[a + i * aStep], x[b + i * bStep]) for n elements. */
export type BinaryLoop<X, Y> = (
  x: X,
  y: Y,
  a: number,
  aStep: number,
  b: number,
  bStep: number,
  o: number,
  n: number,
) => void;

export const FLOAT_LOOPS: Readonly<Record<Exclude<BinaryOp, ComparisonOp>, BinaryLoop<Floats, Floats>>> = {
  add(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! + x[b]!;
  },
  sub(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! - x[b]!;
  },
  mul(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! * x[b]!;
  },
  div(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! / x[b]!;
  },
  max(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = Math.max(x[a]!, x[b]!);
  },
  min(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = Math.min(x[a]!, x[b]!);
  },
};

export const INTEGER_LOOPS: Readonly<Record<Exclude<BinaryOp, ComparisonOp | 'div'>, BinaryLoop<Integers, Integers>>> =
  {
    add(x, y, a, aStep, b, bStep, o, n) {
      for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = (x[a]! + x[b]!) | 0;
    },
    sub(x, y, a, aStep, b, bStep, o, n) {
      for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = (x[a]! - x[b]!) | 0;
    },
    mul(x, y, a, aStep, b, bStep, o, n) {
      for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = Math.imul(x[a]!, x[b]!);
    },
    max(x, y, a, aStep, b, bStep, o, n) {
      for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = Math.max(x[a]!, x[b]!);
    },
    min(x, y, a, aStep, b, bStep, o, n) {
      for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = Math.min(x[a]!, x[b]!);
    },
  };

export const COMPARISON_LOOPS: Readonly<Record<ComparisonOp, BinaryLoop<Floats | Integers, Integers>>> = {
  equal(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! === x[b]! ? 1 : 0;
  },
  less(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! < x[b]! ? 1 : 0;
  },
  lessEqual(x, y, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) y[o + i] = x[a]! <= x[b]! ? 1 : 0;
  },
};
