/**
 * Reordering axes, in any dtype. Axes that stay neighbours move as one; what is left is either a copy of runs or, where
 * the last axis of the result is not the last of the operand, a transposition in small squares, so that both sides are
 * read and written by whole cache lines. Kernels move words, loops shorter cells.
 */
import { type Tensor, transposeShape } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';
import { type Cells, cellsOf } from './cells.ts';
import { forEachRun, type LoopNest } from './loop-nest.ts';

/** Side of a square, in cells. */
const SQUARE = 16;

export function transpose(backend: CpuBackend, x: Tensor, permutation: readonly number[]): Tensor {
  const shape = transposeShape(x.shape, permutation);
  backend.pointer(x);
  const out = backend.output(shape, x.dtype);
  if (out.size === 0) return out;
  const nest = movedLoops(x.shape, permutation);
  const { cells, width } = cellsOf(backend.engine.arena, x.dtype);
  const [from, to] = [backend.pointer(x) / width, backend.pointer(out) / width];
  const across = nest.steps[0]!.indexOf(1);
  const mover = width === 4 ? wordMover(backend) : cellMover(cells);
  if (across <= 0) moveRuns(mover, nest, from, to);
  else moveSquares(mover, nest, across, from, to);
  mover.finish();
  return out;
}

/** Moves cells; places and steps are in cells. */
interface Mover {
  /** Rows of `n` cells each, `rows` of them, one after the other in the result. */
  run(from: number, step: number, to: number, n: number, rows: number): void;
  /** to[row * rowStride + column] = from[row + column * columnStep]. */
  matrix(from: number, columnStep: number, to: number, rowStride: number, rows: number, columns: number): void;
  finish(): void;
}

function wordMover(backend: CpuBackend): Mover {
  const job = backend.engine.job();
  return {
    run: (from, step, to, n, rows) =>
      kernels.copyRows(job, { x: 4 * from, y: 4 * to, columns: n, rows, xRow: step, yRow: n }),
    matrix: (from, columnStep, to, rowStride, rows, columns) =>
      kernels.transpose(job, {
        x: 4 * from,
        y: 4 * to,
        rows: columns,
        columns: rows,
        xRow: columnStep,
        yRow: rowStride,
      }),
    finish: () => job.run(),
  };
}

function cellMover(cells: Cells): Mover {
  return {
    run: (from, step, to, n, rows) => {
      for (let row = 0; row < rows; row++) copyRun(cells, from + row * step, to + row * n, n);
    },
    matrix: (from, columnStep, to, rowStride, rows, columns) =>
      moveMatrix(cells, from, columnStep, to, rowStride, rows, columns),
    finish: () => {},
  };
}

/** The loops over the result, innermost first, with their steps in the operand; neighbours that stay so are merged. */
function movedLoops(shape: readonly number[], permutation: readonly number[]): LoopNest {
  const strides = new Array<number>(shape.length);
  for (let axis = shape.length - 1, stride = 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  const [sizes, steps]: [number[], number[]] = [[], []];
  for (const axis of permutation.toReversed()) {
    const last = sizes.length - 1;
    if (shape[axis] === 1) continue;
    if (last >= 0 && strides[axis] === steps[last]! * sizes[last]!) {
      sizes[last]! *= shape[axis]!;
    } else {
      sizes.push(shape[axis]!);
      steps.push(strides[axis]!);
    }
  }
  return sizes.length > 0 ? { sizes, steps: [steps] } : { sizes: [1], steps: [[1]] };
}

function moveRuns(mover: Mover, nest: LoopNest, from: number, to: number): void {
  const [n, rows = 1] = nest.sizes as [number, number?];
  const step = nest.steps[0]![1] ?? 0;
  let o = to;
  forEachRun(nest, 2, (offset) => {
    mover.run(from + offset, step, o, n, rows);
    o += n * rows;
  });
}

function copyRun(cells: Cells, from: number, to: number, n: number): void {
  for (let i = 0; i < n; i++) cells[to + i] = cells[from + i]!;
}

/** @param across - The loop that steps by one element in the operand; the innermost one (0) does so in the result. */
function moveSquares(mover: Mover, { sizes, steps }: LoopNest, across: number, from: number, to: number): void {
  const strides = sizes.map((_, loop) => sizes.slice(0, loop).reduce((a, b) => a * b, 1));
  const others = sizes.map((_, loop) => loop).filter((loop) => loop !== 0 && loop !== across);
  const nest: LoopNest = {
    sizes: others.map((loop) => sizes[loop]!),
    steps: [others.map((loop) => steps[0]![loop]!), others.map((loop) => strides[loop]!)],
  };
  const [rows, columns] = [sizes[across]!, sizes[0]!];
  const [columnStep, rowStride] = [steps[0]![0]!, strides[across]!];
  forEachRun(nest, 0, (source, target) => {
    mover.matrix(from + source, columnStep, to + target, rowStride, rows, columns);
  });
}

/** to[row * rowStride + column] = from[row + column * columnStep]. */
function moveMatrix(
  cells: Cells,
  from: number,
  columnStep: number,
  to: number,
  rowStride: number,
  rows: number,
  columns: number,
): void {
  for (let row = 0; row < rows; row += SQUARE) {
    const rowEnd = Math.min(row + SQUARE, rows);
    for (let column = 0; column < columns; column += SQUARE) {
      const columnEnd = Math.min(column + SQUARE, columns);
      for (let r = row; r < rowEnd; r++) {
        const o = to + r * rowStride;
        let i = from + r + column * columnStep;
        for (let c = column; c < columnEnd; c++, i += columnStep) cells[o + c] = cells[i]!;
      }
    }
  }
}
