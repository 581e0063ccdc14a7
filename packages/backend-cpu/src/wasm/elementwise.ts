/**
 * Elementwise functions, reductions and conversions: the primitives that training and the default bodies of the composites
 * are made of, one function for each kernel. Addresses are in bytes, sizes and steps in elements.
 */
import type { BinaryOp, ReduceOp, UnaryOp } from '@mariana/core';
import { type Job, KERNEL } from './job.ts';

/** Elements in a unit of the kernels that know no rows. */
const BLOCK = 4096;

const BINARY_CODES: Readonly<Record<BinaryOp, number>> = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  max: 4,
  min: 5,
  equal: 6,
  less: 7,
  lessEqual: 8,
};

export interface Binary {
  readonly op: BinaryOp;
  /** f32. */
  readonly a: number;
  readonly b: number;
  /** f32, for comparisons i32; dense. */
  readonly y: number;
  /** One to three loops over y, innermost first. */
  readonly sizes: readonly number[];
  /** What one turn of each loop adds to the place in a and in b; of the innermost, 0 or 1, and not 0 for both. */
  readonly aSteps: readonly number[];
  readonly bSteps: readonly number[];
}

/** y = op(a, b), stretched over up to three loops. A NaN operand gives NaN, and false. */
export function binary(job: Job, o: Binary): void {
  const [columns = 1, middle = 1, outer = 1] = o.sizes;
  const isRun = o.sizes.length === 1;
  const rows = isRun ? Math.ceil(columns / BLOCK) : middle * outer;
  const width = isRun ? Math.min(BLOCK, columns) : columns;
  const steps = (of: readonly number[]) => {
    const [step = 0, row = 0, far = 0] = of;
    return isRun ? [step, width * step, 0] : [step, row, far];
  };
  job
    .segment(KERNEL.binary, rows, width * (o.op === 'div' ? 0.8 : 0.3) + 3)
    .word(BINARY_CODES[o.op])
    .word(o.a)
    .word(o.b)
    .word(o.y)
    .word(width)
    .word(rows)
    .word(isRun ? columns - (rows - 1) * width : width)
    .word(isRun ? rows : middle);
  for (const step of [...steps(o.aSteps), ...steps(o.bSteps)]) job.word(step);
}

const UNARY_CODES = { neg: 0, abs: 1, floor: 2, ceil: 3, sqrt: 4, rsqrt: 5, exp: 6, sigmoid: 7 } as const;

/** The functions that the kernel has. */
export type KernelUnaryOp = keyof typeof UNARY_CODES;

export function isKernelUnaryOp(op: UnaryOp): op is KernelUnaryOp {
  return op in UNARY_CODES;
}

export interface Unary {
  readonly op: KernelUnaryOp;
  /** f32 [n] each. */
  readonly x: number;
  readonly y: number;
  readonly n: number;
}

/** y = op(x). `exp` is within 2 ulp, `sigmoid` within 4 (`assembly/wide-exp.ts`). */
export function unary(job: Job, o: Unary): void {
  job
    .segment(KERNEL.unary, Math.ceil(o.n / BLOCK), BLOCK * (o.op === 'exp' || o.op === 'sigmoid' ? 1.5 : 0.5))
    .word(UNARY_CODES[o.op])
    .word(o.x)
    .word(o.y)
    .word(o.n);
}

export interface Reduce {
  readonly op: ReduceOp;
  /** f32 [outer, size, inner]. */
  readonly x: number;
  /** f32 [outer, inner]. */
  readonly y: number;
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
}

/** Folds the middle axis; sums are kept in f64. NaN in, NaN out. */
export function reduce(job: Job, o: Reduce): void {
  const isRows = o.inner === 1;
  const strips = Math.ceil(o.inner / 16);
  const units = isRows ? o.outer : o.outer * strips;
  job
    .segment(isRows ? KERNEL.reduceRows : KERNEL.reduceColumns, units, (isRows ? 0.5 : 8) * o.size + 4)
    .word(o.op === 'sum' ? 0 : 1)
    .word(o.x)
    .word(o.y)
    .word(o.size)
    .word(o.inner);
}

const CONVERSIONS = { 'f32 bf16': 0, 'bf16 f32': 1, 'f32 e4m3': 2, 'e4m3 f32': 3 } as const;

/** From and to. */
export type Conversion = keyof typeof CONVERSIONS;

export function isConversion(name: string): name is Conversion {
  return name in CONVERSIONS;
}

export interface Convert {
  readonly conversion: Conversion;
  /** [n] each. */
  readonly x: number;
  readonly y: number;
  readonly n: number;
}

/** Rounds to nearest, ties to even; E4M3 saturates. */
export function convert(job: Job, o: Convert): void {
  job
    .segment(KERNEL.convert, Math.ceil(o.n / BLOCK), BLOCK)
    .word(CONVERSIONS[o.conversion])
    .word(o.x)
    .word(o.y)
    .word(o.n);
}

export interface QuantizeTiles {
  /** f32 [rows, width]. */
  readonly x: number;
  readonly rows: number;
  readonly width: number;
  readonly tile: number;
  /** Whether scales are rounded up to powers of two. */
  readonly powers: boolean;
  /** E4M3 [rows, width]. */
  readonly codes: number;
  /** f32 [rows, ceil(width / tile)]. */
  readonly scales: number;
}

/** `act_quant`: scale = max(largest magnitude of the tile, 1e-4) / 448, code = E4M3 of x / scale. */
export function quantizeTiles(job: Job, o: QuantizeTiles): void {
  job
    .segment(KERNEL.quantizeTiles, o.rows, o.width * 1.5 + 5)
    .word(o.x)
    .word(o.codes)
    .word(o.scales)
    .word(o.width)
    .word(o.tile)
    .word(o.powers ? 1 : 0);
}
