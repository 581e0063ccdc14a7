/** The fused steps around absorbed attention: rows into the cache, queries into the latent space, results out of it. */
import type { Shape, Tensor } from '@mariana/core';
import type { LatentQueries, LatentRows } from '../fusion/latent-patterns.ts';
import { latentAppendKernel } from '../kernels/latent-attention-append.ts';
import { latentFoldKernel } from '../kernels/latent-attention-fold.ts';
import { latentUnfoldKernel } from '../kernels/latent-attention-unfold.ts';
import type { WebGpuWeight } from '../weights/gpu-weight.ts';
import type { LatentParts } from './attention.ts';
import type { KernelDevice } from './device.ts';
import { buffersOf } from './experts.ts';
import type { ZeroIndices } from './mixture.ts';

/** Numbers of a latent that a workgroup holds. */
const MOST_UNFOLDED = 3072;

/** Writes new rows into a cache from row `start` on; the caller has seen that they are within it. */
export function appendLatent(
  device: KernelDevice & ZeroIndices,
  target: Tensor,
  start: number,
  { source, latent, normed, rotated }: LatentRows,
): void {
  const [tokens, width] = source.shape as [number, number];
  device.run(latentAppendKernel({ latent, rope: width - latent, dtype: target.dtype as 'f32' | 'bf16' | 'f16' }), {
    shape: { tokens },
    buffers: {
      rows: device.buffer(source),
      norm: device.buffer(normed.weight),
      cosines: device.buffer(rotated.cos),
      sines: device.buffer(rotated.sin),
      // The pool as one page, so that tokens are rows.
      pages: device.zeros(),
      pool: device.buffer(target),
    },
    uniforms: { start, page_size: target.shape[0]!, epsilon: normed.epsilon },
  });
}

/** Queries folded and rotated: F32 of `shape`, [tokens, heads, latent + rope]. */
export function foldLatent(
  device: KernelDevice,
  { source, nope, weight, rotated }: LatentQueries,
  latent: number,
  shape: Shape,
): Tensor {
  const [tokens, heads, width] = source.shape as [number, number, number];
  const { whole, layout } = weight.stack;
  const { format, scaleBlock } = layout;
  const result = device.output(shape, 'f32');
  device.run(latentFoldKernel({ nope, rope: width - nope, latent, weights: { format, scaleBlock } }), {
    shape: { tokens, heads },
    buffers: {
      ...buffersOf(whole!, 'key'),
      query: device.buffer(source),
      cosines: device.buffer(rotated.cos),
      sines: device.buffer(rotated.sin),
      folded: result.buffer,
    },
    uniforms: { heads },
  });
  return result.tensor;
}

/** Splits put together and taken out of the latent space: F32 of `shape`. Null if the weight does not fit. */
export function unfoldLatent(
  device: KernelDevice,
  { partial, stats, splits, shape: [tokens, heads, latent] }: LatentParts,
  weight: WebGpuWeight,
  shape: readonly [tokens: number, heads: number, value: number],
): Tensor | null {
  const { whole, layout } = weight.stack;
  if (whole === undefined || layout.count !== 1 || latent > MOST_UNFOLDED) return null;
  const { format, scaleBlock } = layout;
  const result = device.output(shape, 'f32');
  device.run(latentUnfoldKernel({ latent, value: shape[2], weights: { format, scaleBlock } }), {
    shape: { tokens, heads },
    buffers: {
      ...buffersOf(whole, 'value'),
      partial: partial.buffer,
      stats: stats.buffer,
      result: result.buffer,
    },
    uniforms: { heads, rows: tokens * heads, splits },
  });
  return result.tensor;
}
