/**
 * A tensor is a handle: a shape, a dtype and a reference to storage that its backend owns. Values are always
 * contiguous and row-major. Handles are cheap, immutable and must be given back, by `dispose`, by `using`, or by the
 * `scope` in which they were made. Several handles may share one storage (see `Backend.reshape`); the backend frees it
 * with the last of them.
 */
import type { TensorData, TensorDType } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';
import type { Backend } from './backend.ts';

/** Sizes of the axes, outermost first. The empty shape is a scalar; an axis of size 0 is an empty tensor. */
export type Shape = readonly number[];

/** Number of elements of a tensor of this shape. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const axis of shape) size *= axis;
  return size;
}

/** Storage of one or more tensors, with the number of handles that hold it. Backends see only `payload`. */
export class Storage<Payload = unknown> {
  readonly payload: Payload;
  readonly byteLength: number;
  holders = 0;

  constructor(payload: Payload, byteLength: number) {
    this.payload = payload;
    this.byteLength = byteLength;
  }
}

/** A handle on values that a backend holds. Made by backends only. */
export class Tensor implements Disposable {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly dtype: TensorDType;
  readonly #storage: Storage;
  #disposed = false;

  /** For backends: use `Backend.make`, which also registers the handle with the current scope. */
  constructor(backend: Backend, shape: Shape, dtype: TensorDType, storage: Storage) {
    this.backend = backend;
    this.shape = shape;
    this.dtype = dtype;
    this.#storage = storage;
    storage.holders++;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * The storage behind this handle, for backends.
   * @throws MarianaError `TENSOR_DISPOSED`
   */
  get storage(): Storage {
    this.assertAlive();
    return this.#storage;
  }

  /** @throws MarianaError `TENSOR_DISPOSED` */
  assertAlive(): void {
    if (!this.#disposed) return;
    throw new MarianaError(
      'TENSOR_DISPOSED',
      `this ${this} was disposed before it was used; keep it alive with scope(() => ...)'s result or backend.keep`,
    );
  }

  /** Copies the values to the host. Same as `backend.read(this)`. */
  read(): Promise<TensorData> {
    return this.backend.read(this);
  }

  /**
   * Copies the values of an F32 tensor to the host.
   *
   * @throws MarianaError `DTYPE_MISMATCH`
   */
  async floats(): Promise<Float32Array> {
    return (await this.#readAs('f32')) as Float32Array;
  }

  /**
   * Copies the values of an I32 tensor to the host.
   *
   * @throws MarianaError `DTYPE_MISMATCH`
   */
  async integers(): Promise<Int32Array> {
    return (await this.#readAs('i32')) as Int32Array;
  }

  async #readAs(dtype: TensorDType): Promise<TensorData> {
    if (this.dtype !== dtype) {
      throw new MarianaError('DTYPE_MISMATCH', `read: this is a ${this}, not ${dtype}; cast it first`);
    }
    return this.backend.read(this);
  }

  /** Gives the handle back. Disposing twice is harmless. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.backend.discard(this, this.#storage);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `${this.dtype} tensor [${this.shape.join(', ')}]`;
  }
}
