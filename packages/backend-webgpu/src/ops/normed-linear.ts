/** Products of one input that is normed on its way, each written to a tensor of its own. */
import type { Tensor } from '@mariana/core';
import { normedLinearKernel } from '../kernels/normed-linear.ts';
import type { KernelDevice } from './device.ts';
import type { GpuMatrix } from './linear.ts';

/** A norm that is part of what takes its result. */
export interface NormOf {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly epsilon: number;
}

/** Whether the kernel takes these matrices with this many inputs: whole ones, held alike, rows in vectors of four. */
export function normedLinearFits(matrices: readonly GpuMatrix[], inputs: number): boolean {
  const [first] = matrices;
  return matrices.every((w) => {
    if (first === undefined || w.pieces.length !== 1 || w.format !== first.format || w.shape[1] !== inputs)
      return false;
    return LAYOUT.every((name) => w.pieces[0]!.uniforms[name] === first.pieces[0]!.uniforms[name]) && inputs % 4 === 0;
  });
}

/** How rows lie, which is one number for all matrices of a dispatch. */
const LAYOUT = ['vectors', 'scale_rows', 'scale_columns', 'scale_vectors'];

/**
 * y_m = W_m norm(x), of one or two matrices that fit.
 *
 * @param x - F32 [..., inputs], 1 to 4 rows; or the norm that it comes from.
 * @param shapes - Of the results: [..., rows of each matrix].
 */
export function normedLinear(
  device: KernelDevice,
  x: Tensor | NormOf,
  matrices: readonly GpuMatrix[],
  shapes: readonly Tensor['shape'][],
): Tensor[] {
  const norm = 'weight' in x ? x : undefined;
  const input = 'weight' in x ? x.x : x;
  const [, inputs] = matrices[0]!.shape;
  const tokens = input.size / inputs;
  const results = shapes.map((shape) => device.output(shape, 'f32'));
  const buffers: Record<string, GPUBuffer> = { x: device.buffer(input) };
  const uniforms: Record<string, number> = { tokens, inputs, epsilon: norm?.epsilon ?? 0 };
  if (norm !== undefined) buffers.norm = device.buffer(norm.weight);
  for (const name of LAYOUT) uniforms[name] = matrices[0]!.pieces[0]!.uniforms[name]!;
  for (const [m, { pieces, shape }] of matrices.entries()) {
    const { codes, scales } = pieces[0]!.buffers;
    buffers[`codes${m}`] = codes;
    if (scales !== undefined) buffers[`scales${m}`] = scales;
    buffers[`y${m}`] = results[m]!.buffer;
    uniforms[`rows${m}`] = shape[0];
    uniforms[`code_row${m}`] = pieces[0]!.uniforms.code_row!;
    uniforms[`scale_row${m}`] = pieces[0]!.uniforms.scale_row!;
  }
  const kernel = normedLinearKernel({
    format: matrices[0]!.format,
    tokens: tokens === 1 ? 1 : tokens === 2 ? 2 : 4,
    matrices: matrices.length as 1 | 2,
    normed: norm !== undefined,
  });
  device.run(kernel, { shape: { rows: matrices.map(({ shape }) => shape[0]) }, buffers, uniforms });
  return results.map(({ tensor }) => tensor);
}
