/** Conversions from and to F32, straight between blocks of the first arena. */
import {
  type FloatDType,
  fromF32,
  isFloatDType,
  type Tensor,
  type TensorData,
  type TensorDType,
  toF32,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

/** Null for the pairs that are rare: from one short format to another, and to 8-bit integers. */
export function cast(backend: CpuBackend, x: Tensor, dtype: TensorDType): Tensor | null {
  if (x.dtype === dtype) return backend.reshape(x, x.shape);
  const isWidening = dtype === 'f32';
  if (!isWidening && (x.dtype !== 'f32' || !(isFloatDType(dtype) || dtype === 'i32'))) return null;
  backend.pointer(x);
  const out = backend.output(x.shape, dtype);
  const conversion = `${x.dtype} ${dtype}`;
  if (kernels.isConversion(conversion)) {
    const job = backend.engine.job();
    kernels.convert(job, { conversion, x: backend.pointer(x), y: backend.pointer(out), n: x.size });
    job.run();
  } else if (isWidening) {
    toF32(x.dtype, backend.view(x), backend.view(out) as Float32Array);
  } else if (dtype === 'i32') {
    const { f32, i32 } = backend.engine.arena;
    truncate(f32, i32, backend.pointer(x) / 4, backend.pointer(out) / 4, x.size);
  } else {
    const target = backend.view(out) as TensorData<FloatDType>;
    fromF32(dtype as FloatDType, backend.view(x) as Float32Array, { out: target });
  }
  return out;
}

/** Towards zero, to the end of the range where there is none, and NaN (as an array stores it) to 0. */
function truncate(
  f32: Float32Array<ArrayBufferLike>,
  i32: Int32Array<ArrayBufferLike>,
  from: number,
  to: number,
  n: number,
): void {
  for (let i = 0; i < n; i++) i32[to + i] = Math.min(Math.max(Math.trunc(f32[from + i]!), -(2 ** 31)), 2 ** 31 - 1);
}
