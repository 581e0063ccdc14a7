/** Puts numbers and strings one after another into an array that grows: the header of a GGUF file before it is written. */

import type { GgufScalar, GgufScalarType } from './value.ts';

type NumberType = Exclude<GgufScalarType, 'string'>;

/** Bytes of each type, and how they are set, little-endian. */
const NUMBERS: {
  readonly [T in NumberType]: readonly [number, (view: DataView, at: number, value: GgufScalar<T>) => void];
} = {
  u8: [1, (view, at, value) => view.setUint8(at, value)],
  i8: [1, (view, at, value) => view.setInt8(at, value)],
  u16: [2, (view, at, value) => view.setUint16(at, value, true)],
  i16: [2, (view, at, value) => view.setInt16(at, value, true)],
  u32: [4, (view, at, value) => view.setUint32(at, value, true)],
  i32: [4, (view, at, value) => view.setInt32(at, value, true)],
  f32: [4, (view, at, value) => view.setFloat32(at, value, true)],
  f64: [8, (view, at, value) => view.setFloat64(at, value, true)],
  u64: [8, (view, at, value) => view.setBigUint64(at, value, true)],
  i64: [8, (view, at, value) => view.setBigInt64(at, value, true)],
  bool: [1, (view, at, value) => view.setUint8(at, value ? 1 : 0)],
};

export class ByteBuilder {
  #bytes = new Uint8Array(2 ** 12);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #utf8 = new TextEncoder();

  /** Appends a scalar; a string with its length before it. */
  scalar<T extends GgufScalarType>(type: T, value: GgufScalar<T>): void {
    if (type === 'string') {
      const text = this.#utf8.encode(value as string);
      const at = this.#grow(8 + text.length);
      this.#view.setUint32(at, text.length, true); // no text has 2^32 bytes
      this.#bytes.set(text, at + 8);
    } else {
      const [bytes, set] = NUMBERS[type as NumberType] as (typeof NUMBERS)['u8'];
      const at = this.#grow(bytes);
      set(this.#view, at, value as number);
    }
  }

  /** Appends zeros up to a multiple of `alignment`. */
  pad(alignment: number): void {
    this.#grow((alignment - (this.#length % alignment)) % alignment);
  }

  /** What has been put in, sharing memory with the builder. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room for `count` bytes and gives where they begin. */
  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length));
      longer.set(this.#bytes);
      this.#bytes = longer;
      this.#view = new DataView(longer.buffer);
    }
    return at;
  }
}
