/** What an operation needs of the backend that runs it: buffers in, a buffer out, and kernels in between. */
import type { Shape, Tensor, TensorDType } from '@mariana/core';
import type { RunKernel } from '../kernels/kernel.ts';

/** A result to be: its handle, and the buffer that kernels write to. */
export interface Output {
  readonly tensor: Tensor;
  readonly buffer: GPUBuffer;
}

/** `WebGpuBackend`, as operations see it. */
export interface KernelDevice {
  readonly run: RunKernel;
  /** The buffer of a tensor of at least one element. */
  buffer(tensor: Tensor): GPUBuffer;
  /** A new tensor of at least one element, of whatever contents. */
  output(shape: Shape, dtype: TensorDType): Output;
  /** A tensor of no elements. */
  empty(shape: Shape, dtype: TensorDType): Tensor;
  /** Uploads small integers, such as row numbers. */
  upload(data: Int32Array, shape: Shape): Tensor;
}

/** Strides of a dense shape, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** The strides by which a shape is read where an axis of size 1 stretches. */
export function broadcastStrides(shape: Shape): number[] {
  return stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
}

/** Uniforms `<prefix><axis>` of some sizes, from an axis on. */
export function numbered(prefix: string, sizes: readonly number[], from = 0): Record<string, number> {
  return Object.fromEntries(sizes.slice(from).map((size, i) => [`${prefix}${from + i}`, size]));
}
