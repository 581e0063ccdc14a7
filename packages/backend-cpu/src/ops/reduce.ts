/**
 * Reductions along one axis. Every result is folded by one thread in a fixed order, so it does not depend on how many
 * there are; sums are kept in double precision.
 */
import {
  checkDtype,
  type ReduceOp,
  type ReduceOptions,
  reduceShape,
  resolveAxis,
  sizeOf,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';

type Floats = Float32Array<ArrayBufferLike>;

/** Columns that are summed side by side: their sums stay in the first cache. */
const COLUMNS = 1024;
const sums = new Float64Array(COLUMNS);

export function reduce(
  backend: CpuBackend,
  op: ReduceOp,
  x: Tensor,
  axis: number,
  options: ReduceOptions | undefined,
): Tensor {
  checkDtype(op, x, 'f32');
  const at = resolveAxis(op, axis, x.rank);
  const from = backend.pointer(x) / 4;
  const out = backend.output(reduceShape(x.shape, at, options));
  const to = backend.pointer(out) / 4;
  const { f32 } = backend.engine.arena;
  const [size, inner] = [x.shape[at]!, sizeOf(x.shape.slice(at + 1))];
  const outer = inner === 0 ? 0 : out.size / inner;
  const along = op === 'sum' ? sumRow : maxRow;
  const across = op === 'sum' ? sumColumns : maxColumns;
  for (let i = 0; i < outer; i++) {
    const start = from + i * size * inner;
    if (inner === 1) f32[to + i] = along(f32, start, size);
    else across(f32, start, size, inner, to + i * inner);
  }
  return out;
}

/** Four sums that do not wait for each other. */
function sumRow(f32: Floats, at: number, n: number): number {
  let [a, b, c, d, i] = [0, 0, 0, 0, at];
  const end = at + n;
  for (; i + 4 <= end; i += 4) {
    a += f32[i]!;
    b += f32[i + 1]!;
    c += f32[i + 2]!;
    d += f32[i + 3]!;
  }
  for (; i < end; i++) a += f32[i]!;
  return a + b + (c + d);
}

function maxRow(f32: Floats, at: number, n: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = at; i < at + n; i++) {
    const value = f32[i]!;
    if (value <= max) continue;
    if (Number.isNaN(value)) return Number.NaN;
    max = value;
  }
  return max;
}

function sumColumns(f32: Floats, at: number, rows: number, width: number, to: number): void {
  for (let start = 0; start < width; start += COLUMNS) {
    const n = Math.min(COLUMNS, width - start);
    for (let j = 0; j < n; j++) sums[j] = 0;
    for (let row = 0; row < rows; row++) {
      const from = at + row * width + start;
      for (let j = 0; j < n; j++) sums[j]! += f32[from + j]!;
    }
    for (let j = 0; j < n; j++) f32[to + start + j] = sums[j]!;
  }
}

function maxColumns(f32: Floats, at: number, rows: number, width: number, to: number): void {
  for (let j = 0; j < width; j++) f32[to + j] = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < rows; row++) {
    const from = at + row * width;
    for (let j = 0; j < width; j++) {
      const value = f32[from + j]!;
      // False where the maximum is NaN already, and where it is not above; a NaN is taken.
      if (value > f32[to + j]! || Number.isNaN(value)) f32[to + j] = value;
    }
  }
}
