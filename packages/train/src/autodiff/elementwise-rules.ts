/**
 * Derivatives of the elementwise primitives. A rule saves only what it needs, of the operands or the result, and a
 * function that is constant almost everywhere has none (null): its result is a constant to everything after it.
 */
import { type Backend, type BinaryOp, type ComparisonOp, scalar, type Tensor, type UnaryOp } from '@mariana/core';

/** Keeps a tensor for the backward pass, and gives the handle to use there. */
export type Save = (tensor: Tensor) => Tensor;

/** The gradient of one operand (of the broadcast shape), given the gradient of the result. */
export type Rule = (gradient: Tensor) => Tensor;

type UnaryRule = (backend: Backend, save: Save, x: Tensor, y: Tensor) => Rule;

/** d/dx f(x) = a rule in terms of the result y alone. */
const fromResult =
  (derivative: (backend: Backend, gradient: Tensor, y: Tensor) => Tensor): UnaryRule =>
  (backend, save, _x, y) => {
    const saved = save(y);
    return (gradient) => derivative(backend, gradient, saved);
  };

/** d/dx f(x) = a rule in terms of the operand x alone. */
const fromOperand =
  (derivative: (backend: Backend, gradient: Tensor, x: Tensor) => Tensor): UnaryRule =>
  (backend, save, x) => {
    const saved = save(x);
    return (gradient) => derivative(backend, gradient, saved);
  };

const scaled = (backend: Backend, x: Tensor, factor: number) => backend.binary('mul', x, scalar(backend, factor));

export const UNARY_RULES: Readonly<Record<UnaryOp, UnaryRule | null>> = {
  neg: (backend) => (gradient) => backend.unary('neg', gradient),
  /** At 0 the gradient is 0. */
  abs: fromOperand((backend, gradient, x) => backend.binary('mul', gradient, backend.unary('sign', x))),
  sign: null,
  floor: null,
  ceil: null,
  exp: fromResult((backend, gradient, y) => backend.binary('mul', gradient, y)),
  exp2: fromResult((backend, gradient, y) => scaled(backend, backend.binary('mul', gradient, y), Math.LN2)),
  log: fromOperand((backend, gradient, x) => backend.binary('div', gradient, x)),
  log2: fromOperand((backend, gradient, x) => scaled(backend, backend.binary('div', gradient, x), Math.LOG2E)),
  /** 1 / (2 y). */
  sqrt: fromResult((backend, gradient, y) => scaled(backend, backend.binary('div', gradient, y), 0.5)),
  /** -y^3 / 2. */
  rsqrt: fromResult((backend, gradient, y) => {
    const cube = backend.binary('mul', backend.binary('mul', y, y), y);
    return scaled(backend, backend.binary('mul', gradient, cube), -0.5);
  }),
  /** y (1 - y). */
  sigmoid: fromResult((backend, gradient, y) => {
    const slope = backend.binary('sub', y, backend.binary('mul', y, y));
    return backend.binary('mul', gradient, slope);
  }),
};

type OperandRule = (backend: Backend, save: Save, a: Tensor, b: Tensor, y: Tensor) => Rule;

const pass: OperandRule = () => (gradient) => gradient;

/** The gradient where this operand was chosen, half of it where both are equal, else zero. */
function chosen(loses: (backend: Backend, a: Tensor, b: Tensor) => Tensor): OperandRule {
  return (backend, save, a, b) => {
    const [left, right] = [save(a), save(b)];
    return (gradient) => {
      const shared = backend.where(backend.binary('equal', left, right), scaled(backend, gradient, 0.5), gradient);
      return backend.where(loses(backend, left, right), scalar(backend, 0), shared);
    };
  };
}

const aIsLess = chosen((backend, a, b) => backend.binary('less', a, b));
const bIsLess = chosen((backend, a, b) => backend.binary('less', b, a));

export const BINARY_RULES: Readonly<Record<Exclude<BinaryOp, ComparisonOp>, { a: OperandRule; b: OperandRule }>> = {
  add: { a: pass, b: pass },
  sub: { a: pass, b: (backend) => (gradient) => backend.unary('neg', gradient) },
  mul: {
    a: (backend, save, _a, b) => {
      const saved = save(b);
      return (gradient) => backend.binary('mul', gradient, saved);
    },
    b: (backend, save, a) => {
      const saved = save(a);
      return (gradient) => backend.binary('mul', gradient, saved);
    },
  },
  div: {
    a: (backend, save, _a, b) => {
      const saved = save(b);
      return (gradient) => backend.binary('div', gradient, saved);
    },
    /** -y / b. */
    b: (backend, save, _a, b, y) => {
      const [divisor, result] = [save(b), save(y)];
      return (gradient) =>
        backend.unary('neg', backend.binary('div', backend.binary('mul', gradient, result), divisor));
    },
  },
  max: { a: aIsLess, b: bIsLess },
  min: { a: bIsLess, b: aIsLess },
};
