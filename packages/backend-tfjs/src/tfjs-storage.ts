/**
 * How tensors of the contract are held in TensorFlow.js, how they come in and go out, and how an operation runs.
 *
 * A tensor's storage holds one kept `tf.Tensor`: int32 for `i32`, float32 for all else (the exact values of the shorter
 * formats, made codes again by `read`). Empty tensors hold none, since not every tfjs kernel takes a size of 0. The shape
 * of that `tf.Tensor` means nothing: each operation sees it in the fewest axes that it needs.
 *
 * What runs inside an operation is tidied, so that `tf.memory().numTensors` counts the handles and nothing else, also
 * when the caller is inside a `tf.tidy` of its own.
 */
import {
  allocateTensorData,
  Backend,
  type Capabilities,
  checkDtype,
  checkShape,
  dtypeOfData,
  fromF32,
  isFloatDType,
  MarianaError,
  type Shape,
  Storage,
  sizeOf,
  type Tensor,
  type TensorData,
  type TensorDType,
  toF32,
} from '@mariana/core';
import type { TfjsEngine } from './engine.ts';
import { checkIndices, type IndexRange, rangeOf } from './index-range.ts';
import { castTensor, tfDTypeOf } from './ops/cast.ts';
import type { TfModule, TfTensor, TfValues } from './tf-module.ts';
import { CAUTIOUS, type EngineTraits } from './traits.ts';

/** What a storage holds. `writeRows` replaces the tfjs tensor, since those never change. */
interface Held {
  /** Kept, so that no `tf.tidy` takes it; null for an empty tensor. */
  tensor: TfTensor | null;
  /** Known for uploaded integers. */
  readonly range: IndexRange | undefined;
  /** What makes `tensor` when it is first needed. */
  deferred?: Deferred | undefined;
}

/** A result that was put off: made when its values are first needed, or dropped where they never are. */
export interface Deferred {
  /** A kept `tf.Tensor`, which the caller takes over. Called once, if at all. */
  make(): TfTensor;
  /** Called instead of `make` if nobody needed the values. */
  drop(): void;
}

/** Engines that compute on the host, so that looking at a result stalls no device. */
const ON_HOST: ReadonlySet<TfjsEngine> = new Set<TfjsEngine>(['cpu', 'wasm']);

/** Up to here float32 holds every integer. */
const LARGEST_INTEGER = 2 ** 24;

/** The half of `TfjsBackend` that holds tensors. */
export abstract class TfjsStorage<T extends TfTensor = TfTensor> extends Backend {
  readonly name: string;
  readonly capabilities: Capabilities;
  readonly engine: TfjsEngine;
  /** What the engine gets right by itself. */
  protected readonly traits: EngineTraits;
  /** Private, because `tf.tidy` searches what it is given for tensors, property by property. */
  readonly #tf: TfModule;

  /**
   * @param tf - The namespace of TensorFlow.js, in which `engine` must be active.
   * @param traits - From `startEngine`. Default: the engine is trusted with nothing, which costs a few ops.
   */
  constructor(tf: TfModule<T>, engine: TfjsEngine, traits: EngineTraits = CAUTIOUS) {
    super();
    this.#tf = tf;
    this.engine = engine;
    this.traits = traits;
    this.name = `tfjs-${engine}`;
    this.capabilities = {
      weightFormats: ['f32'],
      threads: ON_HOST.has(engine) ? 1 : 0,
      shaderF16: false,
      memoryBudget: undefined,
    };
  }

  /** The namespace of TensorFlow.js that this backend was made with. */
  get tf(): TfModule {
    return this.#tf;
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Between tfjs and Mariana
  // -------------------------------------------------------------------------------------------------------------------

  /**
   * A handle on the values of a `tf.Tensor`, without copying them: `float32` becomes `f32`; `int32` and `bool` become
   * `i32`. The `tf.Tensor` stays the caller's to dispose, before or after the handle.
   *
   * @throws MarianaError `TENSOR_DISPOSED`, `DTYPE_MISMATCH` for strings and complex numbers, `INVALID_ARGUMENT` for
   *   what is no tensor.
   */
  adopt(tensor: TfTensor): Tensor {
    if (typeof tensor !== 'object' || tensor === null || !Array.isArray(tensor.shape) || !('dataId' in tensor)) {
      throw new MarianaError('INVALID_ARGUMENT', `adopt: takes a tf.Tensor, not ${typeof tensor}`);
    }
    if (tensor.isDisposed) {
      throw new MarianaError('TENSOR_DISPOSED', 'adopt: this tf.Tensor was disposed; adopt it before tf.tidy ends');
    }
    if (tensor.dtype !== 'float32' && tensor.dtype !== 'int32' && tensor.dtype !== 'bool') {
      throw new MarianaError(
        'DTYPE_MISMATCH',
        `adopt: takes float32, int32 or bool, not ${tensor.dtype}; cast it first`,
      );
    }
    const dtype = tensor.dtype === 'float32' ? 'f32' : 'i32';
    return this.compute('adopt', tensor.shape, dtype, () => this.tf.cast(tensor, tfDTypeOf(dtype)));
  }

  /**
   * The values as a `tf.Tensor`, without copying them: `float32` for the float formats (the values, not the codes),
   * `int32` for the integers. It belongs to the caller: dispose it, or call this in `tf.tidy`.
   */
  toTf(tensor: Tensor): T {
    const shape = [...tensor.shape];
    const held = this.#held(tensor).tensor;
    const dtype = isFloatDType(tensor.dtype) ? 'float32' : 'int32';
    let result: TfTensor | undefined;
    this.guard('toTf', () => {
      if (held === null) result = this.tf.tensor(new (dtype === 'int32' ? Int32Array : Float32Array)(0), shape, dtype);
      else result = this.#tidied(() => this.tf.reshape(this.tf.cast(held, dtype), shape));
    });
    return result as T;
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Primitives: storage
  // -------------------------------------------------------------------------------------------------------------------

  upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    checkShape('upload', shape, data.length);
    const as = dtypeOfData(data, dtype);
    // tfjs keeps the array that it is given, so it always gets one of its own.
    const values = as === 'i32' ? Int32Array.from(data) : toF32(as, data);
    const range = as === 'i32' ? rangeOf(values) : undefined;
    const make = () => this.tf.tensor(values, [values.length], tfDTypeOf(as));
    return this.#handle({ tensor: values.length === 0 ? null : this.#kept('upload', make), range }, shape, as);
  }

  async read(tensor: Tensor): Promise<TensorData> {
    const held = this.#held(tensor).tensor;
    if (held === null) return allocateTensorData(tensor.dtype, 0);
    let values: TfValues;
    try {
      values = await held.data();
    } catch (cause) {
      throw this.#failure('read', cause);
    }
    // Always a copy: tfjs may give out the array that it computes with, and an engine may hold floats as integers.
    if (isFloatDType(tensor.dtype)) return fromF32(tensor.dtype, Float32Array.from(values), { saturate: false });
    const out = allocateTensorData(tensor.dtype, values.length);
    out.set(values);
    return out;
  }

  /** Makes a new `tf.Tensor` of the whole target: tfjs has no way to change one. */
  writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    checkDtype('writeRows', target, 'f32', 'bf16', 'f16');
    checkDtype('writeRows', values, 'f32');
    const rest = target.shape.slice(1);
    checkShape('writeRows', [rows.length, ...rest], values.size);
    const count = target.shape[0] ?? 0;
    checkIndices('writeRows', rangeOf(rows), count);
    const held = this.#held(target);
    const [previous, updates] = [held.tensor, this.#held(values).tensor];
    if (previous === null || updates === null) return;
    const width = sizeOf(rest);
    const { tf } = this;
    held.tensor = this.#kept('writeRows', () => {
      const indices = tf.tensor(rows.slice(), [rows.length, 1], 'int32');
      const rounded = castTensor(tf, tf.reshape(updates, [rows.length, width]), 'f32', target.dtype);
      // tfjs-cpu writes into the values of its operand, which other tensors may share.
      const own = this.traits.scatterUpdateCopies ? previous : tf.mul(previous, tf.scalar(1, 'float32'));
      return tf.tensorScatterUpdate(tf.reshape(own, [count, width]), indices, rounded);
    });
    previous.dispose();
  }

  protected release(storage: Storage): void {
    const held = storage.payload as Held;
    held.deferred?.drop();
    held.tensor?.dispose();
  }

  // -------------------------------------------------------------------------------------------------------------------
  // For this class and those that extend it
  // -------------------------------------------------------------------------------------------------------------------

  /**
   * A tensor of the result of some tfjs ops, of which nothing else is left behind. For an empty shape the ops are not
   * run at all.
   */
  protected compute(operation: string, shape: Shape, dtype: TensorDType, body: () => TfTensor): Tensor {
    return this.hold(sizeOf(shape) === 0 ? null : this.#kept(operation, body), shape, dtype);
  }

  /**
   * A tensor of a kept `tf.Tensor`, which it takes over; null for an empty shape.
   *
   * @param range - Of integers that were on the host, so that they can be checked where they are used as indices.
   */
  protected hold(tensor: TfTensor | null, shape: Shape, dtype: TensorDType, range?: IndexRange): Tensor {
    return this.#handle({ tensor, range }, shape, dtype);
  }

  /** A tensor of at least one element whose values are made when they are first needed. */
  protected defer(deferred: Deferred, shape: Shape, dtype: TensorDType): Tensor {
    return this.#handle({ tensor: null, range: undefined, deferred }, shape, dtype);
  }

  /** What a tensor was put off as, if its values were not needed yet. Handles that share storage share it. */
  protected deferredOf(tensor: Tensor): Deferred | undefined {
    this.own(tensor);
    return (tensor.storage.payload as Held).deferred;
  }

  /** Makes the values of a storage, if they were put off. */
  protected settle(storage: Storage): void {
    const held = storage.payload as Held;
    const { deferred } = held;
    if (deferred === undefined) return;
    held.deferred = undefined;
    try {
      held.tensor = deferred.make();
    } catch (error) {
      held.deferred = failed(error);
      throw error;
    }
  }

  /** Takes the `tf.Tensor` out of a tensor that nobody else has, which is disposed. */
  protected take(tensor: Tensor): TfTensor {
    const held = this.#held(tensor);
    const values = held.tensor!;
    held.tensor = null;
    tensor.dispose();
    return values;
  }

  /** Puts another kept `tf.Tensor` of the same size in the place of a tensor's own, which is disposed. */
  protected replace(tensor: Tensor, other: TfTensor): void {
    const held = this.#held(tensor);
    held.tensor?.dispose();
    held.tensor = other;
  }

  /**
   * The `tf.Tensor` of a tensor that is not empty, to compute with. Its shape is any that has as many elements.
   *
   * @throws MarianaError `INVALID_ARGUMENT` for integers that the engine cannot compute with.
   */
  protected payload(tensor: Tensor): TfTensor {
    const { tensor: held, range } = this.#held(tensor);
    if (range !== undefined && !this.traits.integersExact) this.#checkMagnitude(tensor, range);
    return held!;
  }

  /** The same, seen under a shape. */
  protected view(tensor: Tensor, shape: number[]): TfTensor {
    const held = this.payload(tensor);
    const same = held.shape.length === shape.length && held.shape.every((size, i) => size === shape[i]);
    return same ? held : this.tf.reshape(held, shape);
  }

  /** Runs tfjs ops and turns what they throw into `MarianaError`. */
  protected guard<Result>(operation: string, body: () => Result): Result {
    const active = this.tf.getBackend();
    if (active !== this.engine) {
      throw new MarianaError(
        'BACKEND_UNAVAILABLE',
        `${operation}: tfjs now computes on ${active}, but this backend was made for ${this.engine}; ` +
          `await tf.setBackend('${this.engine}') before using it`,
      );
    }
    try {
      return body();
    } catch (cause) {
      throw cause instanceof MarianaError ? cause : this.#failure(operation, cause);
    }
  }

  #handle(held: Held, shape: Shape, dtype: TensorDType): Tensor {
    return this.make(shape, dtype, new Storage(held, 4 * sizeOf(shape)));
  }

  #kept(operation: string, body: () => TfTensor): TfTensor {
    return this.guard(operation, () =>
      this.#tidied(() => {
        const tensor = body();
        // An operand that came through as it is belongs to another storage.
        return this.tf.keep(tensor.kept ? this.tf.clone(tensor) : tensor);
      }),
    );
  }

  /** `tf.tidy` for one tensor. */
  #tidied(body: () => TfTensor): TfTensor {
    let result: TfTensor | undefined;
    this.tf.tidy(() => {
      result = body();
      return result;
    });
    return result!;
  }

  #checkMagnitude(tensor: Tensor, { low, high }: IndexRange): void {
    if (low >= -LARGEST_INTEGER && high <= LARGEST_INTEGER) return;
    const value = low < -LARGEST_INTEGER ? low : high;
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `tfjs engine ${this.engine} computes integers as float32, which does not hold ${value} of this ${tensor}; ` +
        'keep them within 2^24, or use another engine',
    );
  }

  #held(tensor: Tensor): Held {
    this.own(tensor);
    this.settle(tensor.storage);
    return tensor.storage.payload as Held;
  }

  /**
   * Refuses indices beyond the rows where that can be known: for uploaded ones always, for computed ones on an engine
   * of the host. On a device they would have to be read back.
   */
  protected checkIndices(operation: string, indices: Tensor, rows: number): void {
    const { tensor, range } = this.#held(indices);
    if (range !== undefined) checkIndices(operation, range, rows);
    else if (tensor !== null && ON_HOST.has(this.engine)) checkIndices(operation, rangeOf(tensor.dataSync()), rows);
  }

  #failure(operation: string, cause: unknown): MarianaError {
    const message = cause instanceof Error ? cause.message : String(cause);
    return new MarianaError('BACKEND_FAILED', `${operation}: tfjs engine ${this.engine} failed: ${message}`, { cause });
  }
}

/** Values that could not be made, and never will be: whoever needs them is told why, however often. */
function failed(error: unknown): Deferred {
  return {
    make() {
      throw error;
    },
    drop() {},
  };
}
