/** Where bytes go: a file on disk, or memory (a checkpoint made in a page and offered for download). */

/** Where bytes go, one piece after another. */
export interface ByteSink {
  /**
   * Takes the next bytes. Once the promise resolves, `bytes` may be used again.
   *
   * @throws MarianaError `FILE_WRITE_FAILED`
   */
  write(bytes: Uint8Array): Promise<void>;
}

/** A `ByteSink` that keeps what it is given. */
export class MemorySink implements ByteSink {
  readonly #pieces: Uint8Array<ArrayBuffer>[] = [];

  async write(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(new Uint8Array(bytes));
  }

  /** All bytes so far, in one array. */
  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.byteLength;
    }
    return all;
  }

  /** All bytes so far as a `Blob`, without joining them. */
  blob(type = 'application/octet-stream'): Blob {
    return new Blob(this.#pieces, { type });
  }
}
