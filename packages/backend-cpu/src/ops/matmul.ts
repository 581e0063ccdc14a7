/** The general F32 matrix product, by the tiled kernel. */

import { ReferenceBackend } from '@mariana/backend-reference';
import { type MatmulOptions, type MatmulShape, sizeOf, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { gemm } from '../wasm/index.ts';

export function matmul(
  backend: CpuBackend,
  a: Tensor,
  b: Tensor,
  { shape, batch, m, n, k }: MatmulShape,
  options: MatmulOptions,
): Tensor {
  const matrices = sizeOf(batch);
  const strideA = batchStride(a, matrices, m * k);
  const strideB = batchStride(b, matrices, k * n);
  if (strideA === null || strideB === null || k === 0) {
    return ReferenceBackend.prototype.matmul.call(backend, a, b, options);
  }
  const out = backend.output(shape);
  const job = backend.engine.job();
  gemm(job, {
    a: backend.pointer(a),
    b: backend.pointer(b),
    c: backend.pointer(out),
    m,
    n,
    k,
    transposeA: options.transposeA,
    transposeB: options.transposeB,
    batch: matrices,
    strideA,
    strideB,
    strideC: m * n,
  });
  job.run();
  return out;
}

/** Elements from one matrix of a batch to the next; 0 if there is one for all; null if axes broadcast unevenly. */
function batchStride(x: Tensor, matrices: number, size: number): number | null {
  const own = sizeOf(x.shape.slice(0, -2));
  if (own === matrices) return size;
  return own === 1 ? 0 : null;
}
