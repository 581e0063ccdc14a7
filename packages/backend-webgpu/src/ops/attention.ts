/** `attention` and `latentAttention` as fused kernels. */
import {
  type AttentionOptions,
  type LatentAttentionOptions,
  type LatentCacheView,
  MarianaError,
  type Tensor,
} from '@mariana/core';
import { attentionKernel } from '../kernels/attention.ts';
import { latentAttentionKernel, latentAttentionShape } from '../kernels/latent-attention.ts';
import { latentCombineKernel } from '../kernels/latent-attention-combine.ts';
import type { KernelDevice } from './device.ts';

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

/** Null where the default body must do it: operands that do not fit, or have no elements. */
export function latentAttention(
  device: KernelDevice & PageTables,
  q: Tensor,
  { pool, pages, pageSize, length }: LatentCacheView,
  { scale, queryStart = 0, latentDim: latent }: LatentAttentionOptions,
): Tensor | null {
  if (q.rank !== 3 || pool.rank !== 2 || q.dtype !== 'f32' || (pool.dtype !== 'f32' && pool.dtype !== 'bf16'))
    return null;
  const [queries, heads, width] = q.shape as [number, number, number];
  const whole = isCount(length) && isCount(pageSize) && isCount(queryStart) && isCount(latent);
  if (!whole || width !== pool.shape[1] || latent > width || q.size === 0 || latent === 0 || length === 0) return null;
  // The default body says that there are too few pages.
  if (length > pages.length * pageSize) return null;
  const used = pages.subarray(0, Math.ceil(length / pageSize));
  checkPages(used, length, pageSize, pool.shape[0]!);
  const rows = queries * heads;
  const shape = latentAttentionShape(rows, length);
  const partial = shape.splits > 1;
  const config = { latent, rope: width - latent };
  const result = device.output([queries, heads, latent], 'f32');
  // Room for the most splits that these rows can have, so that buffers stay the same as a sequence grows.
  const most = Math.max(shape.splits, latentAttentionShape(rows, LONG).splits);
  const parts = partial ? device.output([most, rows, latent], 'f32') : undefined;
  const stats = partial ? device.output([most, rows, 2], 'f32') : undefined;
  device.run(latentAttentionKernel({ ...config, partial }), {
    shape,
    buffers: {
      query: device.buffer(q),
      pool: device.buffer(pool),
      pages: device.pages(used),
      result: parts?.buffer ?? result.buffer,
      ...(stats === undefined ? {} : { stats: stats.buffer }),
    },
    uniforms: {
      rows,
      heads,
      length,
      query_start: queryStart,
      page_size: pageSize,
      split: shape.splitTokens,
      scale,
    },
  });
  if (parts !== undefined && stats !== undefined) {
    device.run(latentCombineKernel(config), {
      shape: { rows },
      buffers: { partial: parts.buffer, stats: stats.buffer, result: result.buffer },
      uniforms: { rows, splits: shape.splits },
    });
    parts.tensor.dispose();
    stats.tensor.dispose();
  }
  return result.tensor;
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
