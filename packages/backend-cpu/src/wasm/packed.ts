/**
 * INT8 and INT4 weights: how large they are, how they are made, and products with them. A packed matrix lies in panels
 * of 16 rows, in a layout that depends on the machine's best dot instruction and is nobody's file format: files hold
 * plain rows, and `packRows` re-arranges them panel by panel from a staging area, so that weights never exist twice.
 *
 * Activations are quantised each time, to 8 or 16 bits with a scale for each 128. Within a group every sum is an exact
 * integer, so the two numbers of bits mean the same on every build. With 16 bits the error of the activations is
 * at most 2^-16 of the largest of their 128, with 8 bits 2^-8; on machines whose layout is 'pair' 16 bits cost nothing.
 */
import { MarianaError } from '@mariana/core';
import type { DenseMatrix } from './dense.ts';
import { type Job, KERNEL } from './job.ts';
import type { KernelModule, PackedLayout } from './kernel-module.ts';

export type PackedFormat = 'int8' | 'int4';

/** The shape and layout of a packed matrix. */
export interface PackedShape {
  readonly format: PackedFormat;
  readonly rows: number;
  readonly cols: number;
  /** `cols` rounded up to 32. */
  readonly paddedCols: number;
  /** Elements of a row that share a scale: 32, 64 or 128. */
  readonly group: number;
  readonly layout: PackedLayout;
  /** Whether w + 128 is stored. */
  readonly offset: boolean;
  /** Bytes of the integers and of the scales. */
  readonly dataBytes: number;
  readonly scaleBytes: number;
}

/** A packed matrix in memory. */
export interface PackedMatrix extends PackedShape {
  readonly data: number;
  readonly scales: number;
}

const PANEL = 16;

/**
 * What a packed [rows, cols] matrix needs on this machine. `group` defaults to 128 for INT8 and 32 for INT4.
 *
 * @throws MarianaError INVALID_ARGUMENT for a group other than 32, 64 or 128
 */
export function packedShape(
  kernels: KernelModule,
  format: PackedFormat,
  rows: number,
  cols: number,
  group: number = format === 'int8' ? 128 : 32,
): PackedShape {
  if (group !== 32 && group !== 64 && group !== 128) {
    throw new MarianaError('INVALID_ARGUMENT', `Cannot pack with groups of ${group}: 32, 64 or 128 are possible.`);
  }
  const paddedCols = Math.ceil(cols / 32) * 32;
  const paddedRows = Math.ceil(rows / PANEL) * PANEL;
  const { layout, offset } = kernels[format];
  return {
    format,
    rows,
    cols,
    paddedCols,
    group,
    layout,
    offset,
    dataBytes: (paddedRows * paddedCols) / (format === 'int8' ? 1 : 2),
    scaleBytes: paddedRows * Math.ceil(paddedCols / group) * 4,
  };
}

/** Where row `row` (a multiple of 16) of a packed matrix begins. */
function panelAt(w: PackedMatrix, row: number): { data: number; scales: number } {
  if (row % PANEL !== 0) {
    throw new MarianaError('INVALID_ARGUMENT', `Rows are packed in panels of ${PANEL}: row ${row} begins none.`);
  }
  const panels = Math.ceil(w.rows / PANEL);
  const p = row / PANEL;
  return { data: w.data + (w.dataBytes / panels) * p, scales: w.scales + (w.scaleBytes / panels) * p };
}

/**
 * Quantises `src.rows` rows of a staging area into rows `row`.. of `w`. `row` is a multiple of 16, and so is the number
 * of rows unless they are the last. INT8: w / scale rounded to nearest, scale = largest / 127. INT4: the scale with the
 * least squared error of five, as `quantizeGroups` of the core package finds it. A non-finite weight makes its group NaN or zero: refuse such a checkpoint first.
 *
 * @param row the first row; for FP8 it also says to which row of blocks `src.scales` (those of the whole matrix) belong
 */
export function packWeights(job: Job, w: PackedMatrix, row: number, src: DenseMatrix): void {
  if (src.stride !== undefined && src.stride !== src.cols) {
    throw new MarianaError('INVALID_ARGUMENT', 'Weights are packed from rows that follow one another.');
  }
  const to = panelAt(w, row);
  job
    .segment(
      w.format === 'int8' ? KERNEL.packInt8 : KERNEL.packInt4,
      Math.ceil(src.rows / PANEL),
      PANEL * w.paddedCols * (w.format === 'int8' ? 1 : 4),
    )
    .word(src.at)
    .word({ f32: 0, bf16: 1, fp8: 2 }[src.format])
    .word(row)
    .word(src.scales ?? 0)
    .word(src.scaleStride ?? Math.ceil(src.cols / 128))
    .word(src.rows)
    .word(src.cols)
    .word(w.paddedCols)
    .word(w.group)
    .word(to.data)
    .word(to.scales)
    .word(layoutCode(w))
    .word(w.offset ? 1 : 0);
}

/** Rows that are quantised already. */
export interface QuantizedRows {
  /** INT8: i8 [rows, cols]. INT4: [rows, ceil(cols / 2)] bytes, low nibble first, value = nibble - 8. */
  readonly at: number;
  /** f32 [rows, ceil(cols / group)]. */
  readonly scales: number;
  readonly rows: number;
}

/** Re-arranges quantised rows from a staging area into rows `row`.. of `w`; rows as for `packWeights`. */
export function packRows(job: Job, w: PackedMatrix, row: number, src: QuantizedRows): void {
  const to = panelAt(w, row);
  job
    .segment(
      w.format === 'int8' ? KERNEL.packInt8Rows : KERNEL.packInt4Rows,
      Math.ceil(src.rows / PANEL),
      (PANEL * w.paddedCols) / 4,
    )
    .word(src.at)
    .word(src.scales)
    .word(src.rows)
    .word(w.cols)
    .word(w.paddedCols)
    .word(w.group)
    .word(to.data)
    .word(to.scales)
    .word(layoutCode(w))
    .word(w.offset ? 1 : 0);
}

function layoutCode(w: PackedShape): number {
  return w.layout === 'pair' ? 2 : 0;
}

/** Quantised activations: records of [scales | sums | integers], one a token (see `assembly/quantize.ts`). */
export interface ActivationShape {
  readonly cols: number;
  readonly paddedCols: number;
  readonly layout: PackedLayout;
  readonly bits: 8 | 16;
  readonly recordBytes: number;
}

/** The form in which activations meet `w`; weights with equal `cols` and `layout` can share it. */
export function activationShape(w: PackedShape, bits: 8 | 16): ActivationShape {
  const bytes = w.layout === 'pair' || bits === 16 ? 2 : 1;
  const head = (Math.ceil(w.paddedCols / 128) + w.paddedCols / 32) * 4;
  const recordBytes = Math.ceil((head + w.paddedCols * bytes) / 64) * 64;
  return { cols: w.cols, paddedCols: w.paddedCols, layout: w.layout, bits, recordBytes };
}

export interface QuantizeActivations {
  /** f32 [tokens, cols]. */
  readonly x: number;
  readonly tokens: number;
  readonly shape: ActivationShape;
  /** `tokens` records. */
  readonly to: number;
  /** Default: `cols`. */
  readonly xStride?: number | undefined;
  /** i32 [tokens]: which rows of x to take. */
  readonly rows?: number | undefined;
}

/** Quantises activations. A non-finite one makes all products with its group NaN; groups below 1e-30 become zero. */
export function quantizeActivations(job: Job, o: QuantizeActivations): void {
  const s = o.shape;
  job
    .segment(KERNEL.quantizeActivations, o.tokens, s.paddedCols * 0.4)
    .word(o.x)
    .word(o.xStride ?? s.cols)
    .word(s.cols)
    .word(s.paddedCols)
    .word(o.to)
    .word(s.recordBytes)
    .word(s.layout === 'pair' ? 2 : s.bits === 16 ? 1 : 0)
    .word(s.bits)
    .word(o.rows ?? 0);
}

export interface MatmulPacked {
  /** Records made by `quantizeActivations`. */
  readonly x: number;
  readonly shape: ActivationShape;
  readonly w: PackedMatrix;
  /** f32 [tokens, rows of w]. */
  readonly y: number;
  readonly tokens: number;
  /** Default: `rows` of w. */
  readonly yStride?: number | undefined;
  /** i32 [tokens]: which records to take. Default: the first ones. */
  readonly rows?: number | undefined;
  readonly accumulate?: boolean | undefined;
}

/**
 * Adds y = x W^T to the job.
 *
 * @throws MarianaError SHAPE_MISMATCH if the activations were not quantised for such a matrix
 */
export function matmulPacked(job: Job, o: MatmulPacked): void {
  const { w, shape, tokens } = o;
  if (shape.paddedCols !== w.paddedCols || shape.layout !== w.layout) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `Activations of ${shape.cols} columns (${shape.layout}) cannot meet a matrix of ${w.cols} (${w.layout}).`,
    );
  }
  if (tokens <= 0) return;
  const unitCost = PANEL * w.paddedCols * (w.format === 'int8' ? 0.05 : 0.035) * (1 + (tokens - 1) * 0.5);
  job
    .segment(w.format === 'int8' ? KERNEL.matmulInt8 : KERNEL.matmulInt4, Math.ceil(w.rows / PANEL), unitCost)
    .word(o.x)
    .word(shape.recordBytes)
    .word(w.data)
    .word(w.scales)
    .word(o.y)
    .word(tokens)
    .word(w.rows)
    .word(w.paddedCols)
    .word(w.group)
    .word(o.yStride ?? w.rows)
    .word(o.rows ?? 0)
    .word(w.layout === 'pair' ? 0 : shape.bits / 8)
    .word(w.offset ? 1 : 0)
    .word(o.accumulate ? 1 : 0)
    .word(job.arena.wide ? 1 : 0);
}
