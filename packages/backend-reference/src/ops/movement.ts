/** Operations that move elements without computing: any dtype, given as its array of values or codes. */
import { type Shape, sizeOf, type TensorData } from '@mariana/core';

/** Element size in the sense of an index: how many elements one step along axis `axis` covers. */
const innerSize = (shape: Shape, axis: number) => sizeOf(shape.slice(axis + 1));

/** Copies row `from[i]` of `source` to row `to(i)` of `target`, rows of `width` elements. */
export function copyRows(
  source: TensorData,
  from: (i: number) => number,
  target: TensorData,
  to: (i: number) => number,
  count: number,
  width: number,
): void {
  for (let i = 0; i < count; i++) {
    const start = from(i) * width;
    target.set(source.subarray(start, start + width), to(i) * width);
  }
}

export function scatterAdd(indices: Int32Array, updates: Float32Array, width: number, out: Float32Array): void {
  indices.forEach((row, i) => {
    for (let j = 0; j < width; j++) out[row * width + j]! += updates[i * width + j]!;
  });
}

export function slice(x: TensorData, shape: Shape, axis: number, start: number, end: number, out: TensorData): void {
  const inner = innerSize(shape, axis);
  const block = (end - start) * inner;
  const outer = sizeOf(shape.slice(0, axis));
  for (let i = 0; i < outer; i++) {
    const from = (i * shape[axis]! + start) * inner;
    out.set(x.subarray(from, from + block), i * block);
  }
}

export function concat(parts: readonly { data: TensorData; shape: Shape }[], axis: number, out: TensorData): void {
  const outer = sizeOf(parts[0]!.shape.slice(0, axis));
  let at = 0;
  for (let i = 0; i < outer; i++) {
    for (const { data, shape } of parts) {
      const block = shape[axis]! * innerSize(shape, axis);
      out.set(data.subarray(i * block, (i + 1) * block), at);
      at += block;
    }
  }
}

export function transpose(x: TensorData, shape: Shape, permutation: readonly number[], out: TensorData): void {
  const steps = permutation.map((axis) => innerSize(shape, axis));
  const sizes = permutation.map((axis) => shape[axis]!);
  const position = new Array<number>(sizes.length).fill(0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = x[from]!;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      position[axis] = position[axis]! + 1;
      if (position[axis]! < sizes[axis]!) break;
      from -= steps[axis]! * sizes[axis]!;
      position[axis] = 0;
    }
  }
}
