/** Adding rows up at given places, in their order, so that the rounding is always the same. */
import { checkDtype, checkIndices, scatterAddShape, sizeOf, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';

export function scatterAdd(backend: CpuBackend, indices: Tensor, updates: Tensor, rows: number): Tensor {
  checkDtype('scatterAdd', indices, 'i32');
  checkDtype('scatterAdd', updates, 'f32');
  const shape = scatterAddShape(indices.shape, updates.shape, rows);
  backend.pointer(updates);
  checkIndices('scatterAdd', backend.view(indices) as Int32Array, rows);
  const out = backend.output(shape);
  const { f32, i32 } = backend.engine.arena;
  const [at, from, to] = [indices, updates, out].map((x) => backend.pointer(x) / 4) as [number, number, number];
  clear(f32, to, out.size);
  addRows(f32, i32, at, indices.size, from, to, sizeOf(shape.slice(1)));
  return out;
}

function clear(f32: Float32Array<ArrayBufferLike>, at: number, n: number): void {
  for (let i = at; i < at + n; i++) f32[i] = 0;
}

function addRows(
  f32: Float32Array<ArrayBufferLike>,
  i32: Int32Array<ArrayBufferLike>,
  at: number,
  count: number,
  from: number,
  to: number,
  width: number,
): void {
  for (let i = 0; i < count; i++) {
    const o = to + i32[at + i]! * width;
    for (let j = 0; j < width; j++) f32[o + j]! += f32[from + j]!;
    from += width;
  }
}
