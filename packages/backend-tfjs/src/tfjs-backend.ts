/**
 * The Backend contract over TensorFlow.js: each primitive is a few tfjs ops, every composite is the contract's default.
 * One class for every engine of tfjs; the packages for WebGPU and CUDA extend it with kernels of their own.
 */
import {
  type BinaryOp,
  broadcastShapes,
  checkDtype,
  concatShape,
  gatherShape,
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
  type TensorDType,
  topKShape,
  transposeShape,
  type UnaryOp,
} from '@mariana/core';
import { castTensor, toFloat32 } from './ops/cast.ts';
import { collapseBroadcast, collapseTranspose, splitAtAxis } from './ops/collapse-shapes.ts';
import { binary, isComparison, reduceMax, select, unary } from './ops/elementwise.ts';
import { matmul } from './ops/matmul.ts';
import { topK } from './ops/top-k.ts';
import type { TfTensor } from './tf-module.ts';
import { TfjsStorage } from './tfjs-storage.ts';

/** The contract over one engine of TensorFlow.js. Make it with `tfjs({ tf, engine })`, which sees that the engine runs. */
export class TfjsBackend<T extends TfTensor = TfTensor> extends TfjsStorage<T> {
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
      const [left, right] = this.#views([a, b], shape);
      return binary(this.tf, this.traits, op, left!, right!);
    });
  }

  where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    checkDtype('where', condition, 'i32');
    checkDtype('where', b, a.dtype);
    const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
    this.own(condition, a, b);
    return this.compute('where', shape, a.dtype, () => {
      const [test, left, right] = this.#views([condition, a, b], shape);
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

  /** The operands in as few axes as broadcasting to `shape` needs. */
  #views(operands: readonly Tensor[], shape: Shape): TfTensor[] {
    const shapes = collapseBroadcast(
      operands.map((operand) => operand.shape),
      shape,
    );
    return operands.map((operand, i) => this.view(operand, shapes[i]!));
  }
}
