/**
 * The block formats in which GGUF files hold quantised weights (ggml's Q8_0, Q4_K and their like): consecutive values of
 * a row share a scale that lies beside their codes. Here are their names and sizes, and the one way in and the one way
 * out; how each lays out its bits is in block-decoders.ts and block-encoders.ts.
 */

import { MarianaError } from '../errors.ts';
import { BLOCK_DECODERS } from './block-decoders.ts';
import { BLOCK_ENCODERS } from './block-encoders.ts';

/**
 * A block format, by ggml's name in lower case.
 *
 * - `q8_0`, `q4_0`, `q5_0`: 32 signed codes and an F16 scale; value = code * scale.
 * - `q4_1`, `q5_1`: 32 codes, an F16 scale and an F16 minimum; value = code * scale + minimum.
 * - `q4_k`, `q5_k`: 256 codes in eight sub-blocks, each with a 6-bit scale and a 6-bit minimum of its own, those in
 *   units of two F16 numbers.
 * - `q6_k`: 256 codes in sixteen sub-blocks, each with an 8-bit scale in units of one F16 number.
 */
export type BlockFormat = 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q8_0' | 'q4_k' | 'q5_k' | 'q6_k';

/** The block formats that can also be written. */
export type WritableBlockFormat = keyof typeof BLOCK_ENCODERS;

/** How much a block holds and takes. */
export interface BlockLayout {
  /** Values in a block; a row is a whole number of blocks. */
  readonly values: number;
  /** Bytes that they take, scales included. */
  readonly bytes: number;
}

/** The size of a block of each format. */
export const BLOCK_LAYOUTS: Readonly<Record<BlockFormat, BlockLayout>> = Object.freeze({
  q4_0: { values: 32, bytes: 18 },
  q4_1: { values: 32, bytes: 20 },
  q5_0: { values: 32, bytes: 22 },
  q5_1: { values: 32, bytes: 24 },
  q8_0: { values: 32, bytes: 34 },
  q4_k: { values: 256, bytes: 144 },
  q5_k: { values: 256, bytes: 176 },
  q6_k: { values: 256, bytes: 210 },
});

/** Whether `value` names a `BlockFormat`. */
export function isBlockFormat(value: unknown): value is BlockFormat {
  return typeof value === 'string' && Object.hasOwn(BLOCK_LAYOUTS, value);
}

/** Whether `format` is one that `encodeBlocks` writes. */
export function isWritableBlockFormat(format: unknown): format is WritableBlockFormat {
  return typeof format === 'string' && Object.hasOwn(BLOCK_ENCODERS, format);
}

/**
 * The float32 values of whole blocks, to the bit what ggml's `dequantize_row_*` give.
 *
 * @param out where to write them; a new array by default
 * @throws MarianaError `SHAPE_MISMATCH` if `bytes` is not a whole number of blocks, or not as many as `out` has room for.
 */
export function decodeBlocks(format: BlockFormat, bytes: Uint8Array, out?: Float32Array): Float32Array {
  const layout = BLOCK_LAYOUTS[format];
  const blocks = wholeBlocks(format, bytes.length, layout.bytes, 'bytes');
  const values = out ?? new Float32Array(blocks * layout.values);
  checkRoom(format, values.length, blocks * layout.values);
  BLOCK_DECODERS[format](bytes, values, blocks);
  return values;
}

/**
 * `values` as whole blocks, to the bit what ggml's quantisers give without an importance matrix.
 *
 * - `q8_0`: scale = amax / 127, codes rounded to nearest, halves away from zero. The error is at most half a scale and
 *   the rounding of the scale to F16 (2^-11 of the value).
 * - `q4_0`: the value of largest magnitude becomes code -8. The error is at most one scale.
 *
 * @param out where to write the bytes; a new array by default
 * @throws MarianaError `SHAPE_MISMATCH` if `values` is not a whole number of blocks, or not as many as `out` has room
 *   for; `TENSOR_INVALID` for a NaN, an infinity, or magnitudes whose scale no F16 can hold.
 */
export function encodeBlocks(format: WritableBlockFormat, values: Float32Array, out?: Uint8Array): Uint8Array {
  const layout = BLOCK_LAYOUTS[format];
  const blocks = wholeBlocks(format, values.length, layout.values, 'values');
  const bytes = out ?? new Uint8Array(blocks * layout.bytes);
  checkRoom(format, bytes.length, blocks * layout.bytes);
  BLOCK_ENCODERS[format](values, bytes, blocks);
  return bytes;
}

function wholeBlocks(format: BlockFormat, length: number, size: number, unit: string): number {
  const blocks = length / size;
  if (Number.isInteger(blocks)) return blocks;
  throw new MarianaError('SHAPE_MISMATCH', `${length} ${unit} are not a whole number of ${format} blocks of ${size}`);
}

function checkRoom(format: BlockFormat, room: number, needed: number): void {
  if (room === needed) return;
  throw new MarianaError('SHAPE_MISMATCH', `${format}: the output array has ${room} elements, ${needed} are needed`);
}
