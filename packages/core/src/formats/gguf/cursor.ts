/**
 * Reads numbers and strings off the beginning of a GGUF file. The header has no length of its own, so it is parsed from
 * what has been read so far; where that ends too early the cursor says how much more is needed, and parsing starts
 * again with more.
 */

import { MarianaError } from '../../errors.ts';
import type { GgufScalar, GgufScalarType } from './value.ts';

/** Thrown by a cursor whose bytes end before the file does. Never leaves the reader of the header. */
export class MoreNeeded extends Error {
  /** Bytes from the beginning of the file. */
  readonly bytes: number;

  constructor(bytes: number) {
    super(`more bytes are needed: ${bytes}`);
    this.bytes = bytes;
  }
}

/** A position in the first bytes of a file. */
export class Cursor {
  readonly #name: string;
  readonly #fileBytes: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #at = 0;

  /**
   * @param bytes the beginning of the file
   * @param fileBytes the length of the whole file
   * @param name what to call the file in messages
   */
  constructor(bytes: Uint8Array, fileBytes: number, name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = fileBytes;
    this.#name = name;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  /** Bytes of the file from here on. */
  get rest(): number {
    return this.#fileBytes - this.#at;
  }

  /** An error that says where in the file something is wrong. */
  corrupt(what: string): MarianaError {
    return new MarianaError(
      'CHECKPOINT_CORRUPT',
      `${this.#name}: ${what} (at byte ${this.#at}); the file is damaged or no GGUF file, fetch or convert it again`,
      { details: { file: this.#name, offset: this.#at } },
    );
  }

  /**
   * A scalar. `what` names it in messages.
   *
   * @throws MarianaError `SOURCE_TRUNCATED` where the file ends, `CHECKPOINT_CORRUPT` for what is no such value.
   */
  scalar<T extends GgufScalarType>(type: T, what: string): GgufScalar<T>;
  scalar(type: GgufScalarType, what: string): GgufScalar {
    switch (type) {
      case 'u8':
        return this.#view.getUint8(this.#take(1, what));
      case 'i8':
        return this.#view.getInt8(this.#take(1, what));
      case 'u16':
        return this.#view.getUint16(this.#take(2, what), true);
      case 'i16':
        return this.#view.getInt16(this.#take(2, what), true);
      case 'u32':
        return this.#view.getUint32(this.#take(4, what), true);
      case 'i32':
        return this.#view.getInt32(this.#take(4, what), true);
      case 'f32':
        return this.#view.getFloat32(this.#take(4, what), true);
      case 'f64':
        return this.#view.getFloat64(this.#take(8, what), true);
      case 'u64':
        return this.#view.getBigUint64(this.#take(8, what), true);
      case 'i64':
        return this.#view.getBigInt64(this.#take(8, what), true);
      case 'bool': {
        const byte = this.#view.getUint8(this.#take(1, what));
        if (byte > 1) throw this.corrupt(`${what} is the truth value ${byte}, which is neither 0 nor 1`);
        return byte === 1;
      }
      case 'string':
        return this.#string(what);
    }
  }

  /**
   * A count of things of which each takes at least `leastBytes`.
   *
   * @throws MarianaError `SOURCE_TRUNCATED` if the file cannot hold so many.
   */
  count(what: string, leastBytes: number): number {
    const count = this.scalar('u64', what);
    if (count * BigInt(leastBytes) > BigInt(this.rest)) throw this.truncated(`${what} is ${count}`);
    return Number(count);
  }

  /** There are hundreds of thousands of these in a file: no big integers, and no messages that are not needed. */
  #string(what: string): string {
    const lengthAt = this.#take(8, what);
    const length = this.#view.getUint32(lengthAt, true) + this.#view.getUint32(lengthAt + 4, true) * 2 ** 32;
    if (length > this.rest) throw this.truncated(`the length of ${what} is ${length}`);
    const at = this.#take(length, what);
    try {
      return this.#utf8.decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw this.corrupt(`${what} is not UTF-8 text`);
    }
  }

  /** Moves on by `length` bytes and gives where they begin. */
  #take(length: number, what: string): number {
    const at = this.#at;
    if (length > this.rest) throw this.truncated(what);
    if (at + length > this.#bytes.byteLength) throw new MoreNeeded(at + length);
    this.#at += length;
    return at;
  }

  /** An error that says that the file ends too early. */
  truncated(what: string): MarianaError {
    return new MarianaError(
      'SOURCE_TRUNCATED',
      `${this.#name}: ${what}, but only ${this.rest} bytes follow at byte ${this.#at}; ` +
        'the file is cut short or no GGUF file, fetch it again',
      { details: { file: this.#name, offset: this.#at, byteLength: this.#fileBytes } },
    );
  }
}
