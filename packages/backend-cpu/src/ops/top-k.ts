/** The largest values of each row, by the kernel of the router. */
import { checkDtype, type Tensor, topKShape } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

/** The kernel inserts each value into a list in order: beyond this, sorting is faster. */
const LARGEST_K = 256;

/** Null for a large k. */
export function topK(backend: CpuBackend, x: Tensor, k: number): { values: Tensor; indices: Tensor } | null {
  checkDtype('topK', x, 'f32');
  const shape = topKShape(x.shape, k);
  if (k > LARGEST_K) return null;
  backend.pointer(x);
  const values = backend.output(shape);
  const indices = backend.output(shape, 'i32');
  if (values.size === 0) return { values, indices };
  const width = x.shape.at(-1)!;
  const job = backend.engine.job();
  kernels.topK(job, {
    x: backend.pointer(x),
    tokens: x.size / width,
    width,
    k,
    values: backend.pointer(values),
    indices: backend.pointer(indices),
  });
  job.run();
  return { values, indices };
}
