/** `slice`, `transpose`, `concat`, `gather`, `scatterAdd` and the rows of caches: which kernel, and its numbers. */
import { collapseTranspose, splitAtAxis } from '@mariana/backend-tfjs';
import { type Shape, sizeOf, type Tensor } from '@mariana/core';
import {
  concatKernel,
  gatherKernel,
  MAX_CONCAT_PARTS,
  scatterAddKernel,
  stridedCopyKernel,
} from '../kernels/movement.ts';
import { writeRowsKernel } from '../kernels/rounding.ts';
import { type KernelDevice, numbered, stridesOf } from './device.ts';

/** x as axes of `sizes` with `strides`, from `start` on, made dense. */
function copy(
  device: KernelDevice,
  x: Tensor,
  shape: Shape,
  { sizes, strides, start }: { sizes: readonly number[]; strides: readonly number[]; start: number },
): Tensor {
  const size = sizeOf(shape);
  const { tensor, buffer } = device.output(shape, x.dtype);
  const uniforms = { size, start, ...numbered('n', sizes, 1), ...numbered('s', strides) };
  device.run(stridedCopyKernel(sizes.length), {
    shape: { size },
    buffers: { x: device.buffer(x), y: buffer },
    uniforms,
  });
  return tensor;
}

export function slice(device: KernelDevice, x: Tensor, axis: number, start: number, shape: Shape): Tensor {
  if (sizeOf(shape) === 0) return device.empty(shape, x.dtype);
  const [outer, size, inner] = splitAtAxis(x.shape, axis);
  const length = shape[axis]! * inner;
  if (outer === 1) return copy(device, x, shape, { sizes: [length], strides: [1], start: start * inner });
  return copy(device, x, shape, { sizes: [outer, length], strides: [size * inner, 1], start: start * inner });
}

export function transpose(device: KernelDevice, x: Tensor, permutation: readonly number[], shape: Shape): Tensor {
  if (x.size === 0) return device.empty(shape, x.dtype);
  const collapsed = collapseTranspose(x.shape, permutation);
  const strides = stridesOf(collapsed.shape);
  const sizes = collapsed.permutation.map((axis) => collapsed.shape[axis]!);
  const view = { sizes, strides: collapsed.permutation.map((axis) => strides[axis]!), start: 0 };
  return copy(device, x, shape, sizes.length === 0 ? { sizes: [1], strides: [1], start: 0 } : view);
}

export function concat(device: KernelDevice, tensors: readonly Tensor[], axis: number, shape: Shape): Tensor {
  const { dtype } = tensors[0]!;
  if (sizeOf(shape) === 0) return device.empty(shape, dtype);
  const outer = sizeOf(shape.slice(0, axis));
  const width = sizeOf(shape.slice(axis));
  const parts = tensors.filter((tensor) => tensor.size > 0);
  const { tensor, buffer } = device.output(shape, dtype);
  let first = 0;
  for (let at = 0; at < parts.length; at += MAX_CONCAT_PARTS) {
    const some = parts.slice(at, at + MAX_CONCAT_PARTS);
    let columns = 0;
    const ends = some.map((part) => {
      columns += part.size / outer;
      return columns;
    });
    const buffers = Object.fromEntries(some.map((part, k) => [`x${k}`, device.buffer(part)]));
    const size = outer * columns;
    device.run(concatKernel(some.length), {
      shape: { size },
      buffers: { ...buffers, y: buffer },
      uniforms: { size, columns, width, first, ...numbered('e', ends) },
    });
    first += columns;
  }
  return tensor;
}

export function gather(device: KernelDevice, data: Tensor, indices: Tensor, shape: Shape): Tensor {
  const size = sizeOf(shape);
  if (size === 0) return device.empty(shape, data.dtype);
  const { tensor, buffer } = device.output(shape, data.dtype);
  device.run(gatherKernel(), {
    shape: { size },
    buffers: { x: device.buffer(data), indices: device.buffer(indices), y: buffer },
    uniforms: { size, width: size / indices.size, rows: data.shape[0]! },
  });
  return tensor;
}

export function scatterAdd(device: KernelDevice, indices: Tensor, updates: Tensor, shape: Shape): Tensor {
  if (sizeOf(shape) === 0) return device.empty(shape, 'f32');
  const width = sizeOf(shape.slice(1));
  const { tensor, buffer } = device.output(shape, 'f32');
  const count = updates.size === 0 ? 0 : indices.size;
  // Bound, but not read, where there are no updates.
  const spare = count === 0 ? device.output([1], 'i32') : undefined;
  device.run(scatterAddKernel(), {
    shape: { width },
    buffers: {
      indices: spare?.buffer ?? device.buffer(indices),
      updates: spare?.buffer ?? device.buffer(updates),
      y: buffer,
    },
    uniforms: { size: width, rows: shape[0]!, count },
  });
  spare?.tensor.dispose();
  return tensor;
}

/** Overwrites rows in place. `rows` were checked to be within the target. */
export function writeRows(device: KernelDevice, target: Tensor, rows: Int32Array, values: Tensor): void {
  const first = rows[0]!;
  const listed = rows.some((row, i) => row !== first + i);
  const list = listed ? device.upload(rows, [rows.length]) : undefined;
  const size = values.size;
  device.run(writeRowsKernel(target.dtype as 'f32' | 'bf16' | 'f16', listed), {
    shape: { size },
    buffers: {
      x: device.buffer(values),
      y: device.buffer(target),
      ...(list === undefined ? {} : { targets: device.buffer(list) }),
    },
    uniforms: { size, width: size / rows.length, first },
  });
  list?.dispose();
}
