/** Tensors on their way into a file, counted as they pass, and stopped when nobody wants them any more. */
import type { ByteSource, TensorContent } from '@mariana/core';

/** How far a conversion has come. */
export interface ConvertProgress {
  readonly writtenBytes: number;
  readonly totalBytes: number;
}

interface Writable {
  readonly data: TensorContent | (() => TensorContent | Promise<TensorContent>);
}

export interface CountOptions {
  readonly totalBytes: number;
  readonly onProgress?: ((progress: ConvertProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The same tensors; each piece of them that is read is reported, and none once the signal is aborted. */
export function counted<T extends Writable>(tensors: Iterable<T>, options: CountOptions): T[] {
  const { totalBytes, onProgress, signal } = options;
  let writtenBytes = 0;
  const pass = (bytes: number) => {
    signal?.throwIfAborted();
    writtenBytes += bytes;
    onProgress?.({ writtenBytes, totalBytes });
  };
  return Array.from(tensors, (tensor) => ({
    ...tensor,
    async data() {
      pass(0);
      const content = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
      if (!ArrayBuffer.isView(content)) return countedSource(content, pass);
      pass(content.byteLength);
      return content;
    },
  }));
}

function countedSource(source: ByteSource, pass: (bytes: number) => void): ByteSource {
  return {
    name: source.name,
    byteLength: source.byteLength,
    async read(offset, target) {
      await source.read(offset, target);
      pass(target.byteLength);
    },
    close: () => source.close(),
  };
}
