/**
 * The contract in plain TypeScript: the executable specification. Storage is a typed array, every primitive is a short
 * loop, sums are kept in double precision, and every composite is the contract's default. Nothing here is clever, so
 * that a disagreement with another backend is that backend's to explain. Operands are looked at before the result is
 * made, so that a refused operation leaves nothing behind.
 */
import {
  allocateTensorData,
  Backend,
  type BinaryOp,
  broadcastShapes,
  type Capabilities,
  COMPARISON_OPS,
  castData,
  checkDtype,
  checkIndices,
  checkShape,
  concatShape,
  dtypeOfData,
  gatherShape,
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
  topKShape,
  transposeShape,
  type UnaryOp,
} from '@mariana/core';
import { BINARY, broadcastOffsets, UNARY } from './ops/elementwise.ts';
import { matmul } from './ops/matmul.ts';
import { concat, copyRows, scatterAdd, slice, transpose } from './ops/movement.ts';
import { reduce, topK } from './ops/reduce.ts';

export class ReferenceBackend extends Backend {
  readonly name: string = 'reference';

  readonly capabilities: Capabilities = {
    weightFormats: ['f32'],
    threads: 1,
    shaderF16: false,
    memoryBudget: undefined,
  };

  upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    checkShape('upload', shape, data.length);
    const out = this.empty(shape, dtypeOfData(data, dtype));
    this.data(out).set(data);
    return out;
  }

  async read(tensor: Tensor): Promise<TensorData> {
    return this.data(tensor).slice();
  }

  writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    checkDtype('writeRows', target, 'f32', 'bf16', 'f16');
    checkDtype('writeRows', values, 'f32');
    const width = sizeOf(target.shape.slice(1));
    checkShape('writeRows', [rows.length, ...target.shape.slice(1)], values.size);
    checkIndices('writeRows', rows, target.shape[0] ?? 0);
    const converted = castData(this.data(values), 'f32', target.dtype);
    const into = this.data(target);
    copyRows(
      converted,
      (i) => i,
      into,
      (i) => rows[i]!,
      rows.length,
      width,
    );
  }

  unary(op: UnaryOp, x: Tensor): Tensor {
    checkDtype(op, x, 'f32');
    this.own(x);
    const out = this.empty(x.shape, 'f32');
    const [from, to, apply] = [this.data(x), this.data(out), UNARY[op]];
    for (let i = 0; i < to.length; i++) to[i] = apply(from[i]!);
    return out;
  }

  binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    checkDtype(op, a, ...(op === 'div' ? (['f32'] as const) : (['f32', 'i32'] as const)));
    checkDtype(op, b, a.dtype);
    const shape = broadcastShapes(op, a.shape, b.shape);
    const isComparison = (COMPARISON_OPS as readonly BinaryOp[]).includes(op);
    this.own(a, b);
    const out = this.empty(shape, isComparison ? 'i32' : a.dtype);
    const [left, right, to, apply] = [this.data(a), this.data(b), this.data(out), BINARY[op]];
    const [ofLeft, ofRight] = [broadcastOffsets(a.shape, shape), broadcastOffsets(b.shape, shape)];
    for (let i = 0; i < to.length; i++) to[i] = apply(left[ofLeft[i]!]!, right[ofRight[i]!]!);
    return out;
  }

  where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    checkDtype('where', condition, 'i32');
    checkDtype('where', b, a.dtype);
    const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
    this.own(condition, a, b);
    const out = this.empty(shape, a.dtype);
    const [test, left, right, to] = [this.data(condition), this.data(a), this.data(b), this.data(out)];
    const [ofTest, ofLeft, ofRight] = [condition, a, b].map((x) => broadcastOffsets(x.shape, shape));
    for (let i = 0; i < to.length; i++) to[i] = test[ofTest![i]!] ? left[ofLeft![i]!]! : right[ofRight![i]!]!;
    return out;
  }

  reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    checkDtype(op, x, 'f32');
    const at = resolveAxis(op, axis, x.rank);
    this.own(x);
    const out = this.empty(reduceShape(x.shape, at, options), 'f32');
    reduce(op, this.floats(x), x.shape, at, this.floats(out));
    return out;
  }

  matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    checkDtype('matmul', a, 'f32');
    checkDtype('matmul', b, 'f32');
    const sizes = matmulShape(a.shape, b.shape, options);
    this.own(a, b);
    const out = this.empty(sizes.shape, 'f32');
    matmul(this.floats(a), a.shape, this.floats(b), b.shape, this.floats(out), sizes, options);
    return out;
  }

  gather(data: Tensor, indices: Tensor): Tensor {
    checkDtype('gather', indices, 'i32');
    this.own(data, indices);
    const shape = gatherShape(data.shape, indices.shape);
    checkIndices('gather', this.integers(indices), data.shape[0]!);
    const out = this.empty(shape, data.dtype);
    const rows = this.integers(indices);
    const width = sizeOf(data.shape.slice(1));
    copyRows(
      this.data(data),
      (i) => rows[i]!,
      this.data(out),
      (i) => i,
      rows.length,
      width,
    );
    return out;
  }

  scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor {
    checkDtype('scatterAdd', indices, 'i32');
    checkDtype('scatterAdd', updates, 'f32');
    const shape = scatterAddShape(indices.shape, updates.shape, rows);
    this.own(indices, updates);
    checkIndices('scatterAdd', this.integers(indices), rows);
    const out = this.empty(shape, 'f32');
    scatterAdd(this.integers(indices), this.floats(updates), sizeOf(shape.slice(1)), this.floats(out));
    return out;
  }

  topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    checkDtype('topK', x, 'f32');
    const shape = topKShape(x.shape, k);
    this.own(x);
    const values = this.empty(shape, 'f32');
    const indices = this.empty(shape, 'i32');
    topK(this.floats(x), x.shape.at(-1)!, k, this.floats(values), this.integers(indices));
    return { values, indices };
  }

  slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    const at = resolveAxis('slice', axis, x.rank);
    this.own(x);
    const out = this.empty(sliceShape(x.shape, at, start, end), x.dtype);
    slice(this.data(x), x.shape, at, start, end, this.data(out));
    return out;
  }

  concat(tensors: readonly Tensor[], axis: number): Tensor {
    const at = resolveAxis('concat', axis, tensors[0]?.rank ?? 0);
    for (const tensor of tensors) checkDtype('concat', tensor, tensors[0]!.dtype);
    const shape = concatShape(
      tensors.map((tensor) => tensor.shape),
      at,
    );
    this.own(...tensors);
    const out = this.empty(shape, tensors[0]!.dtype);
    const parts = tensors.map((tensor) => ({ data: this.data(tensor), shape: tensor.shape }));
    concat(parts, at, this.data(out));
    return out;
  }

  transpose(x: Tensor, permutation: readonly number[]): Tensor {
    this.own(x);
    const out = this.empty(transposeShape(x.shape, permutation), x.dtype);
    transpose(this.data(x), x.shape, permutation, this.data(out));
    return out;
  }

  cast(x: Tensor, dtype: TensorDType): Tensor {
    if (x.dtype === dtype) return this.reshape(x, x.shape);
    this.own(x);
    const out = this.empty(x.shape, dtype);
    this.data(out).set(castData(this.data(x), x.dtype, dtype));
    return out;
  }

  protected release(_storage: Storage): void {
    // The garbage collector takes the array.
  }

  /** A zeroed array for a new tensor; backends that keep their tensors in memory of their own override this. */
  protected allocate(dtype: TensorDType, length: number): Storage<TensorData> {
    const data = allocateTensorData(dtype, length);
    return new Storage(data, data.byteLength);
  }

  /** A new tensor of zeros. */
  protected empty(shape: Shape, dtype: TensorDType): Tensor {
    return this.make(shape, dtype, this.allocate(dtype, sizeOf(shape)));
  }

  /** The elements of a tensor of this backend, in place. Not to be held while another tensor is made. */
  protected data(tensor: Tensor): TensorData {
    this.own(tensor);
    return tensor.storage.payload as TensorData;
  }

  protected floats(tensor: Tensor): Float32Array {
    return this.data(tensor) as Float32Array;
  }

  protected integers(tensor: Tensor): Int32Array {
    return this.data(tensor) as Int32Array;
  }
}

/** Makes a reference backend. */
export function reference(): ReferenceBackend {
  return new ReferenceBackend();
}
