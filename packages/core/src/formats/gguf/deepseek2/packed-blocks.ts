/**
 * Q8_0 and Q4_0 blocks taken apart into the grouped integers that backends hold packed: codes in one matrix, float32
 * scales in another, group by group. Nothing is rounded: both formats are a scale and codes for 32 values.
 */

import { toF32 } from '../../../dtype/convert.ts';
import { type ByteSource, checkOpen, checkRange } from '../../source.ts';

/** The block formats that are grouped integers in another order of bytes. */
export type PackedFormat = 'q8_0' | 'q4_0';

/** Values that share a scale. */
export const PACKED_GROUP = 32;

/** How one part of each block becomes bytes of a matrix. */
interface BlockPart {
  readonly blockBytes: number;
  readonly outBytes: number;
  /**
   * Writes the part of each of `count` blocks to `out`, one after the other. `blocks` begins at the start of its buffer,
   * `out` at a multiple of four bytes.
   */
  readonly take: (blocks: Uint8Array<ArrayBuffer>, count: number, out: Uint8Array) => void;
}

/** 32 signed bytes behind two of scale, as they lie; copied in pairs, which is twice as fast. */
const Q8_CODES: BlockPart = {
  blockBytes: 34,
  outBytes: 32,
  take(blocks, count, out) {
    const pairs = new Uint16Array(blocks.buffer, 0, count * 17);
    const outPairs = new Uint16Array(out.buffer, out.byteOffset, count * 16);
    for (let block = 0; block < count; block++) {
      const from = block * 17 + 1;
      const to = block * 16;
      for (let j = 0; j < 16; j++) outPairs[to + j] = pairs[from + j]!;
    }
  },
};

/** Values j and j + 16 share a byte in the file; here values 2j and 2j + 1 do. */
const Q4_CODES: BlockPart = {
  blockBytes: 18,
  outBytes: 16,
  take(blocks, count, out) {
    for (let block = 0; block < count; block++) {
      const from = block * 18 + 2;
      const to = block * 16;
      for (let j = 0; j < 8; j++) {
        const even = blocks[from + 2 * j]!;
        const odd = blocks[from + 2 * j + 1]!;
        out[to + j] = (even & 15) | ((odd & 15) << 4);
        out[to + 8 + j] = (even >> 4) | (odd & 0xf0);
      }
    }
  },
};

/** The F16 that each block begins with. */
function scales(blockBytes: number): BlockPart {
  return {
    blockBytes,
    outBytes: 4,
    take(blocks, count, out) {
      const halves = new Uint16Array(blocks.buffer, 0, (count * blockBytes) / 2);
      const codes = new Uint16Array(count);
      for (let block = 0; block < count; block++) codes[block] = halves[(block * blockBytes) / 2]!;
      toF32('f16', codes, new Float32Array(out.buffer, out.byteOffset, count));
    },
  };
}

const PARTS = {
  q8_0: { codes: Q8_CODES, scales: scales(34) },
  q4_0: { codes: Q4_CODES, scales: scales(18) },
} as const satisfies Record<PackedFormat, Record<string, BlockPart>>;

/** How much of the file is in memory at once. */
const PIECE_BYTES = 2 ** 20;

/** The codes of blocks: I8 [rows, columns] for `q8_0`, two values a byte for `q4_0`. */
export function packedCodes(format: PackedFormat, blocks: ByteSource, name: string): ByteSource {
  return new PartSource(PARTS[format].codes, blocks, name);
}

/** The scales of blocks: F32 [rows, columns / 32]. */
export function packedScales(format: PackedFormat, blocks: ByteSource, name: string): ByteSource {
  return new PartSource(PARTS[format].scales, blocks, name);
}

class PartSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #part: BlockPart;
  readonly #blocks: ByteSource;
  #closed = false;

  constructor(part: BlockPart, blocks: ByteSource, name: string) {
    this.name = name;
    this.#part = part;
    this.#blocks = blocks;
    this.byteLength = (blocks.byteLength / part.blockBytes) * part.outBytes;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    const { blockBytes, outBytes, take } = this.#part;
    const end = offset + target.byteLength;
    const step = Math.min(Math.floor(PIECE_BYTES / blockBytes), Math.ceil(target.byteLength / outBytes) + 1);
    // One array for all pieces: gigabytes of short-lived ones keep the garbage collector busier than the work itself.
    const piece = new Uint8Array(step * blockBytes);
    for (let at = offset; at < end; ) {
      const first = Math.floor(at / outBytes);
      const count = Math.min(step, Math.ceil(end / outBytes) - first);
      await this.#blocks.read(first * blockBytes, piece.subarray(0, count * blockBytes));
      const stop = Math.min(end, (first + count) * outBytes);
      const room = target.subarray(at - offset, stop - offset);
      if (room.byteLength === count * outBytes && room.byteOffset % 4 === 0) take(piece, count, room);
      else {
        const out = new Uint8Array(count * outBytes);
        take(piece, count, out);
        room.set(out.subarray(at - first * outBytes, stop - first * outBytes));
      }
      at = stop;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
