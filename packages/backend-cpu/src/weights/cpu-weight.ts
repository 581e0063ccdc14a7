/** A weight matrix in WebAssembly memory, in one of the layouts that the kernels read. */
import { MarianaError, Weight, type WeightFormat } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import type { Arena, DenseMatrix, PackedMatrix } from '../wasm/index.ts';

/** Where a weight lies: as rows of floats or FP8 codes, or packed in panels of integers. */
export type WeightLayout =
  | { readonly kind: 'dense'; readonly matrix: DenseMatrix }
  | { readonly kind: 'packed'; readonly matrix: PackedMatrix };

export class CpuWeight extends Weight {
  readonly arena: Arena;
  readonly layout: WeightLayout;
  readonly byteLength: number;
  readonly #owner: CpuBackend;
  readonly #blocks: readonly number[];
  #disposed = false;

  /** @param blocks - The allocations in the arena that the weight owns. */
  constructor(
    backend: CpuBackend,
    shape: readonly [number, number],
    format: WeightFormat,
    place: { arena: Arena; layout: WeightLayout; blocks: readonly number[]; byteLength: number },
  ) {
    super(backend, shape, format);
    this.#owner = backend;
    this.arena = place.arena;
    this.layout = place.layout;
    this.#blocks = place.blocks;
    this.byteLength = place.byteLength;
    backend.countWeight(this.byteLength);
  }

  /** @throws MarianaError `TENSOR_DISPOSED` */
  assertAlive(): void {
    if (!this.#disposed) return;
    const [out, inputs] = this.shape;
    throw new MarianaError(
      'TENSOR_DISPOSED',
      `this ${this.format} weight [${out}, ${inputs}] was disposed before it was used; dispose its layer last`,
    );
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const block of this.#blocks) this.arena.free(block);
    this.#owner.countWeight(-this.byteLength);
  }
}
