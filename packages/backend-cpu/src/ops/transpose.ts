/**
 * Reordering axes, in any dtype. Axes that stay neighbours move as one; what is left is either a copy of runs or, where
 * the last axis of the result is not the last of the operand, a transposition in small squares, so that both sides are
 * read and written by whole cache lines.
 */
import { bytesPerElement, type Tensor, transposeShape } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { forEachRun, type LoopNest } from './loop-nest.ts';

type Cells = Uint32Array<ArrayBufferLike> | Uint16Array<ArrayBufferLike> | Uint8Array<ArrayBufferLike>;

/** Side of a square, in elements: a cache line of words. */
const SQUARE = 16;

export function transpose(backend: CpuBackend, x: Tensor, permutation: readonly number[]): Tensor {
  const shape = transposeShape(x.shape, permutation);
  const width = bytesPerElement(x.dtype);
  const from = backend.pointer(x) / width;
  const out = backend.output(shape, x.dtype);
  if (out.size === 0) return out;
  const to = backend.pointer(out) / width;
  const { u32, u16, u8 } = backend.engine.arena;
  const cells = width === 4 ? u32 : width === 2 ? u16 : u8;
  const nest = movedLoops(x.shape, permutation);
  const steps = nest.steps[0]!;
  const across = steps.indexOf(1);
  if (across <= 0) copyRuns(cells, nest, from, to);
  else moveSquares(cells, nest, across, from, to);
  return out;
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

function copyRuns(cells: Cells, nest: LoopNest, from: number, to: number): void {
  const n = nest.sizes[0]!;
  let o = to;
  forEachRun(nest, 1, (offset) => {
    copyRun(cells, from + offset, o, n);
    o += n;
  });
}

function copyRun(cells: Cells, from: number, to: number, n: number): void {
  for (let i = 0; i < n; i++) cells[to + i] = cells[from + i]!;
}

/** @param across - The loop that steps by one element in the operand; the innermost one (0) does so in the result. */
function moveSquares(cells: Cells, { sizes, steps }: LoopNest, across: number, from: number, to: number): void {
  const strides = sizes.map((_, loop) => sizes.slice(0, loop).reduce((a, b) => a * b, 1));
  const others = sizes.map((_, loop) => loop).filter((loop) => loop !== 0 && loop !== across);
  const nest: LoopNest = {
    sizes: others.map((loop) => sizes[loop]!),
    steps: [others.map((loop) => steps[0]![loop]!), others.map((loop) => strides[loop]!)],
  };
  const [rows, columns] = [sizes[across]!, sizes[0]!];
  const [columnStep, rowStride] = [steps[0]![0]!, strides[across]!];
  forEachRun(nest, 0, (source, target) => {
    moveMatrix(cells, from + source, columnStep, to + target, rowStride, rows, columns);
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
