/**
 * A named set of tensors that are read when asked for: what a checkpoint is to everyone who loads weights, whatever
 * the files behind it look like.
 */

import { bytesToF32, viewAsBytes } from '../dtype/convert.ts';
import { bytesPerElement, type DType } from '../dtype/dtype.ts';
import { MarianaError } from '../errors.ts';
import { quote } from './quote.ts';
import { type ByteSource, readBytes } from './source.ts';

/** What is known of a stored tensor without reading it. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** Sizes of the dimensions, outermost first; empty for a single number. */
  readonly shape: readonly number[];
  /** Bytes of the values: the product of `shape` times the size of an element. */
  readonly byteLength: number;
  /** The file that holds it, as messages name it. */
  readonly file: string;
}

/** How many bytes are held beside the result while a tensor is decoded; a multiple of every element size. */
const PIECE_BYTES = 4 * 2 ** 20;

/** Tensors by name. Opening a store reads names and shapes; values are read one tensor, or a part of one, at a time. */
export abstract class TensorStore {
  /** What to call it in messages. */
  abstract readonly name: string;

  /** The names of all tensors, in the order of the files. */
  abstract names(): readonly string[];

  /** Whether there is a tensor of that name. */
  abstract has(name: string): boolean;

  /** Dtype, shape and place of a tensor. @throws MarianaError `TENSOR_MISSING` */
  abstract info(name: string): TensorInfo;

  /**
   * The bytes of a tensor, row-major and little-endian, to be read in whatever parts are wanted (one expert of many,
   * say). It needs no closing, and can be read until the store is closed.
   *
   * @throws MarianaError `TENSOR_MISSING`
   */
  abstract source(name: string): ByteSource;

  /** Frees the files. Sources taken from the store cannot be read afterwards. */
  abstract close(): Promise<void>;

  /**
   * All bytes of a tensor as they are stored, in memory of their own. `viewAsTensorData(info.dtype, bytes)` makes a
   * typed array of them.
   *
   * @throws MarianaError `TENSOR_MISSING`; `FILE_UNREADABLE`, `FETCH_FAILED` or `SOURCE_TRUNCATED` where reading fails.
   */
  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return readBytes(this.source(name));
  }

  /**
   * The values of a tensor converted to float32 (`bytesToF32`). Scaled formats are not scaled: E4M3 codes become the
   * values of the codes.
   *
   * @throws MarianaError as `read` does.
   */
  async readF32(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { dtype, byteLength } = this.info(name);
    const source = this.source(name);
    const size = bytesPerElement(dtype);
    const values = new Float32Array(byteLength / size);
    if (dtype === 'f32') {
      await source.read(0, viewAsBytes(values));
      return values;
    }
    const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength));
    for (let offset = 0; offset < byteLength; offset += PIECE_BYTES) {
      const bytes = piece.subarray(0, Math.min(PIECE_BYTES, byteLength - offset));
      await source.read(offset, bytes);
      bytesToF32(dtype, bytes, values.subarray(offset / size, (offset + bytes.byteLength) / size));
    }
    return values;
  }
}

/** The error for a tensor that `store` has not. */
export function tensorMissing(store: TensorStore, tensor: string): MarianaError {
  return new MarianaError(
    'TENSOR_MISSING',
    `${store.name}: there is no tensor ${quote(tensor)} among its ${store.names().length}; ` +
      'the checkpoint is incomplete or of another model',
    { details: { store: store.name, tensor } },
  );
}
