/**
 * Products with matrices that lie in memory as a checkpoint stores them: row-major F32, BF16, or E4M3 with a scale for
 * each 128 x 128 block. Few tokens stream the weights once (matrix-vector); many go through the tiled matrix product,
 * which decodes each block of weights once. Products are exact in f32 and summed in f32, in an order that does not
 * depend on the number of threads.
 */
import { MarianaError } from '@mariana/core';
import { type Job, KERNEL } from './job.ts';

/** A stored matrix [rows, cols]. */
export interface DenseMatrix {
  readonly format: 'f32' | 'bf16' | 'fp8';
  /** Its first element. */
  readonly at: number;
  readonly rows: number;
  readonly cols: number;
  /** Elements from one row to the next. Default: `cols`. */
  readonly stride?: number | undefined;
  /** FP8 only: f32 [ceil(rows / 128), scaleStride]; W = code * scale. The codes 0x7F and 0xFF (NaN) must not occur. */
  readonly scales?: number | undefined;
  /** Default: ceil(cols / 128). */
  readonly scaleStride?: number | undefined;
}

export interface MatmulDense {
  /** f32 [tokens, cols]. */
  readonly x: number;
  readonly w: DenseMatrix;
  /** f32 [tokens, rows]. */
  readonly y: number;
  readonly tokens: number;
  /** Elements from one row of x to the next. Default: `cols` of w. */
  readonly xStride?: number | undefined;
  /** Default: `rows` of w. */
  readonly yStride?: number | undefined;
  /** i32 [tokens]: which rows of x to take. Default: the first ones. */
  readonly rows?: number | undefined;
  /** Adds to y instead of writing it. */
  readonly accumulate?: boolean | undefined;
}

const FORMAT = { f32: 0, bf16: 1, fp8: 2 } as const;
const MATVEC = { f32: KERNEL.matvecF32, bf16: KERNEL.matvecBf16, fp8: KERNEL.matvecFp8 } as const;
const BYTES = { f32: 4, bf16: 2, fp8: 1 } as const;
/** From this many tokens on the tiled product is faster. */
const TILED_FROM = { f32: 10, bf16: 10, fp8: 6 } as const;
/** Rows of a matrix-vector unit; blocks of the tiled product; columns of a `vecmat` unit. As in `assembly/`. */
const ROWS = 4;
const MB = 240;
const NB = 192;
const COLUMNS = 32;
/** Blocks of a product that each thread should have, and what a block takes at least for being worth it. */
const BLOCKS_PER_THREAD = 3;
const SPLIT_NS = 20_000;

/** Number of NaN codes' first position, for the caller to refuse a corrupt checkpoint: index into `length` bytes at `at`, or -1. */
export function findFp8Nan(job: Job, at: number, length: number): number {
  return job.arena.exports.findFp8Nan(at, length);
}

/**
 * Adds y = x W^T to the job.
 *
 * FP8: |x * scale| must stay below 2^47, and products below 2^-86 are lost.
 *
 * @throws MarianaError INVALID_ARGUMENT for FP8 without scales
 */
export function matmulDense(job: Job, o: MatmulDense): void {
  const { w, tokens } = o;
  const stride = w.stride ?? w.cols;
  const scaleStride = w.scaleStride ?? Math.ceil(w.cols / 128);
  if (w.format === 'fp8' && w.scales === undefined) {
    throw new MarianaError('INVALID_ARGUMENT', 'An FP8 matrix needs the scales of its 128 x 128 blocks.');
  }
  if (tokens <= 0) return;
  if (tokens >= TILED_FROM[w.format]) {
    gemm(job, {
      a: o.x,
      b: w.at,
      c: o.y,
      m: tokens,
      n: w.rows,
      k: w.cols,
      lda: o.xStride ?? w.cols,
      ldb: stride,
      ldc: o.yStride ?? w.rows,
      transposeB: true,
      format: w.format,
      scales: w.scales,
      scaleStride,
      rows: o.rows,
      accumulate: o.accumulate,
    });
    return;
  }
  const unitCost = ROWS * w.cols * (BYTES[w.format] / 16 + (tokens - 1) / 12);
  job
    .segment(MATVEC[w.format], Math.ceil(w.rows / ROWS), unitCost)
    .word(o.x)
    .word(w.at)
    .word(o.y)
    .word(tokens)
    .word(w.rows)
    .word(w.cols)
    .word(o.xStride ?? w.cols)
    .word(o.yStride ?? w.rows)
    .word(o.rows ?? 0)
    .word(o.accumulate ? 1 : 0)
    .word(w.scales ?? 0)
    .word(scaleStride)
    .word(stride)
    .word(job.arena.wide ? 1 : 0);
}

/** y[tokens, cols] = x[tokens, rows] W[rows, cols]: a stored F32 or BF16 matrix the other way round, for few tokens. */
export function vecmat(job: Job, o: MatmulDense): void {
  const { w, tokens } = o;
  if (w.format === 'fp8') throw new MarianaError('INVALID_ARGUMENT', 'vecmat takes F32 and BF16; decode FP8 first.');
  if (tokens <= 0) return;
  job
    .segment(KERNEL.vecmat, Math.ceil(w.cols / COLUMNS), (COLUMNS * w.rows * tokens) / 8)
    .word(o.x)
    .word(w.at)
    .word(o.y)
    .word(tokens)
    .word(w.cols)
    .word(w.rows)
    .word(o.xStride ?? w.rows)
    .word(o.yStride ?? w.cols)
    .word(FORMAT[w.format])
    .word(o.accumulate ? 1 : 0)
    .word(w.stride ?? w.cols);
}

export interface Gemm {
  /** op(A) is [m, k], op(B) is [k, n], C is [m, n]; a, b, c point to their first elements. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** A is stored as [k, m]. */
  readonly transposeA?: boolean | undefined;
  /** B is stored as [n, k]. */
  readonly transposeB?: boolean | undefined;
  /** Elements from one stored row to the next. Default: what a dense matrix has. */
  readonly lda?: number | undefined;
  readonly ldb?: number | undefined;
  readonly ldc?: number | undefined;
  /** How B is stored; BF16 and FP8 with `transposeB` only. Default 'f32'. */
  readonly format?: 'f32' | 'bf16' | 'fp8' | undefined;
  readonly scales?: number | undefined;
  readonly scaleStride?: number | undefined;
  /** i32 [m]: rows of A to take. Not with `transposeA`. */
  readonly rows?: number | undefined;
  /** Adds to C instead of writing it. */
  readonly accumulate?: boolean | undefined;
  /** How many such products, `strideA`, `strideB`, `strideC` elements apart. Default 1. */
  readonly batch?: number | undefined;
  readonly strideA?: number | undefined;
  readonly strideB?: number | undefined;
  readonly strideC?: number | undefined;
}

/**
 * Adds C = op(A) op(B) (or C += with `accumulate`) to the job.
 *
 * @throws MarianaError INVALID_ARGUMENT for a combination that the kernel does not know
 */
export function gemm(job: Job, o: Gemm): void {
  const { m, n, k } = o;
  const format = o.format ?? 'f32';
  if (format !== 'f32' && !o.transposeB) {
    throw new MarianaError('INVALID_ARGUMENT', `A ${format} operand must be stored as [n, k] (transposeB).`);
  }
  if (o.rows !== undefined && o.transposeA) {
    throw new MarianaError('INVALID_ARGUMENT', 'Rows of A cannot be listed when A is transposed.');
  }
  if (m <= 0 || n <= 0) return;
  const batch = o.batch ?? 1;
  const { mb, nb } = blocksOf(m, n, k, batch, job.threads);
  const units = batch * Math.ceil(m / mb) * Math.ceil(n / nb);
  job
    .segment(KERNEL.gemm, units, (Math.min(m, mb) * Math.min(n, nb) * k) / 16)
    .word(o.a)
    .word(o.b)
    .word(o.c)
    .word(m)
    .word(n)
    .word(k)
    .word(o.lda ?? (o.transposeA ? m : k))
    .word(o.ldb ?? (o.transposeB ? k : n))
    .word(o.ldc ?? n)
    .word(o.transposeA ? 1 : 0)
    .word(o.transposeB ? 1 : 0)
    .word(FORMAT[format])
    .word(o.scales ?? 0)
    .word(o.scaleStride ?? Math.ceil(k / 128))
    .word(o.rows ?? 0)
    .word(o.accumulate ? 1 : 0)
    .word(batch)
    .word(o.strideA ?? 0)
    .word(o.strideB ?? 0)
    .word(o.strideC ?? 0)
    .word(job.arena.wide ? 1 : 0)
    .word(mb)
    .word(nb);
}

/**
 * The largest blocks, for each is packed once for a whole block of the other operand; smaller ones where the threads
 * would otherwise have too few of them to finish at one time, as far as tiles can be cut.
 */
function blocksOf(m: number, n: number, k: number, batch: number, threads: number): { mb: number; nb: number } {
  let mb = evenBlock(m, MB, 6);
  let nb = evenBlock(n, NB, 16);
  const isTooFew = () => batch * Math.ceil(m / mb) * Math.ceil(n / nb) < BLOCKS_PER_THREAD * threads;
  while (threads > 1 && isTooFew() && (mb * nb * k) / 16 > SPLIT_NS) {
    if (mb > 6 && (mb >= nb || nb <= 16)) mb = evenBlock(m, Math.ceil(mb / 12) * 6, 6);
    else if (nb > 16) nb = evenBlock(n, Math.ceil(nb / 32) * 16, 16);
    else break;
  }
  return { mb, nb };
}

/** Blocks of about one size, at most `largest`, in whole tiles. */
function evenBlock(size: number, largest: number, tile: number): number {
  const blocks = Math.max(1, Math.ceil(size / largest));
  return Math.min(largest, Math.ceil(size / blocks / tile) * tile);
}
