/** Small constants as tensors, for formulas. */
import type { Backend } from './backend.ts';
import type { Tensor } from './tensor.ts';

/** An F32 scalar; it broadcasts against anything. */
export function scalar(backend: Backend, value: number): Tensor {
  return backend.upload(Float32Array.of(value), []);
}

/** The I32 numbers 0 to count - 1, times `step`. */
export function range(backend: Backend, count: number, step = 1): Tensor {
  return backend.upload(
    Int32Array.from({ length: count }, (_, i) => i * step),
    [count],
  );
}
