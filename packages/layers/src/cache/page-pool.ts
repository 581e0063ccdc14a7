/**
 * Storage of latent caches: for each layer one tensor of rows, cut into pages of equal size. A page id means the same
 * rows in every layer, so that a sequence needs one page list. Pages are counted references: forks of a session share
 * them until one writes.
 */
import { type Backend, MarianaError, type Tensor } from '@mariana/core';

export interface PagePoolOptions {
  readonly backend: Backend;
  /** Number of layers that keep rows here. */
  readonly layers: number;
  /** Numbers in a row: `kv_lora_rank + qk_rope_head_dim`. */
  readonly width: number;
  /** Most tokens that may ever be held, over all sequences. */
  readonly maxTokens: number;
  /** Tokens in a page. Default 64. */
  readonly pageSize?: number;
  /** How numbers are kept. Default `f32`. */
  readonly dtype?: 'f32' | 'bf16';
  /** Tokens to make room for at once. Default: one page, doubled whenever it is full. */
  readonly initialTokens?: number;
}

export class PagePool implements Disposable {
  readonly backend: Backend;
  readonly layers: number;
  readonly width: number;
  readonly pageSize: number;
  readonly dtype: 'f32' | 'bf16';
  readonly maxPages: number;
  #pools: Tensor[] = [];
  /** Holders of each page; a page with none is free. */
  #holders: number[] = [];
  #free: number[] = [];

  constructor({ backend, layers, width, maxTokens, pageSize = 64, dtype = 'f32', initialTokens }: PagePoolOptions) {
    this.backend = backend;
    this.layers = layers;
    this.width = width;
    this.pageSize = pageSize;
    this.dtype = dtype;
    this.maxPages = Math.ceil(maxTokens / pageSize);
    this.#grow(Math.min(this.maxPages, Math.max(1, Math.ceil((initialTokens ?? 1) / pageSize))));
  }

  /** Pages that can be had now without growing. */
  get freePages(): number {
    return this.#free.length;
  }

  /** Bytes that the pages take on the backend, all layers together. */
  get byteLength(): number {
    return this.#pools.reduce((bytes, pool) => bytes + pool.storage.byteLength, 0);
  }

  /** The rows of one layer, [pages * pageSize, width]. Growing replaces it. */
  rows(layer: number): Tensor {
    return this.#pools[layer]!;
  }

  /**
   * Takes a page, with one holder.
   *
   * @throws MarianaError `CONTEXT_EXCEEDED` when `maxTokens` are in use.
   */
  take(): number {
    if (this.#free.length === 0) {
      const pages = this.#holders.length;
      if (pages >= this.maxPages) {
        throw new MarianaError(
          'CONTEXT_EXCEEDED',
          `the cache is full: ${pages} pages of ${this.pageSize} tokens; ask for more cache tokens or dispose sessions`,
        );
      }
      this.#grow(Math.min(this.maxPages, 2 * pages));
    }
    const page = this.#free.pop()!;
    this.#holders[page] = 1;
    return page;
  }

  /** Adds a holder to a page. */
  share(page: number): void {
    this.#holders[page]!++;
  }

  /** Whether more than one sequence holds the page. */
  isShared(page: number): boolean {
    return this.#holders[page]! > 1;
  }

  /** Takes a holder from a page, and frees it with the last. */
  release(page: number): void {
    if (--this.#holders[page]! === 0) this.#free.push(page);
  }

  /** Copies the first `tokens` rows of a page to another, in every layer. */
  copyPage(from: number, to: number, tokens: number): void {
    const { backend, pageSize } = this;
    for (const pool of this.#pools) {
      using rows = backend.slice(pool, 0, from * pageSize, from * pageSize + tokens);
      using values = backend.cast(rows, 'f32');
      backend.writeRows(pool, rowsFrom(to * pageSize, tokens), values);
    }
  }

  dispose(): void {
    for (const pool of this.#pools) pool.dispose();
    this.#pools = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #grow(pages: number): void {
    const { backend, width, pageSize, dtype } = this;
    const before = this.#holders.length;
    this.#pools = Array.from({ length: this.layers }, (_, layer) => {
      const added = emptyRows(backend, dtype, (pages - before) * pageSize, width);
      const old = this.#pools[layer];
      if (old === undefined) return backend.keep(added);
      const grown = backend.keep(backend.concat([old, added], 0));
      added.dispose();
      old.dispose();
      return grown;
    });
    for (let page = pages - 1; page >= before; page--) this.#free.push(page);
    this.#holders.push(...new Array<number>(pages - before).fill(0));
  }
}

function emptyRows(backend: Backend, dtype: 'f32' | 'bf16', rows: number, width: number): Tensor {
  const data = dtype === 'f32' ? new Float32Array(rows * width) : new Uint16Array(rows * width);
  return backend.upload(data, [rows, width], dtype);
}

function rowsFrom(start: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => start + i);
}
