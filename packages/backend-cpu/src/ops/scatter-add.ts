/** Adding rows up at given places, in their order, so that the rounding is always the same. */
import { checkDtype, checkIndices, scatterAddShape, sizeOf, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

export function scatterAdd(backend: CpuBackend, indices: Tensor, updates: Tensor, rows: number): Tensor {
  checkDtype('scatterAdd', indices, 'i32');
  checkDtype('scatterAdd', updates, 'f32');
  const shape = scatterAddShape(indices.shape, updates.shape, rows);
  backend.pointer(updates);
  checkIndices('scatterAdd', backend.view(indices) as Int32Array, rows);
  const out = backend.output(shape);
  const job = backend.engine.job();
  kernels.scatterAdd(job, {
    x: backend.pointer(updates),
    places: backend.pointer(indices),
    count: indices.size,
    y: backend.pointer(out),
    rows,
    width: sizeOf(shape.slice(1)),
  });
  job.run();
  return out;
}
