/**
 * The KV timeline of one sequence in MLA form: a list of pages and a length. Rows hold the normed latent and the rotated
 * key of a token, and nothing else: 576 numbers a layer for DeepSeek-V3. A cache can be cut back, for a draft that was
 * refused, and forked, which copies no more than the last page.
 */
import { cacheRows, type LatentCacheView, MarianaError, type Tensor } from '@mariana/core';
import type { PagePool } from './page-pool.ts';

/** One layer's part of a cache, as attention uses it. */
export interface LayerCache {
  /** Tokens in the cache before this step: the position of the next one. */
  readonly length: number;
  /** Appends rows, F32 [T, width], after `length`, and returns the view of all rows with the new ones. */
  append(rows: Tensor): LatentCacheView;
}

export class LatentCache implements Disposable {
  readonly pool: PagePool;
  #pages: number[] = [];
  #length = 0;
  #disposed = false;

  constructor(pool: PagePool) {
    this.pool = pool;
  }

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  /**
   * The part of one layer. A step appends the same number of rows to every layer and then calls `advance`; a step that
   * fails half-way leaves the length as it was.
   *
   * @param layer - Index among the layers of the pool.
   * @param length - Rows that the layer holds, where it lags behind the sequence as a multi-token-prediction layer does.
   *   Default: all of the sequence.
   */
  layer(layer: number, length?: number): LayerCache {
    const cache = this;
    return {
      get length() {
        return length ?? cache.#length;
      },
      append: (rows) => cache.#append(layer, rows, length ?? cache.#length),
    };
  }

  /** Makes the rows appended last part of the sequence. */
  advance(tokens: number): void {
    this.reserve(tokens);
    this.#length += tokens;
  }

  /**
   * Makes sure that `tokens` more can be written: takes pages, and copies the last one if a fork shares it.
   *
   * @throws MarianaError `CONTEXT_EXCEEDED`; the cache is then as it was.
   */
  reserve(tokens: number): void {
    if (this.#disposed) throw new MarianaError('TENSOR_DISPOSED', 'this cache was disposed; make a new session');
    const { pool } = this;
    const partial = this.#length % pool.pageSize;
    const last = Math.floor(this.#length / pool.pageSize);
    if (tokens > 0 && partial > 0 && pool.isShared(this.#pages[last]!)) {
      const copy = pool.take();
      pool.copyPage(this.#pages[last]!, copy, partial);
      pool.release(this.#pages[last]!);
      this.#pages[last] = copy;
    }
    const before = this.#pages.length;
    const want = Math.ceil((this.#length + tokens) / pool.pageSize);
    try {
      while (this.#pages.length < want) this.#pages.push(pool.take());
    } catch (error) {
      for (const page of this.#pages.splice(before)) pool.release(page);
      throw error;
    }
  }

  /** Cuts the sequence back to its first `length` tokens. */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `cannot cut a cache of ${this.#length} tokens to ${length}; pass a whole number up to its length`,
      );
    }
    this.#length = length;
    const keep = Math.ceil(length / this.pool.pageSize);
    for (const page of this.#pages.splice(keep)) this.pool.release(page);
  }

  /** A second sequence with the same past. Pages are shared until either writes to one. */
  fork(): LatentCache {
    const copy = new LatentCache(this.pool);
    const used = Math.ceil(this.#length / this.pool.pageSize);
    copy.#pages = this.#pages.slice(0, used);
    copy.#length = this.#length;
    for (const page of copy.#pages) this.pool.share(page);
    return copy;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const page of this.#pages.splice(0)) this.pool.release(page);
    this.#length = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #append(layer: number, rows: Tensor, start: number): LatentCacheView {
    const tokens = rows.shape[0] ?? 0;
    const length = start + tokens;
    this.reserve(Math.max(0, length - this.#length));
    const { pool } = this;
    const pages = Int32Array.from(this.#pages);
    const places = cacheRows({ pages, pageSize: pool.pageSize }, start, length);
    pool.backend.writeRows(pool.rows(layer), places, rows);
    return { pool: pool.rows(layer), pageSize: pool.pageSize, pages, length };
  }
}

/** The cache of a layer that is used alone: what it appends is part of the sequence at once. */
export class SingleLayerCache implements LayerCache, Disposable {
  readonly cache: LatentCache;

  constructor(pool: PagePool) {
    this.cache = new LatentCache(pool);
  }

  get length(): number {
    return this.cache.length;
  }

  append(rows: Tensor): LatentCacheView {
    const view = this.cache.layer(0).append(rows);
    this.cache.advance(rows.shape[0] ?? 0);
    return view;
  }

  /** Cuts the sequence back to its first `length` tokens. */
  truncate(length: number): void {
    this.cache.truncate(length);
  }

  /** Frees the rows. */
  dispose(): void {
    this.cache.dispose();
    this.cache.pool.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
