/**
 * Q8_0 and Q4_0 blocks taken apart into the grouped integers that backends hold packed: codes in one matrix, float32
 * scales in another, group by group. Nothing is rounded: both formats are a scale and codes for 32 values.
 */

import { decodeF16 } from '../../../dtype/float16.ts';
import { type ByteSource, checkOpen, checkRange } from '../../source.ts';

/** The block formats that are grouped integers in another order of bytes. */
export type PackedFormat = 'q8_0' | 'q4_0';

/** Values that share a scale. */
export const PACKED_GROUP = 32;

/** How one part of each block becomes bytes of a matrix. */
interface BlockPart {
  readonly blockBytes: number;
  readonly outBytes: number;
  /** Takes the block at `from` of `blocks` apart and writes its part at `to` of `out`. */
  copy(blocks: Uint8Array, from: number, out: Uint8Array, to: number): void;
}

/** 32 signed bytes, as they lie. */
const Q8_CODES: BlockPart = {
  blockBytes: 34,
  outBytes: 32,
  copy(blocks, from, out, to) {
    for (let j = 0; j < 32; j++) out[to + j] = blocks[from + 2 + j]!;
  },
};

/** Values j and j + 16 share a byte in the file; here values 2j and 2j + 1 do. */
const Q4_CODES: BlockPart = {
  blockBytes: 18,
  outBytes: 16,
  copy(blocks, from, out, to) {
    for (let j = 0; j < 8; j++) {
      const even = blocks[from + 2 + 2 * j]!;
      const odd = blocks[from + 3 + 2 * j]!;
      out[to + j] = (even & 15) | ((odd & 15) << 4);
      out[to + 8 + j] = (even >> 4) | (odd & 0xf0);
    }
  },
};

function scales(blockBytes: number): BlockPart {
  const word = new DataView(new ArrayBuffer(4));
  return {
    blockBytes,
    outBytes: 4,
    copy(blocks, from, out, to) {
      word.setFloat32(0, decodeF16(blocks[from]! | (blocks[from + 1]! << 8)), true);
      for (let j = 0; j < 4; j++) out[to + j] = word.getUint8(j);
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
    const { blockBytes, outBytes } = this.#part;
    const end = offset + target.byteLength;
    const step = Math.floor(PIECE_BYTES / blockBytes);
    for (let at = offset; at < end; ) {
      const first = Math.floor(at / outBytes);
      const count = Math.min(step, Math.ceil(end / outBytes) - first);
      const blocks = new Uint8Array(count * blockBytes);
      await this.#blocks.read(first * blockBytes, blocks);
      const out = new Uint8Array(count * outBytes);
      for (let i = 0; i < count; i++) this.#part.copy(blocks, i * blockBytes, out, i * outBytes);
      const stop = Math.min(end, (first + count) * outBytes);
      target.set(out.subarray(at - first * outBytes, stop - first * outBytes), at - offset);
      at = stop;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
