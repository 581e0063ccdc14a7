/**
 * A job under construction: kernels with their arguments, written into the memory of one arena and then run together,
 * with one hand-over to the other threads however many kernels there are. The segments of a job may run in any order
 * and at the same time, so none may read what another writes.
 */
import { MarianaError } from '@mariana/core';
import type { Arena } from './arena.ts';
import type { ThreadPool } from './thread-pool.ts';

/** The numbers by which `assembly/index.ts` knows the kernels. */
export const KERNEL = {
  matvecF32: 0,
  matvecBf16: 1,
  matvecFp8: 2,
  matmulInt8: 3,
  matmulInt4: 4,
  quantizeActivations: 5,
  packInt8: 6,
  packInt8Rows: 7,
  packInt4: 8,
  packInt4Rows: 9,
  gemm: 10,
  rmsNorm: 11,
  rotary: 12,
  swiglu: 13,
  softmax: 14,
  topK: 15,
  route: 16,
  latentAttention: 17,
  combineAttention: 18,
  causalAttention: 19,
  gatherRows: 20,
  combineRows: 21,
  addRows: 22,
  vecmat: 23,
  readAll: 24,
  binary: 25,
  unary: 26,
  reduceRows: 27,
  reduceColumns: 28,
  convert: 29,
  quantizeTiles: 30,
  copyRows: 31,
  transpose: 32,
  scatterAdd: 33,
  choose: 34,
  adamw: 35,
  squaredNorm: 36,
  swigluGradients: 37,
  rmsNormGradients: 38,
  sumExponentials: 39,
  crossEntropyGradients: 40,
  attentionSlopes: 41,
} as const;

export type KernelId = (typeof KERNEL)[keyof typeof KERNEL];

const HEAD_WORDS = 32;
const SEGMENT_WORDS = 32;
const ARGUMENT_WORDS = 28;
/** A chunk is worth handing out if it takes about this long. */
const GRAIN_NS = 3_000;
/** Below this a job is done by the owner: the others would come too late. */
const ALONE_NS = 6_000;
/** Chunks a thread, so that the slowest one does not keep the others waiting for long. */
const CHUNKS_PER_THREAD = 6;

export class Job {
  readonly arena: Arena;
  readonly #pool: ThreadPool;
  #at: number;
  #capacity = 64;
  #segments = 0;
  #chunks = 0;
  #cost = 0;
  #key = 1;
  /** Where the next argument goes, and where the arguments of this segment end, in words. */
  #cursor = 0;
  #end = 0;

  constructor(arena: Arena, pool: ThreadPool) {
    this.arena = arena;
    this.#pool = pool;
    this.#at = arena.alloc(this.#bytes());
  }

  /** How many threads work on it, the owner's among them. */
  get threads(): number {
    return this.#pool.threads;
  }

  /**
   * Opens a segment; its arguments follow by `word` and `float`, in the order in which the kernel's source lists them.
   *
   * @param units rows, panels or tiles, as the kernel counts; 0 leaves the segment out
   * @param unitCost about how many nanoseconds one unit takes on one thread
   */
  segment(kernel: KernelId, units: number, unitCost: number): this {
    if (units <= 0) {
      // Arguments that follow are written over by the next segment.
      this.#place(this.#segments);
      return this;
    }
    this.#place(this.#segments++);
    const share = Math.ceil(units / (this.#pool.threads * CHUNKS_PER_THREAD));
    const size = Math.min(units, Math.max(share, Math.ceil(GRAIN_NS / Math.max(unitCost, 0.01))));
    const words = this.arena.i32;
    const head = this.#cursor - 4;
    words[head] = kernel;
    words[head + 1] = units;
    words[head + 2] = size;
    words[head + 3] = this.#chunks;
    this.#chunks += Math.ceil(units / size);
    this.#cost += units * unitCost;
    return this;
  }

  /** One integer or pointer argument. */
  word(value: number): this {
    if (this.#cursor >= this.#end) throw new MarianaError('INVALID_ARGUMENT', 'A kernel takes at most 28 arguments.');
    this.arena.i32[this.#cursor++] = value;
    return this;
  }

  /** One f32 argument. */
  float(value: number): this {
    if (this.#cursor >= this.#end) throw new MarianaError('INVALID_ARGUMENT', 'A kernel takes at most 28 arguments.');
    this.arena.f32[this.#cursor++] = value;
    return this;
  }

  /**
   * Runs the segments to their end and leaves the job empty.
   *
   * @throws MarianaError BACKEND_FAILED if a kernel trapped
   */
  run(): void {
    const chunks = this.#chunks;
    const segments = this.#segments;
    const alone = this.#cost < ALONE_NS || chunks < 2;
    this.#segments = this.#chunks = this.#cost = 0;
    if (segments === 0) return;
    const words = this.arena.i32;
    const head = this.#at / 4;
    words[head + 16] = chunks;
    words[head + 17] = segments;
    words[head + 18] = this.#key;
    // Never 0, which marks scratch memory that was prepared for nothing.
    this.#key = this.#key + segments >= 0x7fff0000 ? 1 : this.#key + segments;
    Atomics.store(words, head, 0);
    this.#pool.run(this.arena, this.#at, alone);
  }

  /** Frees the memory of the job. */
  dispose(): void {
    this.arena.free(this.#at);
  }

  #bytes(): number {
    return (HEAD_WORDS + SEGMENT_WORDS * this.#capacity) * 4;
  }

  #place(index: number): void {
    if (index >= this.#capacity) {
      const old = this.#at;
      const length = this.#bytes();
      this.#capacity *= 4;
      this.#at = this.arena.alloc(this.#bytes());
      this.arena.u8.copyWithin(this.#at, old, old + length);
      this.arena.free(old);
    }
    const start = this.#at / 4 + HEAD_WORDS + index * SEGMENT_WORDS;
    this.#cursor = start + 4;
    this.#end = this.#cursor + ARGUMENT_WORDS;
  }
}
