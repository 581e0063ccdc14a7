/** Products with weights, and rows of weights, part by part where a weight lies in several. */
import { MarianaError, type Shape, sizeOf, type Tensor } from '@mariana/core';
import { FORMAT_TEXTS, type HeldFormat } from '../kernels/held-format.ts';
import { fewTokensKernel, MAX_FEW_TOKENS, manyTokensKernel } from '../kernels/linear.ts';
import { weightRowsKernel } from '../kernels/weight-rows.ts';
import { rowVectors, type StackLayout, scaleColumns, scaleRows, type WebGpuWeight } from '../weights/gpu-weight.ts';
import type { KernelDevice } from './device.ts';

/** The rows of one matrix that lie in one part, with what kernels need to find them. */
interface Piece {
  /** The first of the rows in the matrix. */
  readonly firstRow: number;
  readonly rows: number;
  readonly buffers: { readonly codes: GPUBuffer; readonly scales?: GPUBuffer };
  readonly uniforms: Readonly<Record<string, number>>;
}

/** A matrix as kernels see it. */
export interface GpuMatrix {
  readonly format: HeldFormat;
  readonly shape: readonly [number, number];
  readonly pieces: readonly Piece[];
}

/** The matrix of a weight, in the pieces in which it lies. */
export function matrixOf(weight: WebGpuWeight): GpuMatrix {
  weight.assertAlive();
  return matrixIn(weight);
}

/** The same of a weight that may have been disposed, whose stack somebody holds. */
export function matrixIn(weight: Pick<WebGpuWeight, 'stack' | 'index'>): GpuMatrix {
  const { layout, parts } = weight.stack;
  const [out] = layout.shape;
  const [start, end] = [weight.index * out, (weight.index + 1) * out];
  const pieces: Piece[] = [];
  for (const { firstRow, rows, codes, scales } of parts) {
    const [from, to] = [Math.max(start, firstRow), Math.min(end, firstRow + rows)];
    if (from >= to) continue;
    // Parts hold whole matrices, each with a block of scales of its own, or a piece of one.
    const before = Math.floor((from - firstRow) / out);
    pieces.push({
      firstRow: from - start,
      rows: to - from,
      buffers: { codes, ...(scales === undefined ? {} : { scales }) },
      uniforms: { code_row: from - firstRow, scale_row: before * scaleRows(layout, out), ...layoutUniforms(layout) },
    });
  }
  return { format: layout.format, shape: layout.shape, pieces };
}

function layoutUniforms(layout: Omit<StackLayout, 'count'>): Record<string, number> {
  const [rows, inputs] = layout.scaleBlock;
  return {
    vectors: rowVectors(layout),
    scale_rows: rows,
    scale_columns: scaleColumns(layout),
    scale_vectors: inputs / FORMAT_TEXTS[layout.format].inputs,
  };
}

/** A dense f32 tensor [out, in] as a matrix; its rows must be whole vectors, so `in` a multiple of 4. */
export function matrixOfTensor(device: KernelDevice, tensor: Tensor, shape: readonly [number, number]): GpuMatrix {
  const layout = { format: 'f32', shape, scaleBlock: [1, 0] } as const;
  const uniforms = { code_row: 0, scale_row: 0, ...layoutUniforms(layout) };
  return {
    format: 'f32',
    shape,
    pieces: [{ firstRow: 0, rows: shape[0], buffers: { codes: device.buffer(tensor) }, uniforms }],
  };
}

/**
 * y = x W^T for x [..., in], or for each group of x [T, groups, in] its own part of W. No size is 0.
 *
 * @param residuals - At most two tensors of the shape of y that are added to it, for at most `MAX_FEW_TOKENS` tokens.
 */
export function linear(
  device: KernelDevice,
  x: Tensor,
  w: GpuMatrix,
  groups: number,
  shape: Shape,
  residuals: readonly Tensor[] = [],
): Tensor {
  const [out, inputs] = w.shape;
  const tokens = x.size / inputs / groups;
  const groupRows = out / groups;
  const { tensor, buffer } = device.output(shape, 'f32');
  const options = { format: w.format, aligned: inputs % 4 === 0 };
  const few = tokens <= MAX_FEW_TOKENS;
  if (groups > 1 && w.pieces.length > 1) {
    throw new MarianaError(
      'OUT_OF_MEMORY',
      `groupedLinear: a weight [${out}, ${inputs}] is over the device's limit for one buffer; use a smaller format`,
    );
  }
  const kernel = few
    ? fewTokensKernel({
        ...options,
        tokens: tokens === 1 ? 1 : tokens === 2 ? 2 : 4,
        together: groups === 1 || groupRows % 4 === 0 ? 4 : 1,
        residuals: residuals.length as 0 | 1 | 2,
      })
    : manyTokensKernel(options);
  const added = Object.fromEntries(residuals.map((residual, i) => [`r${i}`, device.buffer(residual)]));
  for (const { firstRow, rows, buffers, uniforms } of w.pieces) {
    device.run(kernel, {
      shape: { tokens, rows, groups },
      buffers: { ...buffers, ...added, x: device.buffer(x), y: buffer },
      uniforms: {
        ...uniforms,
        tokens,
        inputs,
        rows,
        y_row: firstRow,
        y_width: out,
        groups,
        group_rows: groups === 1 ? rows : groupRows,
      },
    });
  }
  return tensor;
}

/** All rows of a matrix as f32 [out, in], or the rows of some ids as f32 [T, in]. No size is 0. */
export function weightRows(device: KernelDevice, w: GpuMatrix, ids: Tensor | null, shape: Shape): Tensor {
  const { tensor, buffer } = device.output(shape, 'f32');
  const inputs = w.shape[1];
  for (const { firstRow, rows, buffers, uniforms } of w.pieces) {
    const vectors = uniforms.vectors!;
    const size = (ids === null ? rows : sizeOf(shape) / inputs) * vectors;
    device.run(weightRowsKernel(w.format, ids !== null), {
      shape: { size },
      buffers: { ...buffers, y: buffer, ...(ids === null ? {} : { ids: device.buffer(ids) }) },
      uniforms: { ...uniforms, size, inputs, first_row: firstRow, rows },
    });
  }
  return tensor;
}
