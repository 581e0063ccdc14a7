/**
 * Elementwise functions, reductions and conversions: the primitives that training and the default bodies of the composites
 * are made of, one function for each kernel. Addresses are in bytes, sizes and steps in elements.
 */
import type { AdamWFactors, BinaryOp, ReduceOp, UnaryOp } from '@mariana/core';
import { type Job, KERNEL, type KernelId } from './job.ts';

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

/** Loops over the elements of a result, which is dense; the kernels take three, and leave further ones to the caller. */
interface Loops {
  /** Innermost first; at least one. */
  readonly sizes: readonly number[];
  /** For each operand, what one turn of each loop adds to its place: of the innermost 0 or 1, and not 0 for all. */
  readonly steps: readonly (readonly number[])[];
}

/** A segment over the rows of up to three loops, with the arguments that `first` writes before those of the loops. */
function loops(job: Job, kernel: KernelId, { sizes, steps }: Loops, cost: number, first: (job: Job) => void): void {
  // A single run is cut into rows, for the threads to share.
  const isRun = sizes.length === 1;
  const columns = isRun ? Math.min(BLOCK, sizes[0]!) : sizes[0]!;
  const rows = isRun ? Math.ceil(sizes[0]! / BLOCK) : sizes[1]! * (sizes[2] ?? 1);
  first(job.segment(kernel, rows, columns * cost + 3));
  job
    .word(columns)
    .word(rows)
    .word(isRun ? sizes[0]! - (rows - 1) * columns : columns)
    .word(isRun ? rows : sizes[1]!);
  for (const [step = 0, row = 0, outer = 0] of steps) {
    job
      .word(step)
      .word(isRun ? columns * step : row)
      .word(outer);
  }
}

export interface Binary extends Loops {
  readonly op: BinaryOp;
  /** f32. */
  readonly a: number;
  readonly b: number;
  /** f32, for comparisons i32. */
  readonly y: number;
}

/** y = op(a, b). A NaN operand gives NaN, and false. */
export function binary(job: Job, o: Binary): void {
  loops(job, KERNEL.binary, o, o.op === 'div' ? 0.8 : 0.3, () =>
    job.word(BINARY_CODES[o.op]).word(o.a).word(o.b).word(o.y),
  );
}

export interface Choose extends Loops {
  /** i32. */
  readonly test: number;
  /** Words. */
  readonly a: number;
  readonly b: number;
  readonly y: number;
}

/** y = test != 0 ? a : b. */
export function choose(job: Job, o: Choose): void {
  loops(job, KERNEL.choose, o, 0.4, () => job.word(o.test).word(o.a).word(o.b).word(o.y));
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

export interface AdamW {
  /** f32 [n] each. */
  readonly parameter: number;
  readonly firstMoment: number;
  readonly secondMoment: number;
  readonly gradient: number;
  /** Where the new ones go, f32 [n] each. */
  readonly out: { readonly parameter: number; readonly firstMoment: number; readonly secondMoment: number };
  readonly n: number;
  readonly factors: AdamWFactors;
  /** f32 [1]: a factor on the gradient. Default 1. */
  readonly gradientScale?: number | undefined;
}

/** One step of AdamW in one pass. */
export function adamw(job: Job, { factors, out, ...o }: AdamW): void {
  job
    .segment(KERNEL.adamw, Math.ceil(o.n / BLOCK), BLOCK * 1.5)
    .word(o.parameter)
    .word(o.firstMoment)
    .word(o.secondMoment)
    .word(o.gradient)
    .word(out.parameter)
    .word(out.firstMoment)
    .word(out.secondMoment)
    .word(o.n)
    .float(factors.beta1)
    .float(1 - factors.beta1)
    .float(factors.beta2)
    .float(1 - factors.beta2)
    .float(factors.keep)
    .float(factors.rootScale)
    .float(factors.epsilon)
    .float(factors.stepSize)
    .word(o.gradientScale ?? 0);
}
