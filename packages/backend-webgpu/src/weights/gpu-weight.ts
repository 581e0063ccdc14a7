/**
 * Weights in GPU memory. A stack is one or more matrices of one shape that lie below each other, such as the experts of a
 * layer; a weight is one matrix of a stack. Where a stack is larger than the device binds at once, it is cut into parts
 * between matrices, or, if it is a single one, between rows.
 */
import { type Backend, MarianaError, Weight } from '@mariana/core';
import { FORMAT_TEXTS, type HeldFormat } from '../kernels/held-format.ts';

/** Rows that lie in buffers of their own. */
export interface StackPart {
  /** The first of the rows, counted through the whole stack. */
  readonly firstRow: number;
  readonly rows: number;
  readonly codes: GPUBuffer;
  /** Present in formats with scales. */
  readonly scales?: GPUBuffer;
}

/** How the rows of a stack lie; see `packed-weight.ts`. */
export interface StackLayout {
  readonly format: HeldFormat;
  /** [out, in] of each matrix. */
  readonly shape: readonly [number, number];
  /** Matrices. */
  readonly count: number;
  /** Rows that share a scale, and inputs that do; 1 and 0 in formats without. */
  readonly scaleBlock: readonly [rows: number, inputs: number];
}

/** Vectors of 16 bytes in a row. */
export function rowVectors({ format, shape }: Pick<StackLayout, 'format' | 'shape'>): number {
  return Math.ceil(shape[1] / FORMAT_TEXTS[format].inputs);
}

/** Scales in a row of scales. */
export function scaleColumns({ shape, scaleBlock }: Pick<StackLayout, 'shape' | 'scaleBlock'>): number {
  return scaleBlock[1] === 0 ? 0 : Math.ceil(shape[1] / scaleBlock[1]);
}

/** Rows of scales for some rows of one matrix. */
export function scaleRows({ scaleBlock }: Pick<StackLayout, 'scaleBlock'>, rows: number): number {
  return Math.ceil(rows / scaleBlock[0]);
}

/** Bytes of one matrix, scales included. */
export function matrixBytes(layout: Omit<StackLayout, 'count'>): number {
  const [out] = layout.shape;
  return 16 * out * rowVectors(layout) + 4 * scaleRows(layout, out) * scaleColumns(layout);
}

export class WeightStack {
  readonly layout: StackLayout;
  readonly parts: readonly StackPart[];
  readonly #free: (buffer: GPUBuffer) => void;
  #holders = 0;

  /** @param free - Destroys a buffer once no command that waits for submission names it. */
  constructor(layout: StackLayout, parts: readonly StackPart[], free: (buffer: GPUBuffer) => void) {
    this.layout = layout;
    this.parts = parts;
    this.#free = free;
  }

  /** The buffers, if the stack is in one part: for kernels that pick matrices on the device. */
  get whole(): StackPart | undefined {
    return this.parts.length === 1 ? this.parts[0] : undefined;
  }

  hold(): void {
    this.#holders++;
  }

  /** Frees the buffers with the last weight. */
  drop(): void {
    if (--this.#holders > 0) return;
    for (const { codes, scales } of this.parts) {
      this.#free(codes);
      if (scales !== undefined) this.#free(scales);
    }
  }
}

export class WebGpuWeight extends Weight {
  readonly stack: WeightStack;
  /** Which matrix of the stack. */
  readonly index: number;
  readonly byteLength: number;
  readonly #released: (bytes: number) => void;
  #disposed = false;

  /** @param released - Told the bytes when the weight is disposed. */
  constructor(backend: Backend, stack: WeightStack, index: number, released: (bytes: number) => void) {
    super(backend, stack.layout.shape, stack.layout.format);
    this.stack = stack;
    this.index = index;
    this.byteLength = matrixBytes(stack.layout);
    this.#released = released;
    stack.hold();
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
    this.stack.drop();
    this.#released(this.byteLength);
  }
}
