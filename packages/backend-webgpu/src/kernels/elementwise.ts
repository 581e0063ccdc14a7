/**
 * Functions of one, two or three tensors, element by element, with broadcasting: every operand has a stride for each
 * axis, 0 where it stretches. One generator for `unary`, `binary` and `where`.
 */
import type { BinaryOp, UnaryOp } from '@mariana/core';
import type { Kernel, KernelElement } from './kernel.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain, SPECIAL_FLOATS } from './wgsl.ts';

/** Number of elements of the result. */
export interface FlatShape {
  readonly size: number;
}

export interface ElementwiseOptions {
  readonly label: string;
  /** Element types of the operands; their buffers are `x0`, `x1`, ... */
  readonly operands: readonly KernelElement[];
  readonly result: KernelElement;
  /** Axes that broadcasting needs; 1 if all operands have the shape of the result, or one element. */
  readonly rank: number;
  /** WGSL of an element of the result, from `a`, `b` and `c`. */
  readonly value: string;
  /** Functions that `value` calls. */
  readonly helpers?: string;
}

const NAMES = ['a', 'b', 'c'];

/**
 * Uniforms: `size`; `n1` to `n<rank - 1>`, the sizes of all axes but the first; `s<k>_<axis>`, the strides of operand k.
 */
export function elementwiseKernel(options: ElementwiseOptions): Kernel<FlatShape> {
  const { label, operands, result, rank, value, helpers = '' } = options;
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const index: string[] = [];
  if (rank === 1) {
    index.push(...operands.map((_, k) => `  let at${k} = i * uniforms.s${k}_0;`));
  } else {
    index.push('  var rest = i;', '  var at = 0u;', ...operands.map((_, k) => `  var at${k} = 0u;`));
    for (const axis of axes.toReversed()) {
      if (axis === 0) index.push('  at = rest;');
      else index.push(`  at = rest % uniforms.n${axis};`, `  rest = rest / uniforms.n${axis};`);
      index.push(...operands.map((_, k) => `  at${k} += at * uniforms.s${k}_${axis};`));
    }
  }
  const loads = operands.map((_, k) => `  let ${NAMES[k]} = x${k}[at${k}];`);
  return {
    label,
    key: `${label}/${operands.join()}/${result}/${rank}`,
    code: helpers + flatMain([...index, ...loads, `  y[i] = ${value};`].join('\n')),
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    bindings: [
      ...operands.map((element, k) => ({ name: `x${k}`, access: 'read' as const, element })),
      { name: 'y', access: 'write', element: result },
    ],
    uniforms: [
      { name: 'size', type: 'u32' },
      ...axes.slice(1).map((axis) => ({ name: `n${axis}`, type: 'u32' as const })),
      ...operands.flatMap((_, k) => axes.map((axis) => ({ name: `s${k}_${axis}`, type: 'u32' as const }))),
    ],
    dispatch: ({ size }) => flatDispatch(size),
  };
}

/** WGSL of each function of `a`; edges first, because the built-ins are free to do anything there. */
const UNARY: Readonly<Record<UnaryOp, string>> = {
  neg: 'bitcast<f32>(bitcast<u32>(a) ^ 0x80000000u)',
  abs: 'bitcast<f32>(bitcast<u32>(a) & 0x7fffffffu)',
  sign: 'sign_of(a)',
  floor: 'floor(a)',
  ceil: 'ceil(a)',
  exp: 'exp_of(a)',
  exp2: 'exp2_of(a)',
  log: 'log_of(a, log(a))',
  log2: 'log_of(a, log2_of(a))',
  sqrt: 'sqrt_of(a)',
  rsqrt: 'rsqrt_of(a)',
  sigmoid: 'sigmoid_of(a)',
};

const FUNCTIONS = /* wgsl */ `${SPECIAL_FLOATS}
fn sign_of(x: f32) -> f32 {
  let magnitude = bitcast<u32>(x) & 0x7fffffffu;
  if (magnitude > 0x7f800000u || magnitude == 0u) { return x; }
  return select(1.0, -1.0, (bitcast<u32>(x) >> 31u) == 1u);
}

fn exp_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x > 88.7228394) { return infinity(); }
  if (x < -104.0) { return 0.0; }
  return exp(x);
}

// 2^n for n from -126 to 127.
fn power_of_two(n: i32) -> f32 { return bitcast<f32>(u32(n + 127) << 23u); }

// The whole part goes into the exponent, so that powers of two are exact.
fn exp2_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x >= 128.0) { return infinity(); }
  if (x < -150.0) { return 0.0; }
  let whole = floor(x);
  let part = x - whole;
  let fraction = select(exp2(part), 1.0, part == 0.0);
  let n = i32(whole);
  if (n < -126) { return fraction * power_of_two(n + 64) * power_of_two(-64); }
  return fraction * power_of_two(n);
}

// Powers of two are their exponents.
fn log2_of(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffu) == 0u) { return f32(i32(bits >> 23u) - 127); }
  return log2(x);
}

fn log_of(x: f32, value: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (is_nan(x)) { return x; }
  if ((bits & 0x7fffffffu) == 0u) { return -infinity(); }
  if ((bits >> 31u) == 1u) { return nan(); }
  if (bits == 0x7f800000u) { return x; }
  return value;
}

fn sqrt_of(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (is_nan(x) || (bits & 0x7fffffffu) == 0u || bits == 0x7f800000u) { return x; }
  if ((bits >> 31u) == 1u) { return nan(); }
  return sqrt(x);
}

fn rsqrt_of(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (is_nan(x)) { return x; }
  if (bits == 0u) { return infinity(); }
  if (bits == 0x80000000u) { return -infinity(); }
  if ((bits >> 31u) == 1u) { return nan(); }
  if (bits == 0x7f800000u) { return 0.0; }
  return inverseSqrt(x);
}

fn sigmoid_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x < -88.0) { return exp_of(x); }
  return 1.0 / (1.0 + exp(-min(x, 100.0)));
}
`;

export function unaryKernel(op: UnaryOp): Kernel<FlatShape> {
  return elementwiseKernel({
    label: op,
    operands: ['f32'],
    result: 'f32',
    rank: 1,
    value: UNARY[op],
    helpers: FUNCTIONS,
  });
}

const NUMBERS = /* wgsl */ `${SPECIAL_FLOATS}
fn number(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b); }

fn max_of(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a > b);
}

fn min_of(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a < b);
}
`;

const BINARY: Readonly<Record<BinaryOp, { readonly f32: string; readonly i32: string }>> = {
  add: { f32: 'a + b', i32: 'a + b' },
  sub: { f32: 'a - b', i32: 'a - b' },
  mul: { f32: 'a * b', i32: 'a * b' },
  div: { f32: 'a / b', i32: 'a / b' },
  max: { f32: 'max_of(a, b)', i32: 'max(a, b)' },
  min: { f32: 'min_of(a, b)', i32: 'min(a, b)' },
  equal: { f32: 'select(0, 1, a == b && number(a, b))', i32: 'select(0, 1, a == b)' },
  less: { f32: 'select(0, 1, a < b && number(a, b))', i32: 'select(0, 1, a < b)' },
  lessEqual: { f32: 'select(0, 1, a <= b && number(a, b))', i32: 'select(0, 1, a <= b)' },
};

export function binaryKernel(op: BinaryOp, element: 'f32' | 'i32', rank: number): Kernel<FlatShape> {
  const compares = op === 'equal' || op === 'less' || op === 'lessEqual';
  return elementwiseKernel({
    label: op,
    operands: [element, element],
    result: compares ? 'i32' : element,
    rank,
    value: BINARY[op][element],
    helpers: element === 'f32' ? NUMBERS : '',
  });
}

/** Moves elements as bits, whatever they are. */
export function whereKernel(rank: number): Kernel<FlatShape> {
  return elementwiseKernel({
    label: 'where',
    operands: ['i32', 'u32', 'u32'],
    result: 'u32',
    rank,
    value: 'select(c, b, a != 0)',
  });
}
