/** `reduce`, `softmax` and `topK`. */
import { splitAtAxis } from '@mariana/backend-tfjs';
import { type ReduceOp, type Shape, sizeOf, type Tensor } from '@mariana/core';
import { reduceMiddleKernel, reduceRowsKernel, softmaxKernel } from '../kernels/reduce.ts';
import { topKKernel } from '../kernels/top-k.ts';
import type { KernelDevice } from './device.ts';

/** Along an axis of at least one element. */
export function reduce(device: KernelDevice, op: ReduceOp, x: Tensor, axis: number, shape: Shape): Tensor {
  const size = sizeOf(shape);
  if (size === 0) return device.empty(shape, 'f32');
  const [outer, length, inner] = splitAtAxis(x.shape, axis);
  const { tensor, buffer } = device.output(shape, 'f32');
  const buffers = { x: device.buffer(x), y: buffer };
  if (inner === 1) {
    device.run(reduceRowsKernel(op), { shape: { rows: outer }, buffers, uniforms: { rows: outer, length } });
  } else {
    device.run(reduceMiddleKernel(op), { shape: { size }, buffers, uniforms: { size, length, inner } });
  }
  return tensor;
}

export function softmax(device: KernelDevice, x: Tensor): Tensor {
  if (x.size === 0) return device.empty(x.shape, 'f32');
  const length = x.shape.at(-1)!;
  const rows = x.size / length;
  const { tensor, buffer } = device.output(x.shape, 'f32');
  device.run(softmaxKernel(), {
    shape: { rows },
    buffers: { x: device.buffer(x), y: buffer },
    uniforms: { rows, length },
  });
  return tensor;
}

export function topK(device: KernelDevice, x: Tensor, k: number, shape: Shape): { values: Tensor; indices: Tensor } {
  if (sizeOf(shape) === 0) return { values: device.empty(shape, 'f32'), indices: device.empty(shape, 'i32') };
  const length = x.shape.at(-1)!;
  const rows = x.size / length;
  const values = device.output(shape, 'f32');
  const indices = device.output(shape, 'i32');
  device.run(topKKernel(), {
    shape: { rows },
    buffers: { x: device.buffer(x), values: values.buffer, indices: indices.buffer },
    uniforms: { rows, length, k },
  });
  return { values: values.tensor, indices: indices.tensor };
}
