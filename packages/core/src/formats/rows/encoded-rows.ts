/**
 * Rows as bytes of a number format, made while they are read: a `ByteSource` that a writer copies to a file or a backend
 * takes into place, of which only a piece is ever in memory.
 */

import { encodeBlocks, isWritableBlockFormat, type WritableBlockFormat } from '../../dtype/block-formats.ts';
import { fromF32, viewAsBytes } from '../../dtype/convert.ts';
import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';
import { type ByteSource, checkOpen, checkRange } from '../source.ts';
import { type FloatRows, rowBytes } from './float-rows.ts';

/** The formats that rows can be written in. */
export type RowFormat = 'f32' | 'bf16' | 'f16' | WritableBlockFormat;

/** How many values are decoded and encoded at once. */
const PIECE_VALUES = 2 ** 20;

/**
 * The bytes of `rows` in `format`, row-major.
 *
 * @throws MarianaError `SHAPE_MISMATCH` if a row is no whole number of blocks. Reading throws what `rows` throws, and
 *   `TENSOR_INVALID` where a value has no place in the format.
 */
export function encodedRows(rows: FloatRows, format: RowFormat): ByteSource {
  return new EncodedRows(rows, format);
}

class EncodedRows implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #rows: FloatRows;
  readonly #format: RowFormat;
  readonly #rowBytes: number;
  #closed = false;

  constructor(rows: FloatRows, format: RowFormat) {
    this.name = rows.name;
    this.#rows = rows;
    this.#format = format;
    this.#rowBytes = rowBytes(format, rows.columns);
    this.byteLength = rows.rows * this.#rowBytes;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    const size = this.#rowBytes;
    const end = offset + target.byteLength;
    const step = Math.max(1, Math.floor(PIECE_VALUES / this.#rows.columns));
    for (let at = offset; at < end; ) {
      const first = Math.floor(at / size);
      const count = Math.min(step, Math.ceil(end / size) - first);
      const bytes = encode(await this.#rows.read(first, count), this.#format, this.name);
      const stop = Math.min(end, (first + count) * size);
      target.set(bytes.subarray(at - first * size, stop - first * size), at - offset);
      at = stop;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

function encode(values: Float32Array, format: RowFormat, name: string): Uint8Array {
  try {
    if (isWritableBlockFormat(format)) return encodeBlocks(format, values);
    const data = fromF32(format, values);
    if (format === 'f16') refuseOverflow(values, data as Uint16Array);
    return viewAsBytes(data);
  } catch (cause) {
    if (!(cause instanceof MarianaError) || cause.code !== 'TENSOR_INVALID') throw cause;
    throw new MarianaError('TENSOR_INVALID', `${quote(name)}: ${cause.message}`, { cause, details: cause.details });
  }
}

/** F16 ends at 65504; a weight that silently became infinite would make every output NaN. */
function refuseOverflow(values: Float32Array, codes: Uint16Array): void {
  const at = codes.findIndex((code, i) => (code & 0x7fff) === 0x7c00 && Number.isFinite(values[i]));
  if (at < 0) return;
  throw new MarianaError('TENSOR_INVALID', `${values[at]} is beyond what F16 can hold; write BF16 or F32`, {
    details: { value: values[at] },
  });
}
