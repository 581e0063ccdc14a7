/** Elementwise operations: the function tables, and the one loop that walks broadcast operands. */
import { type BinaryOp, type Shape, sizeOf, type UnaryOp } from '@mariana/core';

/** Each function is computed in double precision and rounded once, when stored. */
export const UNARY: Readonly<Record<UnaryOp, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  exp: Math.exp,
  exp2: (x) => 2 ** x,
  log: Math.log,
  log2: Math.log2,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

/** NaN in either operand makes NaN of `max` and `min`, as `Math.max` has it. */
export const BINARY: Readonly<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: Math.max,
  min: Math.min,
  equal: (a, b) => (a === b ? 1 : 0),
  less: (a, b) => (a < b ? 1 : 0),
  lessEqual: (a, b) => (a <= b ? 1 : 0),
};

/**
 * For each element of `shape`, in order, the offset of the element of an operand of shape `operand` that broadcasts to
 * it.
 */
export function broadcastOffsets(operand: Shape, shape: Shape): Int32Array {
  const offsets = new Int32Array(sizeOf(shape));
  const lead = shape.length - operand.length;
  let block = offsets.length;
  let stride = sizeOf(operand);
  for (const [axis, size] of shape.entries()) {
    const own = axis < lead ? 1 : operand[axis - lead]!;
    if (size === 0) return offsets;
    block /= size;
    if (own === 1) continue;
    stride /= own;
    for (let i = 0; i < offsets.length; i++) offsets[i]! += (Math.floor(i / block) % size) * stride;
  }
  return offsets;
}
