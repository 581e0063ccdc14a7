/** `attention` and `latentAttention` as fused kernels. */
import {
  type AttentionOptions,
  type LatentAttentionOptions,
  type LatentCacheView,
  MarianaError,
  type Shape,
  type Tensor,
  type TensorDType,
} from '@mariana/core';
import { attentionKernel } from '../kernels/attention.ts';
import { type LatentAttentionShape, latentAttentionKernel, latentAttentionShape } from '../kernels/latent-attention.ts';
import { latentCombineKernel } from '../kernels/latent-attention-combine.ts';
import type { KernelDevice, Output } from './device.ts';

/** Most workgroups along an axis, and with them heads and sequences. */
const MOST = 65535;

/** A context that is cut into as many splits as there can be. */
const LONG = 2 ** 24;

/** Null where the default body must do it: operands that do not fit, or have no elements. */
export function attention(
  device: KernelDevice,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale, queryStart = 0 }: AttentionOptions,
): Tensor | null {
  if ([q, k, v].some((x) => x.rank !== 4 || x.size === 0 || x.dtype !== 'f32')) return null;
  const [batch, queries, heads, width] = q.shape as [number, number, number, number];
  const [keys, valueWidth] = [k.shape[1]!, v.shape[3]!];
  const fits =
    `${k.shape}` === `${[batch, keys, heads, width]}` && `${v.shape}` === `${[batch, keys, heads, valueWidth]}`;
  if (!fits || !isCount(queryStart) || batch > MOST || heads > MOST) return null;
  const { tensor, buffer } = device.output([batch, queries, heads, valueWidth], 'f32');
  device.run(attentionKernel({ width, valueWidth }), {
    shape: { batch, queries, heads },
    buffers: { query: device.buffer(q), key: device.buffer(k), value: device.buffer(v), result: buffer },
    uniforms: { queries, keys, heads, query_start: queryStart, scale },
  });
  return tensor;
}

/** Pages of sequences on the device. */
export interface PageTables {
  /** The buffer of a page list, which is the caller's to read in this call. */
  pages(list: Int32Array): GPUBuffer;
}

/** The result of latent attention in splits, which are still to be put together. */
export interface LatentParts {
  /** F32 [splits (or more), queries * heads, latent]. */
  readonly partial: Output;
  /** F32 [splits (or more), queries * heads, 2]. */
  readonly stats: Output;
  readonly splits: number;
  /** [queries, heads, latent]. */
  readonly shape: readonly [number, number, number];
  readonly rope: number;
}

/** Null where the default body must do it: operands that do not fit, or have no elements. */
export function latentAttention(
  device: KernelDevice & PageTables,
  q: Tensor,
  cache: LatentCacheView,
  options: LatentAttentionOptions,
): Tensor | null {
  const plan = planLatent(q.shape, q.dtype, cache, options);
  if (plan === null) return null;
  if (plan.split.splits > 1) return combineLatent(device, runSplits(device, plan, device.buffer(q), cache));
  const { queries, heads, latent, rope } = plan;
  const result = device.output([queries, heads, latent], 'f32');
  device.run(latentAttentionKernel({ latent, rope, partial: false }), {
    shape: plan.split,
    buffers: {
      query: device.buffer(q),
      pool: device.buffer(cache.pool),
      pages: device.pages(plan.used),
      result: result.buffer,
    },
    uniforms: plan.uniforms,
  });
  return result.tensor;
}

/** The same up to the splits, whatever their number. */
export function latentParts(
  device: KernelDevice & PageTables,
  q: Tensor,
  cache: LatentCacheView,
  options: LatentAttentionOptions,
): LatentParts | null {
  const plan = planLatent(q.shape, q.dtype, cache, options);
  return plan === null ? null : runSplits(device, plan, device.buffer(q), cache);
}

/** Puts splits together; they are freed. */
export function combineLatent(device: KernelDevice, { partial, stats, splits, shape, rope }: LatentParts): Tensor {
  const [queries, heads, latent] = shape;
  const rows = queries * heads;
  const result = device.output(shape, 'f32');
  device.run(latentCombineKernel({ latent, rope }), {
    shape: { rows },
    buffers: { partial: partial.buffer, stats: stats.buffer, result: result.buffer },
    uniforms: { rows, splits },
  });
  partial.tensor.dispose();
  stats.tensor.dispose();
  return result.tensor;
}

interface LatentPlan {
  readonly queries: number;
  readonly heads: number;
  readonly latent: number;
  readonly rope: number;
  readonly split: LatentAttentionShape;
  readonly used: Int32Array;
  readonly uniforms: Readonly<Record<string, number>>;
}

function planLatent(
  shape: Shape,
  dtype: TensorDType,
  { pool, pages, pageSize, length }: LatentCacheView,
  { scale, queryStart = 0, latentDim: latent }: LatentAttentionOptions,
): LatentPlan | null {
  if (shape.length !== 3 || pool.rank !== 2 || dtype !== 'f32' || (pool.dtype !== 'f32' && pool.dtype !== 'bf16')) {
    return null;
  }
  const [queries, heads, width] = shape as [number, number, number];
  const whole = isCount(length) && isCount(pageSize) && isCount(queryStart) && isCount(latent);
  const empty = queries * heads * width === 0 || latent === 0 || length === 0;
  if (!whole || empty || width !== pool.shape[1] || latent > width) return null;
  // The default body says that there are too few pages.
  if (length > pages.length * pageSize) return null;
  const used = pages.subarray(0, Math.ceil(length / pageSize));
  checkPages(used, length, pageSize, pool.shape[0]!);
  const rows = queries * heads;
  const split = latentAttentionShape(rows, length);
  const uniforms = {
    rows,
    heads,
    length,
    query_start: queryStart,
    page_size: pageSize,
    split: split.splitTokens,
    scale,
  };
  return { queries, heads, latent, rope: width - latent, split, used, uniforms };
}

function runSplits(
  device: KernelDevice & PageTables,
  { queries, heads, latent, rope, split, used, uniforms }: LatentPlan,
  query: GPUBuffer,
  { pool }: LatentCacheView,
): LatentParts {
  const rows = queries * heads;
  // Room for the most splits that these rows can have, so that buffers stay the same as a sequence grows.
  const most = Math.max(split.splits, latentAttentionShape(rows, LONG).splits);
  const partial = device.output([most, rows, latent], 'f32');
  const stats = device.output([most, rows, 2], 'f32');
  device.run(latentAttentionKernel({ latent, rope, partial: true }), {
    shape: split,
    buffers: {
      query,
      pool: device.buffer(pool),
      pages: device.pages(used),
      result: partial.buffer,
      stats: stats.buffer,
    },
    uniforms,
  });
  return { partial, stats, splits: split.splits, shape: [queries, heads, latent], rope };
}

function isCount(x: number): boolean {
  return Number.isInteger(x) && x >= 0;
}

/** @throws MarianaError `INVALID_ARGUMENT` if a token of the sequence lies beyond the pool. */
function checkPages(pages: Int32Array, length: number, pageSize: number, rows: number): void {
  for (const [i, page] of pages.entries()) {
    const end = page * pageSize + Math.min(pageSize, length - i * pageSize);
    if (page >= 0 && end <= rows) continue;
    throw new MarianaError('INVALID_ARGUMENT', `latentAttention: page ${page} is not among ${rows} rows of the pool`);
  }
}
