/** Elementwise functions in float64: exact, as far as float32 can see. */
import type { BinaryOp, UnaryOp } from '@mariana/core';

export const EXACT_UNARY: Readonly<Record<UnaryOp, (x: number) => number>> = {
  neg: (x) => 0 - x,
  abs: (x) => (x < 0 ? -x : x),
  sign: (x) => (x > 0 ? 1 : x < 0 ? -1 : x),
  floor: (x) => Math.floor(x),
  ceil: (x) => Math.ceil(x),
  exp: (x) => Math.exp(x),
  exp2: (x) => 2 ** x,
  log: (x) => Math.log(x),
  log2: (x) => Math.log2(x),
  sqrt: (x) => Math.sqrt(x),
  rsqrt: (x) => 1 / Math.sqrt(x),
  // For large |x| either form overflows in the middle; this one does so harmlessly.
  sigmoid: (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x))),
};

const isNaNPair = (a: number, b: number) => Number.isNaN(a) || Number.isNaN(b);

export const EXACT_BINARY: Readonly<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: (a, b) => (isNaNPair(a, b) ? Number.NaN : Math.max(a, b)),
  min: (a, b) => (isNaNPair(a, b) ? Number.NaN : Math.min(a, b)),
  equal: (a, b) => Number(a === b),
  less: (a, b) => Number(a < b),
  lessEqual: (a, b) => Number(a <= b),
};

export const sigmoid = EXACT_UNARY.sigmoid;
