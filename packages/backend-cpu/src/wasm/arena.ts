/**
 * One WebAssembly memory (up to 4 GiB) with an allocator. Activations live in the first arena; weights go wherever
 * there is room, so that a model larger than 4 GiB is spread over several. Pointers are byte offsets. Freed blocks are
 * kept by size for the next allocation of that size, which is what a decode step asks for all the time, and are merged
 * with their neighbours when nothing fits. Growing never moves anything; typed views are renewed.
 */
import { MarianaError } from '@mariana/core';
import { createMemory, type KernelExports, type KernelModule } from './kernel-module.ts';

const PAGE = 65536;
const ALIGN = 64;
/** The last page stays unused, so that no pointer just past a block wraps around to 0. */
const MAXIMUM_PAGES = 65535;
/** The kernels keep their constants below this. */
const RESERVED = 4096;
/** Grown by at least this much at a time, since each growth interrupts every thread. Untouched pages cost nothing. */
const GROWTH = 16 * 1024 * 1024;

export class Arena {
  /** Its number among the arenas of an engine. */
  readonly index: number;
  readonly memory: WebAssembly.Memory;
  readonly exports: KernelExports;
  /** Whether kernels may count on 256-bit vectors. */
  readonly wide: boolean;
  /** Scratch memory of the thread that owns this arena. */
  readonly scratch: number;
  /** Views of the whole memory, renewed when it grows: do not keep them across an `alloc`. */
  u8!: Uint8Array<ArrayBufferLike>;
  i8!: Int8Array<ArrayBufferLike>;
  u16!: Uint16Array<ArrayBufferLike>;
  i32!: Int32Array<ArrayBufferLike>;
  u32!: Uint32Array<ArrayBufferLike>;
  f32!: Float32Array<ArrayBufferLike>;
  readonly #maximum: number;
  /** Everything at and above this was never handed out. */
  #top = RESERVED;
  /** Sizes of blocks by address, negative while one waits in `#bySize`: an entry that stays costs less than one that goes. */
  readonly #sizes = new Map<number, number>();
  /** Freed blocks by size, not yet merged. */
  readonly #bySize = new Map<number, number[]>();
  /** Merged free blocks, in order of address. */
  #free: { at: number; size: number }[] = [];
  #used = 0;

  /**
   * @param maximumBytes how far the memory may grow, at most 4 GiB - 64 KiB (the default); an engine short of address
   *   space may refuse a large one
   * @throws MarianaError OUT_OF_MEMORY if the engine cannot reserve that much
   */
  constructor(kernels: KernelModule, index = 0, maximumBytes = MAXIMUM_PAGES * PAGE) {
    this.index = index;
    this.#maximum = Math.min(MAXIMUM_PAGES, Math.floor(maximumBytes / PAGE)) * PAGE;
    try {
      this.memory = createMemory(kernels.shared, 16, this.#maximum / PAGE);
    } catch (cause) {
      throw new MarianaError(
        'OUT_OF_MEMORY',
        `The engine cannot reserve a memory of up to ${this.#maximum} bytes; give a smaller maximum.`,
        { cause },
      );
    }
    this.#renewViews();
    this.exports = kernels.instantiate(this.memory);
    this.wide = kernels.wide;
    this.scratch = this.alloc(kernels.scratchBytes);
  }

  /** The present size of the memory. */
  get byteLength(): number {
    return this.u8.byteLength;
  }

  /** Bytes handed out and not freed. */
  get usedBytes(): number {
    return this.#used;
  }

  /** Bytes that can still be handed out, in the best case. */
  get freeBytes(): number {
    return this.#maximum - this.#used - RESERVED;
  }

  /**
   * A block of at least `bytes`, aligned to 64, with whatever contents. A length of 0 gives a valid pointer too.
   *
   * @throws MarianaError OUT_OF_MEMORY if the arena is full, INVALID_ARGUMENT for a length that is none
   */
  alloc(bytes: number): number {
    const at = this.tryAlloc(bytes);
    if (at === undefined) {
      throw new MarianaError(
        'OUT_OF_MEMORY',
        `Arena ${this.index} has no room for ${bytes} bytes: ${this.#used} of ${this.#maximum} are in use.`,
        { details: { bytes, used: this.#used, maximum: this.#maximum } },
      );
    }
    return at;
  }

  /** As `alloc`, but undefined when the arena is full. */
  tryAlloc(bytes: number): number | undefined {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new MarianaError('INVALID_ARGUMENT', `Cannot allocate ${bytes} bytes: a whole number >= 0 is needed.`);
    }
    const size = Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
    const at = this.#bySize.get(size)?.pop() ?? this.#fromTop(size) ?? this.#fromMerged(size);
    if (at === undefined) return undefined;
    this.#sizes.set(at, size);
    this.#used += size;
    return at;
  }

  /**
   * Gives a block back.
   *
   * @throws MarianaError INVALID_ARGUMENT if `at` is not a block that is in use
   */
  free(at: number): void {
    const size = this.#sizes.get(at);
    if (size === undefined || size < 0) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `Nothing is allocated at ${at} of arena ${this.index} (freed twice?).`,
      );
    }
    this.#sizes.set(at, -size);
    this.#used -= size;
    const list = this.#bySize.get(size);
    if (list) list.push(at);
    else this.#bySize.set(size, [at]);
  }

  /** A view of `length` floats at `at`, good until the next `alloc`. */
  floats(at: number, length: number): Float32Array<ArrayBufferLike> {
    return this.f32.subarray(at / 4, at / 4 + length);
  }

  /** A view of `length` bytes at `at`, good until the next `alloc`. */
  bytes(at: number, length: number): Uint8Array<ArrayBufferLike> {
    return this.u8.subarray(at, at + length);
  }

  /** From what is merged already or was never handed out; the memory grows if it must. */
  #fromTop(size: number): number | undefined {
    const merged = this.#fit(size);
    if (merged !== undefined) return merged;
    if (this.#top + size > this.byteLength) {
      // Before the memory grows, what was freed has its chance.
      if (this.#bySize.size > 0) {
        const again = this.#fromMerged(size);
        if (again !== undefined) return again;
      }
      const end = this.#top + size;
      if (end > this.byteLength && !this.#grow(end)) return undefined;
    }
    const at = this.#top;
    this.#top += size;
    return at;
  }

  #fromMerged(size: number): number | undefined {
    this.#merge();
    return this.#fit(size);
  }

  /** The smallest merged block that is large enough. */
  #fit(size: number): number | undefined {
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const block = this.#free[i]!;
      if (block.size >= size && (best < 0 || block.size < this.#free[best]!.size)) best = i;
    }
    if (best < 0) return undefined;
    const block = this.#free[best]!;
    const at = block.at;
    if (block.size === size) {
      this.#free.splice(best, 1);
    } else {
      block.at += size;
      block.size -= size;
    }
    return at;
  }

  /** Joins all freed blocks that touch, and gives the last one back to the untouched end. */
  #merge(): void {
    const blocks = [...this.#free];
    for (const [size, list] of this.#bySize) {
      for (const at of list) {
        blocks.push({ at, size });
        this.#sizes.delete(at);
      }
    }
    this.#bySize.clear();
    blocks.sort((a, b) => a.at - b.at);
    const merged: { at: number; size: number }[] = [];
    for (const block of blocks) {
      const last = merged.at(-1);
      if (last && last.at + last.size === block.at) last.size += block.size;
      else merged.push({ ...block });
    }
    const last = merged.at(-1);
    if (last && last.at + last.size === this.#top) {
      this.#top = last.at;
      merged.pop();
    }
    this.#free = merged;
  }

  #grow(end: number): boolean {
    if (end > this.#maximum) return false;
    const wanted = Math.min(this.#maximum, Math.max(end, this.byteLength + GROWTH));
    for (const target of [wanted, end]) {
      const pages = Math.ceil((target - this.byteLength) / PAGE);
      try {
        this.memory.grow(pages);
        this.#renewViews();
        return true;
      } catch (error) {
        // RangeError: the system has no more; the caller hears of it as a full arena.
        if (!(error instanceof RangeError)) throw error;
      }
    }
    return false;
  }

  #renewViews(): void {
    const buffer = this.memory.buffer;
    this.u8 = new Uint8Array(buffer);
    this.i8 = new Int8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f32 = new Float32Array(buffer);
  }
}
