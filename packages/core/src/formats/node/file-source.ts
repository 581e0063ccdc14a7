/** Files on disk, for Node. */

import { type FileHandle, open, stat } from 'node:fs/promises';
import { MarianaError } from '../../errors.ts';
import { type ByteSource, checkOpen, checkRange } from '../source.ts';
import { readError } from './file-errors.ts';

/** The largest read that one system call is asked for; some systems take no more than 2^31 - 1 bytes. */
const PIECE_BYTES = 2 ** 30;

/** A `ByteSource` over a file, which stays open (one file descriptor) until `close`. Made by `FileSource.open`. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #handle: FileHandle;
  #closed = false;

  private constructor(path: string, byteLength: number, handle: FileHandle) {
    this.name = path;
    this.byteLength = byteLength;
    this.#handle = handle;
  }

  /**
   * @throws MarianaError `FILE_NOT_FOUND`, or `FILE_UNREADABLE` for a folder, a device or pipe, or a file without
   *   permission.
   */
  static async open(path: string): Promise<FileSource> {
    let handle: FileHandle | undefined;
    try {
      // Asked before opening: to open a pipe would wait for a writer, perhaps for ever.
      const kind = await stat(path);
      if (!kind.isFile()) {
        const what = kind.isDirectory() ? 'a folder' : 'a device or pipe';
        throw new MarianaError('FILE_UNREADABLE', `${path}: this is ${what}, a file was expected`, {
          details: { path },
        });
      }
      handle = await open(path, 'r');
      return new FileSource(path, (await handle.stat()).size, handle);
    } catch (cause) {
      await handle?.close();
      throw cause instanceof MarianaError ? cause : readError(path, cause);
    }
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    let filled = 0;
    while (filled < target.byteLength) {
      const wanted = Math.min(target.byteLength - filled, PIECE_BYTES);
      let got: number;
      try {
        got = (await this.#handle.read(target, filled, wanted, offset + filled)).bytesRead;
      } catch (cause) {
        throw readError(this.name, cause);
      }
      if (got === 0) {
        throw new MarianaError(
          'SOURCE_TRUNCATED',
          `${this.name}: the file became shorter than ${this.byteLength} bytes while it was open; open it again`,
          { details: { source: this.name, offset: offset + filled } },
        );
      }
      filled += got;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}
