/**
 * How each block format lays out its bits, as ggml's `block_*` structures and `dequantize_row_*` functions have them
 * (ggml/src/ggml-quants.c). All numbers are little-endian. Every product is exact in float32, and where two are added
 * the result is rounded once, when it is stored; so the values are the same to the bit whatever the order of a kernel.
 */

import type { BlockFormat } from './block-formats.ts';
import { decodeF16 } from './float16.ts';

/** Decodes `blocks` blocks from the start of `bytes` to the start of `out`. */
type Decode = (bytes: Uint8Array, out: Float32Array, blocks: number) => void;

function f16At(bytes: Uint8Array, at: number): number {
  return decodeF16(bytes[at]! | (bytes[at + 1]! << 8));
}

function i8(byte: number): number {
  return (byte << 24) >> 24;
}

/** Scale, 32 signed bytes. */
const q8_0: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 34;
    const scale = f16At(bytes, at);
    for (let j = 0; j < 32; j++) out[block * 32 + j] = i8(bytes[at + 2 + j]!) * scale;
  }
};

/** Scale, 16 bytes: value j in the low nibble of byte j, value j + 16 in the high one. */
const q4_0: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 18;
    const scale = f16At(bytes, at);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 2 + j]!;
      out[block * 32 + j] = ((pair & 15) - 8) * scale;
      out[block * 32 + j + 16] = ((pair >> 4) - 8) * scale;
    }
  }
};

/** Scale, minimum, 16 bytes of nibbles as in Q4_0. */
const q4_1: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 20;
    const scale = f16At(bytes, at);
    const minimum = f16At(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 4 + j]!;
      out[block * 32 + j] = (pair & 15) * scale + minimum;
      out[block * 32 + j + 16] = (pair >> 4) * scale + minimum;
    }
  }
};

/** Scale, 32 fifth bits (bit j belongs to value j), 16 bytes of nibbles as in Q4_0. */
const q5_0: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 22;
    const scale = f16At(bytes, at);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 6 + j]!;
      out[block * 32 + j] = ((pair & 15) + fifthBit(bytes, at + 2, j) - 16) * scale;
      out[block * 32 + j + 16] = ((pair >> 4) + fifthBit(bytes, at + 2, j + 16) - 16) * scale;
    }
  }
};

/** Scale, minimum, 32 fifth bits, 16 bytes of nibbles. */
const q5_1: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 24;
    const scale = f16At(bytes, at);
    const minimum = f16At(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 8 + j]!;
      out[block * 32 + j] = ((pair & 15) + fifthBit(bytes, at + 4, j)) * scale + minimum;
      out[block * 32 + j + 16] = ((pair >> 4) + fifthBit(bytes, at + 4, j + 16)) * scale + minimum;
    }
  }
};

/** 16 if bit `j` of the mask at `at` is set, else 0. */
function fifthBit(bytes: Uint8Array, at: number, j: number): number {
  return ((bytes[at + (j >> 3)]! >> (j & 7)) & 1) << 4;
}

/**
 * Unit of scales, unit of minima, 12 bytes of eight scales and eight minima, 128 bytes of codes: chunk c of 64 values
 * has its first half in the low nibbles of bytes 32c to 32c + 31, its second half in the high ones.
 */
const q4_k: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 144;
    for (let part = 0; part < 8; part++) {
      const { scale, minimum } = subBlock(bytes, at, part);
      const codes = at + 16 + (part >> 1) * 32;
      const shift = (part & 1) * 4;
      const to = block * 256 + part * 32;
      for (let j = 0; j < 32; j++) out[to + j] = scale * ((bytes[codes + j]! >> shift) & 15) - minimum;
    }
  }
};

/** As Q4_K, with 32 bytes of fifth bits before the codes: bit `part` of byte j belongs to value j of that sub-block. */
const q5_k: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 176;
    for (let part = 0; part < 8; part++) {
      const { scale, minimum } = subBlock(bytes, at, part);
      const codes = at + 48 + (part >> 1) * 32;
      const shift = (part & 1) * 4;
      const to = block * 256 + part * 32;
      for (let j = 0; j < 32; j++) {
        const high = ((bytes[at + 16 + j]! >> part) & 1) << 4;
        out[to + j] = scale * (((bytes[codes + j]! >> shift) & 15) + high) - minimum;
      }
    }
  }
};

/**
 * Scale and minimum of one of the eight sub-blocks of a Q4_K or Q5_K block. Of the twelve bytes the first four hold
 * scales 0 to 3 in six bits, the next four minima 0 to 3; scales and minima 4 to 7 have their low four bits in the last
 * four bytes and their upper two in the bits that the first eight leave free (ggml `get_scale_min_k4`).
 */
function subBlock(bytes: Uint8Array, at: number, part: number): { scale: number; minimum: number } {
  const packed = at + 4;
  let scale: number;
  let minimum: number;
  if (part < 4) {
    scale = bytes[packed + part]! & 63;
    minimum = bytes[packed + part + 4]! & 63;
  } else {
    const low = bytes[packed + part + 4]!;
    scale = (low & 15) | ((bytes[packed + part - 4]! >> 6) << 4);
    minimum = (low >> 4) | ((bytes[packed + part]! >> 6) << 4);
  }
  return { scale: f16At(bytes, at) * scale, minimum: f16At(bytes, at + 2) * minimum };
}

/**
 * 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, and last the unit of the scales. Each half of
 * 128 values has 64 bytes of nibbles and 32 of pairs: quarter q of the half takes its nibbles from bytes 0 to 31 (even
 * q) or 32 to 63 (odd q), low ones for q below 2, and its pairs from bits 2q and 2q + 1.
 */
const q6_k: Decode = (bytes, out, blocks) => {
  for (let block = 0; block < blocks; block++) {
    const at = block * 210;
    const unit = f16At(bytes, at + 208);
    for (let part = 0; part < 8; part++) {
      const half = part >> 2;
      const quarter = part & 3;
      const nibbles = at + half * 64 + (quarter & 1) * 32;
      const pairs = at + 128 + half * 32;
      const scales = at + 192 + half * 8 + quarter * 2;
      const shift = (quarter >> 1) * 4;
      const to = block * 256 + part * 32;
      for (let j = 0; j < 32; j++) {
        const low = (bytes[nibbles + j]! >> shift) & 15;
        const high = ((bytes[pairs + j]! >> (2 * quarter)) & 3) << 4;
        out[to + j] = unit * i8(bytes[scales + (j >> 4)]!) * ((low | high) - 32);
      }
    }
  }
};

/** The decoder of each format. */
export const BLOCK_DECODERS: Readonly<Record<BlockFormat, Decode>> = {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q4_k,
  q5_k,
  q6_k,
};
