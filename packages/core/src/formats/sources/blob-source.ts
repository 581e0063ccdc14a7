/** Files that a visitor chose or dropped on a page. The browser reads them piece by piece; nothing is uploaded. */

import { MarianaError } from '../../errors.ts';
import { type ByteSource, checkOpen, checkRange } from '../source.ts';

/** How much of the blob is in memory at once, beside the target. */
const PIECE_BYTES = 16 * 2 ** 20;

/** A `ByteSource` over a `Blob` or a `File`. A file that changes or vanishes later gives `FILE_UNREADABLE`. */
export class BlobSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #blob: Blob;
  #closed = false;

  /** @param name by default the file's own name, or `blob` */
  constructor(blob: Blob, name = 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob') {
    this.#blob = blob;
    this.name = name;
    this.byteLength = blob.size;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    for (let done = 0; done < target.byteLength; done += PIECE_BYTES) {
      const start = offset + done;
      const end = Math.min(start + PIECE_BYTES, offset + target.byteLength);
      let piece: ArrayBuffer;
      try {
        piece = await this.#blob.slice(start, end).arrayBuffer();
      } catch (cause) {
        throw new MarianaError(
          'FILE_UNREADABLE',
          `${this.name}: the browser could not read it (${String(cause)}); if the file was changed, choose it again`,
          { cause, details: { source: this.name, offset: start } },
        );
      }
      if (piece.byteLength !== end - start) {
        throw new MarianaError(
          'SOURCE_TRUNCATED',
          `${this.name}: the file is shorter than when it was chosen; choose it again`,
          { details: { source: this.name, offset: start } },
        );
      }
      target.set(new Uint8Array(piece), done);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
