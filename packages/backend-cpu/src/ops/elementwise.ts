/** The elementwise operation that decoding is full of: adding to the residual stream. */
import type { Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';

/** a + b for F32 tensors of one shape; null for any other pair. */
export function addSameShape(backend: CpuBackend, a: Tensor, b: Tensor): Tensor | null {
  if (a.dtype !== 'f32' || b.dtype !== 'f32' || a.rank !== b.rank) return null;
  if (a.shape.some((size, axis) => size !== b.shape[axis])) return null;
  backend.pointer(a);
  backend.pointer(b);
  const out = backend.output(a.shape);
  const [left, right, to] = [backend.view(a), backend.view(b), backend.view(out)];
  for (let i = 0; i < to.length; i++) to[i] = left[i]! + right[i]!;
  return out;
}
