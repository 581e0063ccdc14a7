/** Room for a weight, and the bytes of a file read straight into it. */
import { type ByteSource, readBytes } from '@mariana/core';
import type { Arena, KernelEngine } from '../wasm/index.ts';

/** Blocks in one arena that belong together, freed together if loading fails. */
export class Placement {
  readonly arena: Arena;
  readonly blocks: number[] = [];
  /** Address of each part, in the order of the sizes. */
  readonly parts: readonly number[];
  readonly byteLength: number;
  readonly #shared: boolean;

  /** Takes one block for each size, all in the same arena. @throws MarianaError `OUT_OF_MEMORY` */
  constructor(engine: KernelEngine, sizes: readonly number[]) {
    this.#shared = engine.kernels.shared;
    this.byteLength = sizes.reduce((sum, size) => sum + size, 0);
    // One block for all: parts of a weight must not end up in two arenas.
    const starts: number[] = [];
    let total = 0;
    for (const size of sizes) {
      starts.push(total);
      total += Math.ceil(size / 64) * 64;
    }
    const block = engine.allocWeights(total);
    this.arena = block.arena;
    this.blocks.push(block.at);
    this.parts = starts.map((start) => block.at + start);
  }

  /** Reads `length` bytes of a source to an address of the arena. */
  async read(source: ByteSource, offset: number, length: number, at: number): Promise<void> {
    if (this.#shared) return source.read(offset, this.arena.bytes(at, length));
    // A memory that is not shared moves when it grows, which may happen while the file is read.
    this.arena.bytes(at, length).set(await readBytes(source, offset, length));
  }

  free(): void {
    for (const block of this.blocks) this.arena.free(block);
  }
}
