/**
 * Where bytes come from. A checkpoint may lie on a disk, behind a web server, in a `File` that a visitor dropped on a
 * page, or in memory; the readers of this folder see all of them as a `ByteSource`: a length, and reads at any offset.
 * Nothing is read before it is asked for, so a 689 GB checkpoint can be opened and one expert taken out of it.
 */

import { MarianaError } from '../errors.ts';

/**
 * Random access to a fixed sequence of bytes. Reads may overlap in time and need no order. The length is known when
 * the source is made, and the bytes are assumed not to change while it is open.
 */
export interface ByteSource {
  /** What to call it in messages: a path, a URL, or a name that the maker chose. */
  readonly name: string;
  /** Total length in bytes. */
  readonly byteLength: number;
  /**
   * Fills the whole of `target` with the bytes from `offset` on. `target` may be a view of a `SharedArrayBuffer`, or
   * of WASM memory that does not grow meanwhile; an empty `target` reads nothing.
   *
   * @throws MarianaError `SOURCE_TRUNCATED` where fewer bytes are left than `target` takes, `INVALID_ARGUMENT` for an
   *   offset that is not a whole number from zero up, `FILE_UNREADABLE` or `FETCH_FAILED` where the medium fails.
   *   `target` may then hold part of the bytes.
   */
  read(offset: number, target: Uint8Array): Promise<void>;
  /** Frees what the source holds (a file handle, say). Closing twice does nothing; reading afterwards fails. */
  close(): Promise<void>;
}

/**
 * Checks that `length` bytes can be read at `offset` of `source`: every `ByteSource` calls it first, so that all of
 * them refuse the same reads in the same words.
 *
 * @throws MarianaError `INVALID_ARGUMENT` or `SOURCE_TRUNCATED`.
 */
export function checkRange(source: Pick<ByteSource, 'name' | 'byteLength'>, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `${source.name}: cannot read ${length} bytes at offset ${offset}; both must be whole numbers from zero up`,
      { details: { source: source.name, offset, length } },
    );
  }
  if (length > source.byteLength - offset) {
    throw new MarianaError(
      'SOURCE_TRUNCATED',
      `${source.name}: ${length} bytes wanted at offset ${offset}, but it has only ${source.byteLength} bytes; ` +
        'the file is cut short or is not what it should be, fetch it again',
      { details: { source: source.name, offset, length, byteLength: source.byteLength } },
    );
  }
}

/**
 * `length` bytes of `source` from `offset` on (default: all from there), in an array of their own. The range is
 * checked before memory is taken, so a length read from a damaged file cannot exhaust it.
 *
 * @throws MarianaError as `ByteSource.read` does.
 */
export async function readBytes(
  source: ByteSource,
  offset = 0,
  length = source.byteLength - offset,
): Promise<Uint8Array<ArrayBuffer>> {
  checkRange(source, offset, length);
  const bytes = new Uint8Array(length);
  await source.read(offset, bytes);
  return bytes;
}

/**
 * Refuses to go on with a source that was closed.
 *
 * @throws MarianaError `FILE_UNREADABLE`.
 */
export function checkOpen(name: string, closed: boolean): void {
  if (closed) {
    throw new MarianaError('FILE_UNREADABLE', `${name}: it was closed before this read; close it when all is read`, {
      details: { source: name },
    });
  }
}
