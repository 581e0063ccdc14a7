/**
 * Default bodies of attention, in both forms of MLA. Scores are materialised; a fused kernel need not.
 *
 * Source: DeepSeek-V3 report, section 2.1.1; `MLA.forward` in DeepSeek's inference/model.py.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { AttentionOptions, LatentAttentionOptions, LatentCacheView } from '../operations.ts';
import { scalar } from '../scalar.ts';
import type { Tensor } from '../tensor.ts';

/** F32 [queries, keys]: zero where query i may see key j (j <= queryStart + i), else minus infinity. */
function causalMask(backend: Backend, queries: number, keys: number, queryStart: number): Tensor {
  const mask = new Float32Array(queries * keys);
  for (let i = 0; i < queries; i++) {
    mask.fill(Number.NEGATIVE_INFINITY, Math.min(i * keys + queryStart + i + 1, (i + 1) * keys), (i + 1) * keys);
  }
  return backend.upload(mask, [queries, keys]);
}

/**
 * What each query takes of each key: softmax(scores * scale + causal mask). Fused kernels never hold it; it is for those
 * who want to see it.
 *
 * @param scores - F32 [..., queries, keys]: the products of queries and keys.
 * @returns F32 of the same shape; each row sums to one, and is zero where the query may not see the key.
 */
export function attentionWeights(
  backend: Backend,
  scores: Tensor,
  { scale, queryStart = 0 }: AttentionOptions,
): Tensor {
  const [queries, keys] = [scores.shape.at(-2)!, scores.shape.at(-1)!];
  const scaled = backend.binary('mul', scores, scalar(backend, scale));
  return backend.softmax(backend.binary('add', scaled, causalMask(backend, queries, keys, queryStart)));
}

export function attention(backend: Backend, q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  return backend.scope(() => {
    const headsFirst = (x: Tensor) => backend.transpose(x, [0, 2, 1, 3]);
    const scores = backend.matmul(headsFirst(q), headsFirst(k), { transposeB: true });
    return headsFirst(backend.matmul(attentionWeights(backend, scores, options), headsFirst(v)));
  });
}

export function latentAttention(
  backend: Backend,
  q: Tensor,
  cache: LatentCacheView,
  options: LatentAttentionOptions,
): Tensor {
  const [queries, heads, width] = q.shape;
  if (
    queries === undefined ||
    heads === undefined ||
    width === undefined ||
    q.rank !== 3 ||
    width !== cache.pool.shape[1]
  ) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `latentAttention: queries ${q} do not fit cache rows of a ${cache.pool}; pass [queries, heads, latent + rope]`,
    );
  }
  return backend.scope(() => {
    const rows = backend.upload(cacheRows(cache, 0, cache.length), [cache.length]);
    const cached = backend.cast(backend.gather(cache.pool, rows), 'f32');
    const latent = backend.slice(cached, 1, 0, options.latentDim);
    // All heads read the same rows, so [heads, queries, width] x [length, width]^T is one matrix product.
    const headsFirst = backend.transpose(q, [1, 0, 2]);
    const scores = backend.matmul(backend.reshape(headsFirst, [heads * queries, width]), cached, { transposeB: true });
    const weights = attentionWeights(backend, backend.reshape(scores, [heads, queries, cache.length]), options);
    const out = backend.matmul(backend.reshape(weights, [heads * queries, cache.length]), latent);
    return backend.transpose(backend.reshape(out, [heads, queries, options.latentDim]), [1, 0, 2]);
  });
}

/** Row numbers in the pool of the tokens `start` (included) to `end` (excluded) of a cached sequence. */
export function cacheRows(
  { pages, pageSize }: Pick<LatentCacheView, 'pages' | 'pageSize'>,
  start: number,
  end: number,
): Int32Array {
  if (end > pages.length * pageSize) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `a cache view of ${pages.length} pages of ${pageSize} tokens has no token ${end - 1}; append pages first`,
    );
  }
  return Int32Array.from({ length: end - start }, (_, i) => {
    const token = start + i;
    return pages[Math.floor(token / pageSize)]! * pageSize + (token % pageSize);
  });
}
