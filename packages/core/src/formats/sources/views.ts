/** Byte sources made of other byte sources: a part of one, or several in a row. */

import { type ByteSource, checkOpen, checkRange } from '../source.ts';

/**
 * `length` bytes of another source from `offset` on. Making one reads nothing. Closing it leaves the other open, which
 * must stay open while this is read.
 */
export class SliceSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #source: ByteSource;
  readonly #offset: number;
  #closed = false;

  /**
   * @param name by default that of `source`
   * @throws MarianaError `SOURCE_TRUNCATED` or `INVALID_ARGUMENT` if `source` has no such bytes.
   */
  constructor(source: ByteSource, offset: number, length: number, name: string = source.name) {
    checkRange(source, offset, length);
    this.#source = source;
    this.#offset = offset;
    this.name = name;
    this.byteLength = length;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    await this.#source.read(this.#offset + offset, target);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

/**
 * The bytes of `sources` one after another, as one source. A read that spans several is made of one read of each, all
 * at the same time. Closing it leaves the parts open.
 *
 * @param name by default `a + b + c`
 */
export function concatSources(
  sources: readonly ByteSource[],
  name: string = sources.map((source) => source.name).join(' + '),
): ByteSource {
  return new ConcatSource(sources, name);
}

class ConcatSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #parts: readonly { readonly source: ByteSource; readonly start: number }[];
  #closed = false;

  constructor(sources: readonly ByteSource[], name: string) {
    let start = 0;
    this.#parts = sources.map((source) => {
      const part = { source, start };
      start += source.byteLength;
      return part;
    });
    this.name = name;
    this.byteLength = start;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    const end = offset + target.byteLength;
    const reads: Promise<void>[] = [];
    for (const { source, start } of this.#parts) {
      const from = Math.max(offset, start);
      const to = Math.min(end, start + source.byteLength);
      if (from < to) reads.push(source.read(from - start, target.subarray(from - offset, to - offset)));
    }
    // All are awaited, so that none still writes into `target` after this has failed.
    for (const result of await Promise.allSettled(reads)) if (result.status === 'rejected') throw result.reason;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
