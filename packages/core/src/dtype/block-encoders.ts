/**
 * Quantisers for two block formats, step by step in float32 as ggml's `quantize_row_q8_0_ref` and
 * `quantize_row_q4_0_ref` go (ggml/src/ggml-quants.c), so that a file written here has the bytes that llama.cpp's own
 * tool would have written.
 */

import { MarianaError } from '../errors.ts';
import { encodeF16 } from './float16.ts';

/** Encodes `blocks` blocks from the start of `values` to the start of `out`. */
type Encode = (values: Float32Array, out: Uint8Array, blocks: number) => void;

const F16_INFINITY = 0x7c00;

/** scale = amax / 127; code = value / scale, by way of the reciprocal, halves away from zero. */
const q8_0: Encode = (values, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    const scale = Math.fround(Math.abs(extreme(values, from)) / 127);
    const at = block * 34;
    writeScale(out, at, scale);
    const inverse = reciprocal(scale);
    for (let j = 0; j < 32; j++) {
      const x = Math.fround(values[from + j]! * inverse);
      out[at + 2 + j] = x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5);
    }
  }
};

/** scale = extreme / -8, sign included; code = value / scale + 8.5, cut to a whole number, at most 15. */
const q4_0: Encode = (values, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    const scale = extreme(values, from) / -8;
    const at = block * 18;
    writeScale(out, at, scale);
    const inverse = reciprocal(scale);
    const code = (value: number) => Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5)));
    for (let j = 0; j < 16; j++) out[at + 2 + j] = code(values[from + j]!) | (code(values[from + j + 16]!) << 4);
  }
};

/** The encoder of each format that can be written. */
export const BLOCK_ENCODERS = { q8_0, q4_0 };

/** The first of the 32 values from `from` on that has the largest magnitude, with its sign. */
function extreme(values: Float32Array, from: number): number {
  let found = 0;
  for (let i = from; i < from + 32; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) {
      throw new MarianaError('TENSOR_INVALID', `element ${i} is ${value}; only finite weights can be quantised`, {
        details: { element: i, value },
      });
    }
    if (Math.abs(value) > Math.abs(found)) found = value;
  }
  return found;
}

/** 1 / scale in float32; 0 for a scale so small that there is none, whose F16 is zero anyway. */
function reciprocal(scale: number): number {
  const inverse = Math.fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

function writeScale(out: Uint8Array, at: number, scale: number): void {
  const code = encodeF16(scale);
  if ((code & F16_INFINITY) === F16_INFINITY) {
    throw new MarianaError(
      'TENSOR_INVALID',
      `weights need the scale ${scale}, beyond what F16 can hold; write the tensor in BF16 or F32`,
      { details: { scale } },
    );
  }
  out[at] = code & 0xff;
  out[at + 1] = code >> 8;
}
