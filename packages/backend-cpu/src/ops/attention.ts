/** Attention in both forms of MLA, streamed: no matrix of scores is ever held. */
import {
  type AttentionOptions,
  checkDtype,
  type LatentAttentionOptions,
  type LatentCacheView,
  MarianaError,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { causalAttention, latentAttention as latentKernel } from '../wasm/index.ts';
import { withScratch } from './in-arena.ts';

/** Null where the shapes do not fit the kernel: the default body computes, or says what is wrong. */
export function attention(
  backend: CpuBackend,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale, queryStart = 0 }: AttentionOptions,
): Tensor | null {
  if (q.rank !== 4 || k.rank !== 4 || v.rank !== 4) return null;
  const [batch, queries, heads, width] = q.shape as [number, number, number, number];
  const [, keys, , value] = v.shape as [number, number, number, number];
  const fits = same(k.shape, [batch, keys, heads, width]) && same(v.shape, [batch, keys, heads, value]);
  if (!fits || keys < queryStart + queries || batch * queries * heads * width * value === 0) return null;
  for (const x of [q, k, v]) {
    checkDtype('attention', x, 'f32');
    backend.pointer(x);
  }
  const out = backend.output([batch, queries, heads, value]);
  const job = backend.engine.job();
  for (let sequence = 0; sequence < batch; sequence++) {
    causalAttention(job, {
      q: backend.pointer(q) + 4 * sequence * queries * heads * width,
      tokens: queries,
      heads,
      nope: width,
      rope: 0,
      kNope: backend.pointer(k) + 4 * sequence * keys * heads * width,
      kRope: 0,
      v: backend.pointer(v) + 4 * sequence * keys * heads * value,
      value,
      scale,
      start: queryStart,
      out: backend.pointer(out) + 4 * sequence * queries * heads * value,
    });
  }
  job.run();
  return out;
}

/** Null where the shapes do not fit the kernel. */
export function latentAttention(
  backend: CpuBackend,
  q: Tensor,
  cache: LatentCacheView,
  { scale, queryStart = 0, latentDim }: LatentAttentionOptions,
): Tensor | null {
  const [queries, heads, width] = q.shape;
  const { pool, pages, pageSize, length } = cache;
  if (queries === undefined || heads === undefined || width === undefined || q.rank !== 3) return null;
  const isPool = (pool.dtype === 'f32' || pool.dtype === 'bf16') && pool.rank === 2 && pool.shape[1] === width;
  if (!isPool || length < queryStart + queries || queries * heads * latentDim === 0 || latentDim >= width) return null;
  checkDtype('latentAttention', q, 'f32');
  backend.pointer(q);
  backend.pointer(pool);
  checkPages(cache);
  const out = backend.output([queries, heads, latentDim]);
  const { arena } = backend.engine;
  withScratch(arena, 4 * pages.length, (pageTable) => {
    arena.i32.set(pages, pageTable / 4);
    const at = backend.pointer(q);
    latentKernel(backend.engine.job(), {
      qLatent: at,
      qRope: at + 4 * latentDim,
      tokens: queries,
      heads,
      latent: latentDim,
      rope: width - latentDim,
      qLatentStride: heads * width,
      qLatentHead: width,
      qRopeStride: heads * width,
      qRopeHead: width,
      pages: backend.pointer(pool),
      pageTable,
      pageRows: pageSize,
      format: pool.dtype as 'f32' | 'bf16',
      scale,
      start: queryStart,
      out: backend.pointer(out),
    });
  });
  return out;
}

/** The kernel follows page numbers blindly, so they are looked at first. */
function checkPages({ pool, pages, pageSize, length }: LatentCacheView): void {
  const available = Math.floor(pool.shape[0]! / pageSize);
  const used = Math.ceil(length / pageSize);
  for (let i = 0; i < used; i++) {
    const page = pages[i];
    if (page !== undefined && page >= 0 && page < available) continue;
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `latentAttention: page ${i} of the sequence is ${page}; the pool has ${available} pages of ${pageSize} tokens`,
    );
  }
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
