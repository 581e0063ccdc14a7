/**
 * Moving 32-bit elements within the first arena: slices, joins, rows. `TypedArray.set` on shared memory copies byte by
 * byte where the two sides lie differently within 8 bytes, which a decoding step cannot afford; kernels and loops over
 * words do not.
 */
import {
  checkIndices,
  concatShape,
  gatherShape,
  MarianaError,
  resolveAxis,
  type Shape,
  sizeOf,
  sliceShape,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

/** Copies `count` words from one address to another. */
function copyWords(words: Uint32Array<ArrayBufferLike>, from: number, to: number, count: number): void {
  for (let i = 0; i < count; i++) words[to + i] = words[from + i]!;
}

function isWords(...tensors: readonly Tensor[]): boolean {
  return tensors.every(({ dtype }) => dtype === 'f32' || dtype === 'i32');
}

/** Null for other dtypes. */
export function slice(backend: CpuBackend, x: Tensor, axis: number, start: number, end: number): Tensor | null {
  if (!isWords(x)) return null;
  const at = resolveAxis('slice', axis, x.rank);
  const shape = sliceShape(x.shape, at, start, end);
  backend.pointer(x);
  const out = backend.output(shape, x.dtype);
  const inner = sizeOf(x.shape.slice(at + 1));
  const block = (end - start) * inner;
  const outer = sizeOf(x.shape.slice(0, at));
  const job = backend.engine.job();
  kernels.copyRows(job, {
    x: backend.pointer(x) + 4 * start * inner,
    y: backend.pointer(out),
    columns: block,
    rows: outer,
    xRow: x.shape[at]! * inner,
    yRow: block,
  });
  job.run();
  return out;
}

/** Null for other dtypes, or where the parts do not fit: the reference says why. */
export function concat(backend: CpuBackend, tensors: readonly Tensor[], axis: number): Tensor | null {
  const [first] = tensors;
  if (first === undefined || !isWords(...tensors) || tensors.some(({ dtype }) => dtype !== first.dtype)) return null;
  const at = resolveAxis('concat', axis, first.rank);
  const shape = concatShape(
    tensors.map((tensor) => tensor.shape),
    at,
  );
  for (const tensor of tensors) backend.pointer(tensor);
  const out = backend.output(shape, first.dtype);
  const outer = sizeOf(shape.slice(0, at));
  const row = sizeOf(shape.slice(at));
  const job = backend.engine.job();
  let y = backend.pointer(out);
  for (const tensor of tensors) {
    const block = sizeOf(tensor.shape.slice(at));
    kernels.copyRows(job, { x: backend.pointer(tensor), y, columns: block, rows: outer, xRow: block, yRow: row });
    y += 4 * block;
  }
  job.run();
  return out;
}

/** From here up, a call to copy a row costs less than its words one by one. */
const WIDE_ROW = 16;

/** Null for other dtypes. */
export function gather(backend: CpuBackend, data: Tensor, indices: Tensor): Tensor | null {
  if (!isWords(data) || indices.dtype !== 'i32' || data.rank === 0) return null;
  const shape = gatherShape(data.shape, indices.shape);
  backend.pointer(data);
  checkIndices('gather', backend.view(indices) as Int32Array, data.shape[0]!);
  const out = backend.output(shape, data.dtype);
  const [from, y] = [backend.pointer(data), backend.pointer(out)];
  const width = sizeOf(data.shape.slice(1));
  if (width >= WIDE_ROW) {
    const job = backend.engine.job();
    const rows = backend.pointer(indices);
    kernels.gatherRows(job, { from, format: 'f32', width, rows, tokens: indices.size, y });
    job.run();
  } else {
    const { u32 } = backend.engine.arena;
    const rows = backend.view(indices) as Int32Array;
    for (let i = 0; i < rows.length; i++) copyWords(u32, from / 4 + rows[i]! * width, y / 4 + i * width, width);
  }
  return out;
}

/** False for another target dtype. */
export function writeRows(backend: CpuBackend, target: Tensor, rows: Int32Array, values: Tensor): boolean {
  if (target.dtype !== 'f32' || values.dtype !== 'f32' || target.rank === 0) return false;
  const width = sizeOf(target.shape.slice(1));
  if (!isShape(values.shape, [rows.length, ...target.shape.slice(1)])) {
    throw new MarianaError('SHAPE_MISMATCH', `writeRows: ${values} are not ${rows.length} rows of a ${target}`);
  }
  checkIndices('writeRows', rows, target.shape[0]!);
  const [words, from, to] = [backend.engine.arena.u32, backend.pointer(values) / 4, backend.pointer(target) / 4];
  for (let i = 0; i < rows.length; i++) copyWords(words, from + i * width, to + rows[i]! * width, width);
  return true;
}

function isShape(shape: Shape, expected: Shape): boolean {
  return shape.length === expected.length && shape.every((size, axis) => size === expected[axis]);
}
