/**
 * The Backend contract over TensorFlow.js: each primitive is a few tfjs ops, every composite is the contract's default.
 * One class for every engine of tfjs; the packages for WebGPU and CUDA extend it with kernels of their own.
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
  type BinaryOp,
  broadcastShapes,
  type Capabilities,
  checkDtype,
  checkShape,
  concatShape,
  dtypeOfData,
  fromF32,
  gatherShape,
  isFloatDType,
  MarianaError,
  type MatmulOptions,
  matmulShape,
  type ReduceOp,
  type ReduceOptions,
  reduceShape,
  resolveAxis,
  type Shape,
  Storage,
  scatterAddShape,
  sizeOf,
  sliceShape,
  type Tensor,
  type TensorData,
  type TensorDType,
  toF32,
  topKShape,
  transposeShape,
  type UnaryOp,
} from '@mariana/core';
import type { TfjsEngine } from './engine.ts';
import { checkIndices, type IndexRange, rangeOf } from './index-range.ts';
import { castTensor, tfDTypeOf, toFloat32 } from './ops/cast.ts';
import { collapseBroadcast, collapseTranspose, splitAtAxis } from './ops/collapse-shapes.ts';
import { binary, isComparison, reduceMax, select, unary } from './ops/elementwise.ts';
import { matmul } from './ops/matmul.ts';
import { topK } from './ops/top-k.ts';
import type { TfModule, TfTensor, TfValues } from './tf-module.ts';
import { CAUTIOUS, type EngineTraits } from './traits.ts';

/** What a storage holds. `writeRows` replaces the tfjs tensor, since those never change. */
interface Held {
  /** Kept, so that no `tf.tidy` takes it; null for an empty tensor. */
  tensor: TfTensor | null;
  /** Known for uploaded integers. */
  readonly range: IndexRange | undefined;
}

/** Engines that compute on the host, so that looking at a result stalls no device. */
const ON_HOST: ReadonlySet<TfjsEngine> = new Set<TfjsEngine>(['cpu', 'wasm']);

/** Up to here float32 holds every integer. */
const LARGEST_INTEGER = 2 ** 24;

/** The contract over one engine of TensorFlow.js. Make it with `tfjs({ tf, engine })`, which sees that the engine runs. */
export class TfjsBackend<T extends TfTensor = TfTensor> extends Backend {
  readonly name: string;
  readonly capabilities: Capabilities;
  readonly engine: TfjsEngine;
  /** What the engine gets right by itself. */
  protected readonly traits: EngineTraits;
  /** Private, because `tf.tidy` searches what it is given for tensors, property by property. */
  readonly #tf: TfModule;

  /**
   * @param tf - The namespace of TensorFlow.js, in which `engine` must be active.
   * @param traits - From `probeTraits`. Default: the engine is trusted with nothing, which costs a few ops.
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
    const held = this.held(tensor).tensor;
    const dtype = isFloatDType(tensor.dtype) ? 'float32' : 'int32';
    let result: TfTensor | undefined;
    this.guard('toTf', () => {
      if (held === null) result = this.tf.tensor(new (dtype === 'int32' ? Int32Array : Float32Array)(0), shape, dtype);
      else result = this.tidied(() => this.tf.reshape(this.tf.cast(held, dtype), shape));
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
    return this.compute('upload', shape, as, () => this.tf.tensor(values, [values.length], tfDTypeOf(as)), range);
  }

  async read(tensor: Tensor): Promise<TensorData> {
    const held = this.held(tensor).tensor;
    if (held === null) return allocateTensorData(tensor.dtype, 0);
    let values: TfValues;
    try {
      values = await held.data();
    } catch (cause) {
      throw this.failure('read', cause);
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
    const held = this.held(target);
    const [previous, updates] = [held.tensor, this.held(values).tensor];
    if (previous === null || updates === null) return;
    const width = sizeOf(rest);
    const { tf } = this;
    held.tensor = this.kept('writeRows', () => {
      const indices = tf.tensor(rows.slice(), [rows.length, 1], 'int32');
      const rounded = castTensor(tf, tf.reshape(updates, [rows.length, width]), 'f32', target.dtype);
      // tfjs-cpu writes into the values of its operand, which other tensors may share.
      const own = this.traits.scatterUpdateCopies ? previous : tf.mul(previous, tf.scalar(1, 'float32'));
      return tf.tensorScatterUpdate(tf.reshape(own, [count, width]), indices, rounded);
    });
    previous.dispose();
  }

  protected release(storage: Storage): void {
    (storage.payload as Held).tensor?.dispose();
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Primitives: mathematics
  // -------------------------------------------------------------------------------------------------------------------

  unary(op: UnaryOp, x: Tensor): Tensor {
    checkDtype(op, x, 'f32');
    return this.compute(op, x.shape, 'f32', () => unary(this.tf, this.traits, op, this.view(x, [x.size])));
  }

  binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    checkDtype(op, a, ...(op === 'div' ? (['f32'] as const) : (['f32', 'i32'] as const)));
    checkDtype(op, b, a.dtype);
    const shape = broadcastShapes(op, a.shape, b.shape);
    this.own(a, b);
    return this.compute(op, shape, isComparison(op) ? 'i32' : a.dtype, () => {
      const [left, right] = this.views([a, b], shape);
      return binary(this.tf, this.traits, op, left!, right!);
    });
  }

  where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    checkDtype('where', condition, 'i32');
    checkDtype('where', b, a.dtype);
    const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
    this.own(condition, a, b);
    return this.compute('where', shape, a.dtype, () => {
      const [test, left, right] = this.views([condition, a, b], shape);
      return select(this.tf, test!, left!, right!);
    });
  }

  reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    checkDtype(op, x, 'f32');
    const at = resolveAxis(op, axis, x.rank);
    const shape = reduceShape(x.shape, at, options);
    this.own(x);
    return this.compute(op, shape, 'f32', () => {
      if (x.size === 0) return this.tf.fill([sizeOf(shape)], op === 'sum' ? 0 : Number.NEGATIVE_INFINITY, 'float32');
      const [outer, size, inner] = splitAtAxis(x.shape, at);
      const rows = this.view(x, inner === 1 ? [outer, size] : [outer, size, inner]);
      return op === 'sum' ? this.tf.sum(rows, 1) : reduceMax(this.tf, this.traits, rows, 1);
    });
  }

  matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    checkDtype('matmul', a, 'f32');
    checkDtype('matmul', b, 'f32');
    const sizes = matmulShape(a.shape, b.shape, options);
    this.own(a, b);
    return this.compute('matmul', sizes.shape, 'f32', () => {
      if (sizes.k === 0) return this.tf.fill([sizeOf(sizes.shape)], 0, 'float32');
      return matmul(this.tf, this.payload(a), a.shape, this.payload(b), b.shape, sizes, options);
    });
  }

  gather(data: Tensor, indices: Tensor): Tensor {
    checkDtype('gather', indices, 'i32');
    const shape = gatherShape(data.shape, indices.shape);
    this.own(data, indices);
    this.checkIndices('gather', indices, data.shape[0]!);
    return this.compute('gather', shape, data.dtype, () => {
      const [rows, width] = [data.shape[0]!, sizeOf(data.shape.slice(1))];
      const table = this.view(data, width === 1 ? [rows] : [rows, width]);
      return this.tf.gather(table, this.view(indices, [indices.size]), 0);
    });
  }

  scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor {
    checkDtype('scatterAdd', indices, 'i32');
    checkDtype('scatterAdd', updates, 'f32');
    const shape = scatterAddShape(indices.shape, updates.shape, rows);
    this.own(indices, updates);
    this.checkIndices('scatterAdd', indices, rows);
    return this.compute('scatterAdd', shape, 'f32', () => {
      const width = sizeOf(shape.slice(1));
      if (updates.size === 0) return this.tf.fill([rows * width], 0, 'float32');
      const count = indices.size;
      return this.tf.scatterND(this.view(indices, [count, 1]), this.view(updates, [count, width]), [rows, width]);
    });
  }

  topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    checkDtype('topK', x, 'f32');
    const shape = topKShape(x.shape, k);
    const width = x.shape.at(-1)!;
    let values: TfTensor | undefined;
    this.own(x);
    const indices = this.compute('topK', shape, 'i32', () => {
      const chosen = topK(this.tf, this.traits, this.view(x, [x.size / width, width]), k);
      values = this.tf.keep(chosen.values);
      return chosen.indices;
    });
    return { values: this.hold(values ?? null, shape, 'f32'), indices };
  }

  slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    const at = resolveAxis('slice', axis, x.rank);
    const shape = sliceShape(x.shape, at, start, end);
    this.own(x);
    return this.compute('slice', shape, x.dtype, () => {
      const [outer, size, inner] = splitAtAxis(x.shape, at);
      const length = (end - start) * inner;
      return this.tf.slice(this.view(x, [outer, size * inner]), [0, start * inner], [outer, length]);
    });
  }

  concat(tensors: readonly Tensor[], axis: number): Tensor {
    const at = resolveAxis('concat', axis, tensors[0]?.rank ?? 0);
    for (const tensor of tensors) checkDtype('concat', tensor, tensors[0]!.dtype);
    const shape = concatShape(
      tensors.map((tensor) => tensor.shape),
      at,
    );
    this.own(...tensors);
    return this.compute('concat', shape, tensors[0]!.dtype, () => {
      const parts = tensors.filter((tensor) => tensor.size > 0);
      const outer = sizeOf(shape.slice(0, at));
      return this.tf.concat(
        parts.map((part) => this.view(part, [outer, part.size / outer])),
        1,
      );
    });
  }

  transpose(x: Tensor, permutation: readonly number[]): Tensor {
    const shape = transposeShape(x.shape, permutation);
    this.own(x);
    return this.compute('transpose', shape, x.dtype, () => {
      const collapsed = collapseTranspose(x.shape, permutation);
      const source = this.view(x, collapsed.shape);
      if (x.dtype !== 'i32' || this.traits.integersExact) return this.tf.transpose(source, collapsed.permutation);
      return this.tf.cast(this.tf.transpose(toFloat32(this.tf, source), collapsed.permutation), 'int32');
    });
  }

  cast(x: Tensor, dtype: TensorDType): Tensor {
    if (x.dtype === dtype) return this.reshape(x, x.shape);
    this.own(x);
    return this.compute('cast', x.shape, dtype, () => castTensor(this.tf, this.payload(x), x.dtype, dtype));
  }

  // -------------------------------------------------------------------------------------------------------------------
  // For this class and those that extend it
  // -------------------------------------------------------------------------------------------------------------------

  /**
   * A tensor of the result of some tfjs ops, of which nothing else is left behind. For an empty shape the ops are not
   * run at all.
   */
  protected compute(
    operation: string,
    shape: Shape,
    dtype: TensorDType,
    body: () => TfTensor,
    range?: IndexRange,
  ): Tensor {
    return this.hold(sizeOf(shape) === 0 ? null : this.kept(operation, body), shape, dtype, range);
  }

  /** A tensor of a kept `tf.Tensor`, which it takes over. */
  protected hold(tensor: TfTensor | null, shape: Shape, dtype: TensorDType, range?: IndexRange): Tensor {
    const held: Held = { tensor, range };
    return this.make(shape, dtype, new Storage(held, 4 * sizeOf(shape)));
  }

  /**
   * The `tf.Tensor` of a tensor that is not empty, to compute with. Its shape is any that has as many elements.
   *
   * @throws MarianaError `INVALID_ARGUMENT` for integers that the engine cannot compute with.
   */
  protected payload(tensor: Tensor): TfTensor {
    const { tensor: held, range } = this.held(tensor);
    if (range !== undefined && !this.traits.integersExact) this.checkMagnitude(tensor, range);
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
      throw cause instanceof MarianaError ? cause : this.failure(operation, cause);
    }
  }

  private kept(operation: string, body: () => TfTensor): TfTensor {
    return this.guard(operation, () =>
      this.tidied(() => {
        const tensor = body();
        // An operand that came through as it is belongs to another storage.
        return this.tf.keep(tensor.kept ? this.tf.clone(tensor) : tensor);
      }),
    );
  }

  /** `tf.tidy` for one tensor. */
  private tidied(body: () => TfTensor): TfTensor {
    let result: TfTensor | undefined;
    this.tf.tidy(() => {
      result = body();
      return result;
    });
    return result!;
  }

  private checkMagnitude(tensor: Tensor, { low, high }: IndexRange): void {
    if (low >= -LARGEST_INTEGER && high <= LARGEST_INTEGER) return;
    const value = low < -LARGEST_INTEGER ? low : high;
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `tfjs engine ${this.engine} computes integers as float32, which does not hold ${value} of this ${tensor}; ` +
        'keep them within 2^24, or use another engine',
    );
  }

  private held(tensor: Tensor): Held {
    this.own(tensor);
    return tensor.storage.payload as Held;
  }

  /** The operands in as few axes as broadcasting to `shape` needs. */
  private views(operands: readonly Tensor[], shape: Shape): TfTensor[] {
    const shapes = collapseBroadcast(
      operands.map((operand) => operand.shape),
      shape,
    );
    return operands.map((operand, i) => this.view(operand, shapes[i]!));
  }

  /**
   * Refuses indices beyond the rows where that can be known: for uploaded ones always, for computed ones on an engine
   * of the host. On a device they would have to be read back.
   */
  private checkIndices(operation: string, indices: Tensor, rows: number): void {
    const { tensor, range } = this.held(indices);
    if (range !== undefined) checkIndices(operation, range, rows);
    else if (tensor !== null && ON_HOST.has(this.engine)) checkIndices(operation, rangeOf(tensor.dataSync()), rows);
  }

  private failure(operation: string, cause: unknown): MarianaError {
    const message = cause instanceof Error ? cause.message : String(cause);
    return new MarianaError('BACKEND_FAILED', `${operation}: tfjs engine ${this.engine} failed: ${message}`, { cause });
  }
}
