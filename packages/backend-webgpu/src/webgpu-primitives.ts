/**
 * The primitives of the contract on WebGPU. Tensors are those of TensorFlow.js (`adopt`, `toTf`), so a program can go
 * back and forth without a copy; what computes are kernels of our own, which are exact where tfjs is not (integers, NaN,
 * rounding).
 */
import { checkIndices, rangeOf, TfjsBackend, type TfTensor } from '@mariana/backend-tfjs';
import {
  allocateTensorData,
  type BinaryOp,
  broadcastShapes,
  checkDtype,
  checkShape,
  concatShape,
  dtypeOfData,
  fromF32,
  gatherShape,
  isFloatDType,
  type MatmulOptions,
  matmulShape,
  type ReduceOp,
  type ReduceOptions,
  reduceShape,
  resolveAxis,
  type Shape,
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
import type { DeviceEngine } from './device/engine.ts';
import type { RunKernel } from './kernels/kernel.ts';
import type { KernelDevice, Output } from './ops/device.ts';
import * as elementwise from './ops/elementwise.ts';
import * as matrix from './ops/matmul.ts';
import * as movement from './ops/movement.ts';
import * as rows from './ops/reduce.ts';

/** Everything is known to be right: no operation of tfjs is mended, because none is used. */
const TRAITS = {
  functionsKeepEdges: true,
  extremaKeepNaN: true,
  topKOrdersInfinities: true,
  scatterUpdateCopies: true,
  integersExact: true,
} as const;

/** The half of `WebGpuBackend` that every backend must have. */
export abstract class WebGpuPrimitives<T extends TfTensor = TfTensor> extends TfjsBackend<T> implements KernelDevice {
  override readonly name: string = 'webgpu';
  readonly #engine: DeviceEngine;

  protected constructor(engine: DeviceEngine) {
    super(engine.tf as DeviceEngine['tf'] & ConstructorParameters<typeof TfjsBackend<T>>[0], 'webgpu', TRAITS);
    this.#engine = engine;
  }

  // Storage -------------------------------------------------------------------------------------------------------

  override upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    const type = dtypeOfData(data, dtype);
    checkShape('upload', shape, data.length);
    if (data.length === 0) return this.hold(null, shape, type);
    const isInteger = type === 'i32';
    // A copy in any case: the caller's array may be shared memory, or be changed before the device takes it.
    const values = isInteger ? Int32Array.from(data) : heldValues(data, type);
    const tensor = this.#engine.tensor(data.length, isInteger ? 'int32' : 'float32');
    this.#engine.scheduler.write(this.#engine.buffer(tensor), new Uint8Array(values.buffer));
    return this.hold(tensor, shape, type, isInteger ? rangeOf(values) : undefined);
  }

  override async read(tensor: Tensor): Promise<TensorData> {
    this.own(tensor);
    const { dtype, size } = tensor;
    if (size === 0) return allocateTensorData(dtype, 0);
    const bytes = await this.#engine.scheduler.read(this.buffer(tensor), size * 4);
    if (dtype === 'i32') return new Int32Array(bytes);
    const values = new Float32Array(bytes);
    if (dtype === 'f32') return values;
    if (isFloatDType(dtype)) return fromF32(dtype, values, { saturate: false });
    const out = allocateTensorData(dtype, size);
    out.set(values);
    return out;
  }

  override writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    checkDtype('writeRows', target, 'f32', 'bf16', 'f16');
    checkDtype('writeRows', values, 'f32');
    checkShape('writeRows', [rows.length, ...target.shape.slice(1)], values.size);
    checkIndices('writeRows', rangeOf(rows), target.shape[0] ?? 0);
    this.own(target, values);
    if (values.size === 0) return;
    this.unshare(target);
    movement.writeRows(this, target, rows, values);
    this.written(target);
  }

  /** Gives a tensor a buffer of its own, if others hold its values as they are: a cast of it, or a tf.Tensor. */
  protected unshare(target: Tensor): void {
    const held = this.payload(target);
    if (!this.#engine.isShared(held)) return;
    const own = this.#engine.tensor(target.size, 'float32');
    this.#engine.scheduler.copy(this.#engine.buffer(held), 0, this.#engine.buffer(own), 0, target.size * 4);
    this.replace(target, own);
  }

  /** Says that a kernel wrote into a tensor. */
  protected written(target: Tensor): void {
    this.#engine.written(this.payload(target));
  }

  // For operations ------------------------------------------------------------------------------------------------

  get run(): RunKernel {
    return this.#engine.scheduler.run;
  }

  buffer(tensor: Tensor): GPUBuffer {
    return this.#engine.buffer(this.payload(tensor));
  }

  output(shape: Shape, dtype: TensorDType): Output {
    const held = this.#engine.tensor(sizeOf(shape), dtype === 'i32' ? 'int32' : 'float32');
    return { tensor: this.hold(held, shape, dtype), buffer: this.#engine.buffer(held) };
  }

  empty(shape: Shape, dtype: TensorDType): Tensor {
    return this.hold(null, shape, dtype);
  }

  // Primitives ----------------------------------------------------------------------------------------------------

  override unary(op: UnaryOp, x: Tensor): Tensor {
    checkDtype(op, x, 'f32');
    this.own(x);
    return elementwise.unary(this, op, x);
  }

  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    checkDtype(op, a, ...(op === 'div' ? (['f32'] as const) : (['f32', 'i32'] as const)));
    checkDtype(op, b, a.dtype);
    const shape = broadcastShapes(op, a.shape, b.shape);
    this.own(a, b);
    return elementwise.binary(this, op, a, b, shape);
  }

  override where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    checkDtype('where', condition, 'i32');
    checkDtype('where', b, a.dtype);
    const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
    this.own(condition, a, b);
    return elementwise.where(this, condition, a, b, shape);
  }

  override cast(x: Tensor, dtype: TensorDType): Tensor {
    if (x.dtype === dtype) return this.reshape(x, x.shape);
    this.own(x);
    if (x.size === 0) return this.empty(x.shape, dtype);
    const converted = elementwise.cast(this, x, dtype);
    if (converted !== null) return converted;
    return this.compute('cast', x.shape, dtype, () => this.tf.clone(this.payload(x)));
  }

  override reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    checkDtype(op, x, 'f32');
    const at = resolveAxis(op, axis, x.rank);
    const shape = reduceShape(x.shape, at, options);
    this.own(x);
    if (x.size > 0) return rows.reduce(this, op, x, at, shape);
    return this.upload(new Float32Array(sizeOf(shape)).fill(op === 'sum' ? 0 : Number.NEGATIVE_INFINITY), shape);
  }

  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    checkDtype('matmul', a, 'f32');
    checkDtype('matmul', b, 'f32');
    const sizes = matmulShape(a.shape, b.shape, options);
    this.own(a, b);
    if (sizeOf(sizes.shape) === 0) return this.empty(sizes.shape, 'f32');
    if (sizes.k === 0) return this.upload(new Float32Array(sizeOf(sizes.shape)), sizes.shape);
    return matrix.matmul(this, a, b, sizes, options);
  }

  override gather(data: Tensor, indices: Tensor): Tensor {
    checkDtype('gather', indices, 'i32');
    const shape = gatherShape(data.shape, indices.shape);
    this.own(data, indices);
    this.checkIndices('gather', indices, data.shape[0]!);
    return movement.gather(this, data, indices, shape);
  }

  override scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor {
    checkDtype('scatterAdd', indices, 'i32');
    checkDtype('scatterAdd', updates, 'f32');
    const shape = scatterAddShape(indices.shape, updates.shape, rows);
    this.own(indices, updates);
    this.checkIndices('scatterAdd', indices, rows);
    return movement.scatterAdd(this, indices, updates, shape);
  }

  override topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    checkDtype('topK', x, 'f32');
    const shape = topKShape(x.shape, k);
    this.own(x);
    return rows.topK(this, x, k, shape);
  }

  override slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    const at = resolveAxis('slice', axis, x.rank);
    const shape = sliceShape(x.shape, at, start, end);
    this.own(x);
    return movement.slice(this, x, at, start, shape);
  }

  override concat(tensors: readonly Tensor[], axis: number): Tensor {
    const at = resolveAxis('concat', axis, tensors[0]?.rank ?? 0);
    for (const tensor of tensors) checkDtype('concat', tensor, tensors[0]!.dtype);
    const shape = concatShape(
      tensors.map((tensor) => tensor.shape),
      at,
    );
    this.own(...tensors);
    return movement.concat(this, tensors, at, shape);
  }

  override transpose(x: Tensor, permutation: readonly number[]): Tensor {
    const shape = transposeShape(x.shape, permutation);
    this.own(x);
    return movement.transpose(this, x, permutation, shape);
  }
}

/** The values as they are held: float32, of any short float or byte. */
function heldValues(data: TensorData, dtype: TensorDType): Float32Array<ArrayBuffer> {
  return dtype === 'f32' ? new Float32Array(data) : Float32Array.from(toF32(dtype, data));
}
