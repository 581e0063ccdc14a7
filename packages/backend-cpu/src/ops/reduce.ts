/** Reductions along one axis. */
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
import * as kernels from '../wasm/index.ts';

export function reduce(
  backend: CpuBackend,
  op: ReduceOp,
  x: Tensor,
  axis: number,
  options: ReduceOptions | undefined,
): Tensor {
  checkDtype(op, x, 'f32');
  const at = resolveAxis(op, axis, x.rank);
  backend.pointer(x);
  const out = backend.output(reduceShape(x.shape, at, options));
  if (out.size === 0) return out;
  const inner = sizeOf(x.shape.slice(at + 1));
  const job = backend.engine.job();
  kernels.reduce(job, {
    op,
    x: backend.pointer(x),
    y: backend.pointer(out),
    outer: out.size / inner,
    size: x.shape[at]!,
    inner,
  });
  job.run();
  return out;
}
