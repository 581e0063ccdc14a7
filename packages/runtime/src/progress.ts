/** Counts the bytes that loading has read, and tells whoever asked. */
import type { ByteSource, DType, ExpectedTensor, TensorReader } from '@mariana/core';
import { createPauses } from './pauses.ts';

/** How far loading has come. */
export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

/** A checkpoint whose reads are counted. */
export class ProgressReader implements TensorReader {
  readonly #inner: TensorReader;
  readonly #totalBytes: number;
  readonly #onProgress: ((progress: LoadProgress) => void) | undefined;
  #loadedBytes = 0;
  readonly #pause = createPauses();

  /** @param tensors - What will be read: the total. */
  constructor(
    inner: TensorReader,
    tensors: Iterable<ExpectedTensor>,
    onProgress: ((progress: LoadProgress) => void) | undefined,
  ) {
    this.#inner = inner;
    this.#onProgress = onProgress;
    let total = 0;
    for (const { name, scale } of tensors) {
      if (inner.has(name)) total += inner.source(name).byteLength;
      if (scale !== null && inner.has(scale.name)) total += inner.source(scale.name).byteLength;
    }
    this.#totalBytes = total;
    this.#report();
  }

  has(name: string): boolean {
    return this.#inner.has(name);
  }

  info(name: string): { readonly dtype: DType; readonly shape: readonly number[] } {
    return this.#inner.info(name);
  }

  source(name: string): ByteSource {
    const source = this.#inner.source(name);
    return {
      name: source.name,
      byteLength: source.byteLength,
      read: async (offset, target) => {
        await source.read(offset, target);
        await this.#pause(); // random weights come from no file, so nothing else is waited for
        // Some matrices are read twice, in two layouts; the bar must not run over.
        this.#loadedBytes = Math.min(this.#totalBytes, this.#loadedBytes + target.byteLength);
        this.#report();
      },
      close: () => source.close(),
    };
  }

  /** Everything is loaded. */
  finish(): void {
    this.#loadedBytes = this.#totalBytes;
    this.#report();
  }

  #report(): void {
    this.#onProgress?.({ loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes });
  }
}
