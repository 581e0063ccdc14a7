/** `matmul`: the strides of both operands, of which the leading axes broadcast. */
import { collapseBroadcast } from '@mariana/backend-tfjs';
import { type MatmulOptions, type MatmulShape, sizeOf, type Tensor } from '@mariana/core';
import { matmulKernel } from '../kernels/matmul.ts';
import { broadcastStrides, type KernelDevice, numbered } from './device.ts';

/** Operands of at least one element each. */
export function matmul(
  device: KernelDevice,
  a: Tensor,
  b: Tensor,
  { shape, batch, m, n, k }: MatmulShape,
  { transposeA = false, transposeB = false }: MatmulOptions,
): Tensor {
  const [aBatch, bBatch] = collapseBroadcast([a.shape.slice(0, -2), b.shape.slice(0, -2)], batch) as [
    number[],
    number[],
  ];
  const rank = Math.max(1, aBatch.length);
  const sizes = aBatch.map((size, axis) => Math.max(size, bBatch[axis]!));
  const strides = (view: number[], matrix: number) =>
    view.length === 0 ? [0] : broadcastStrides(view).map((stride) => stride * matrix);
  const { tensor, buffer } = device.output(shape, 'f32');
  device.run(matmulKernel(rank), {
    shape: { batch: sizeOf(batch), m, n },
    buffers: { a: device.buffer(a), b: device.buffer(b), y: buffer },
    uniforms: {
      batch: sizeOf(batch),
      m,
      n,
      k,
      am: transposeA ? 1 : k,
      ak: transposeA ? m : 1,
      bk: transposeB ? 1 : n,
      bn: transposeB ? k : 1,
      ...numbered('n', sizes, 1),
      ...numbered('sa', strides(aBatch, m * k)),
      ...numbered('sb', strides(bBatch, k * n)),
    },
  });
  return tensor;
}
