/** Words from one place to another, one function for each kernel. Addresses are in bytes, sizes and strides in words. */
import { type Job, KERNEL } from './job.ts';

export interface CopyRows {
  readonly x: number;
  readonly y: number;
  readonly columns: number;
  readonly rows: number;
  /** From row to row. */
  readonly xRow: number;
  readonly yRow: number;
}

/** Copies rows of 32-bit words. */
export function copyRows(job: Job, o: CopyRows): void {
  job
    .segment(KERNEL.copyRows, o.columns === 0 ? 0 : o.rows, o.columns * 0.3 + 4)
    .word(o.x)
    .word(o.y)
    .word(o.columns)
    .word(o.xRow)
    .word(o.yRow);
}

export interface Transpose {
  /** [rows, columns] and [columns, rows] of 32-bit words. */
  readonly x: number;
  readonly y: number;
  readonly rows: number;
  readonly columns: number;
  readonly xRow: number;
  readonly yRow: number;
}

/** y[c, r] = x[r, c]. */
export function transpose(job: Job, o: Transpose): void {
  job
    .segment(KERNEL.transpose, Math.ceil(o.columns / 16), o.rows * 16)
    .word(o.x)
    .word(o.y)
    .word(o.rows)
    .word(o.columns)
    .word(o.xRow)
    .word(o.yRow);
}

export interface ScatterAdd {
  /** f32 [count, width]. */
  readonly x: number;
  /** i32 [count]: numbers of rows of y. */
  readonly places: number;
  readonly count: number;
  /** f32 [rows, width], written whole. */
  readonly y: number;
  readonly rows: number;
  readonly width: number;
}

/** y = zeros, then y[places[i]] += x[i], in the order of i. */
export function scatterAdd(job: Job, o: ScatterAdd): void {
  job
    .segment(KERNEL.scatterAdd, Math.ceil(o.width / 64), o.rows * 10 + o.count * 20)
    .word(o.x)
    .word(o.places)
    .word(o.count)
    .word(o.y)
    .word(o.rows)
    .word(o.width);
}
