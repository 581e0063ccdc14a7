/** Bytes that are in memory already: tests, downloads, checkpoints made on the spot. */

import { type ByteSource, checkOpen, checkRange } from '../source.ts';

/** A `ByteSource` over `bytes`, which are not copied and must not change while it is open. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #bytes: Uint8Array;
  #closed = false;

  constructor(bytes: Uint8Array, name = 'memory') {
    this.#bytes = bytes;
    this.name = name;
    this.byteLength = bytes.byteLength;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    target.set(this.#bytes.subarray(offset, offset + target.byteLength));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
