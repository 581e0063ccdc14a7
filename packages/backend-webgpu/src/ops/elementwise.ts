/** `unary`, `binary`, `where` and `cast`: which kernel, and the strides by which operands stretch. */
import { collapseBroadcast } from '@mariana/backend-tfjs';
import {
  type BinaryOp,
  isFloatDType,
  type Shape,
  sizeOf,
  type Tensor,
  type TensorDType,
  type UnaryOp,
} from '@mariana/core';
import { binaryKernel, type FlatShape, unaryKernel, whereKernel } from '../kernels/elementwise.ts';
import type { Kernel } from '../kernels/kernel.ts';
import { fromIntegerKernel, type RoundedFloat, roundKernel, toIntegerKernel } from '../kernels/rounding.ts';
import { broadcastStrides, type KernelDevice, numbered } from './device.ts';

export function unary(device: KernelDevice, op: UnaryOp, x: Tensor): Tensor {
  return map(device, unaryKernel(op), x, 'f32');
}

/** A kernel of one operand, without broadcasting. */
function map(device: KernelDevice, kernel: Kernel<FlatShape>, x: Tensor, dtype: TensorDType): Tensor {
  if (x.size === 0) return device.empty(x.shape, dtype);
  const { tensor, buffer } = device.output(x.shape, dtype);
  const shape = { size: x.size };
  device.run(kernel, { shape, buffers: { x0: device.buffer(x), y: buffer }, uniforms: { size: x.size, s0_0: 1 } });
  return tensor;
}

export function binary(device: KernelDevice, op: BinaryOp, a: Tensor, b: Tensor, shape: Shape): Tensor {
  const compares = op === 'equal' || op === 'less' || op === 'lessEqual';
  const make = (rank: number) => binaryKernel(op, a.dtype as 'f32' | 'i32', rank);
  return spread(device, make, [a, b], shape, compares ? 'i32' : a.dtype);
}

export function where(device: KernelDevice, condition: Tensor, a: Tensor, b: Tensor, shape: Shape): Tensor {
  return spread(device, whereKernel, [condition, a, b], shape, a.dtype);
}

/** A kernel of some operands, which broadcast to a shape. */
function spread(
  device: KernelDevice,
  make: (rank: number) => Kernel<FlatShape>,
  operands: readonly Tensor[],
  shape: Shape,
  dtype: TensorDType,
): Tensor {
  const size = sizeOf(shape);
  if (size === 0) return device.empty(shape, dtype);
  const views = collapseBroadcast(
    operands.map((operand) => operand.shape),
    shape,
  );
  const rank = Math.max(1, views[0]!.length);
  const sizes = views[0]!.map((_, axis) => Math.max(...views.map((view) => view[axis]!)));
  const { tensor, buffer } = device.output(shape, dtype);
  const buffers: Record<string, GPUBuffer> = { y: buffer };
  const uniforms: Record<string, number> = { size, ...numbered('n', sizes, 1) };
  operands.forEach((operand, k) => {
    buffers[`x${k}`] = device.buffer(operand);
    const strides = rank === views[k]!.length ? broadcastStrides(views[k]!) : [0];
    Object.assign(uniforms, numbered(`s${k}_`, strides));
  });
  device.run(make(rank), { shape: { size }, buffers, uniforms });
  return tensor;
}

/**
 * Converts to another dtype by kernels. Null where the values are held alike already (a short float as f32), so that a
 * handle on the same values will do.
 */
export function cast(device: KernelDevice, x: Tensor, dtype: TensorDType): Tensor | null {
  if (x.dtype === 'i32') {
    const floats = map(device, fromIntegerKernel(), x, 'f32');
    if (dtype === 'f32') return floats;
    const result = cast(device, floats, dtype);
    floats.dispose();
    return result;
  }
  if (!isFloatDType(dtype)) {
    // Bytes that become a wider integer only change their representation.
    return map(device, toIntegerKernel(dtype), x, dtype);
  }
  if (dtype === 'f32') return null;
  return map(device, roundKernel(dtype as RoundedFloat), x, dtype);
}
