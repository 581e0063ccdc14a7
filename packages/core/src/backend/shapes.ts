/**
 * Shape and dtype rules of the primitives, in one place, so that every backend refuses the same inputs with the same
 * error. Each function checks its operands and returns the shape of the result.
 */
import type { TensorDType } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';
import type { MatmulOptions, ReduceOptions } from './operations.ts';
import { type Shape, sizeOf, type Tensor } from './tensor.ts';

function mismatch(operation: string, problem: string): MarianaError {
  return new MarianaError('SHAPE_MISMATCH', `${operation}: ${problem}`);
}

const show = (shape: Shape) => `[${shape.join(', ')}]`;

/** @throws MarianaError `DTYPE_MISMATCH` unless the tensor has one of the dtypes. */
export function checkDtype(operation: string, tensor: Tensor, ...allowed: readonly TensorDType[]): void {
  if (allowed.includes(tensor.dtype)) return;
  throw new MarianaError(
    'DTYPE_MISMATCH',
    `${operation}: takes ${allowed.join(' or ')}, not a ${tensor}; convert it with backend.cast`,
  );
}

/** Checks a shape given by the caller, and that it holds `length` values if that is known. */
export function checkShape(operation: string, shape: Shape, length?: number): void {
  for (const axis of shape) {
    if (!Number.isSafeInteger(axis) || axis < 0) throw mismatch(operation, `${show(shape)} is not a shape`);
  }
  if (length !== undefined && sizeOf(shape) !== length) {
    throw mismatch(operation, `${length} values do not fill the shape ${show(shape)} (${sizeOf(shape)} values)`);
  }
}

/** Resolves an axis that may count from the end (-1 is the last). */
export function resolveAxis(operation: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw mismatch(operation, `there is no axis ${axis} in a tensor of rank ${rank}`);
  }
  return resolved;
}

/** Shape of elementwise operations: axes are aligned at the end, and an axis of size 1 stretches. */
export function broadcastShapes(operation: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const out: number[] = new Array(rank).fill(1);
  for (const shape of shapes) {
    const lead = rank - shape.length;
    shape.forEach((axis, i) => {
      const have = out[lead + i]!;
      if (have === 1) out[lead + i] = axis;
      else if (axis !== 1 && axis !== have) {
        throw mismatch(operation, `shapes ${shapes.map(show).join(' and ')} do not broadcast`);
      }
    });
  }
  return out;
}

/** Sizes of a matrix product, with the shape of the result. */
export interface MatmulShape {
  readonly shape: number[];
  /** Broadcast leading axes of the result. */
  readonly batch: number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export function matmulShape(a: Shape, b: Shape, options: MatmulOptions = {}): MatmulShape {
  if (a.length < 2 || b.length < 2) {
    throw mismatch('matmul', `takes tensors of rank 2 or more, not ${show(a)} and ${show(b)}`);
  }
  const [a1, a2] = [a.at(-2)!, a.at(-1)!];
  const [b1, b2] = [b.at(-2)!, b.at(-1)!];
  const [m, k] = options.transposeA ? [a2, a1] : [a1, a2];
  const [kb, n] = options.transposeB ? [b2, b1] : [b1, b2];
  if (k !== kb) {
    const mark = (shape: Shape, transposed?: boolean) => show(shape) + (transposed ? ' transposed' : '');
    throw mismatch(
      'matmul',
      `${mark(a, options.transposeA)} times ${mark(b, options.transposeB)}: inner sizes ${k} and ${kb} differ`,
    );
  }
  const batch = broadcastShapes('matmul (leading axes)', a.slice(0, -2), b.slice(0, -2));
  return { shape: [...batch, m, n], batch, m, n, k };
}

export function reduceShape(shape: Shape, axis: number, options: ReduceOptions = {}): number[] {
  return options.keepDims ? shape.with(axis, 1) : shape.toSpliced(axis, 1);
}

export function sliceShape(shape: Shape, axis: number, start: number, end: number): number[] {
  const size = shape[axis]!;
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start || end > size) {
    throw mismatch('slice', `${start} to ${end} is not within axis ${axis} of ${show(shape)}`);
  }
  return shape.with(axis, end - start);
}

export function concatShape(shapes: readonly Shape[], axis: number): number[] {
  const [first, ...rest] = shapes;
  if (first === undefined) throw mismatch('concat', 'takes at least one tensor');
  let total = first[axis]!;
  for (const shape of rest) {
    if (shape.length !== first.length || shape.some((size, i) => i !== axis && size !== first[i])) {
      throw mismatch('concat', `${show(first)} and ${show(shape)} differ beside axis ${axis}`);
    }
    total += shape[axis]!;
  }
  return first.with(axis, total);
}

export function transposeShape(shape: Shape, permutation: readonly number[]): number[] {
  const seen = new Set(permutation);
  if (permutation.length !== shape.length || seen.size !== shape.length || !shape.every((_, axis) => seen.has(axis))) {
    throw mismatch('transpose', `[${permutation.join(', ')}] does not permute the axes of ${show(shape)}`);
  }
  return permutation.map((axis) => shape[axis]!);
}

export function gatherShape(data: Shape, indices: Shape): number[] {
  if (data.length === 0) throw mismatch('gather', 'takes data of rank 1 or more');
  return [...indices, ...data.slice(1)];
}

export function scatterAddShape(indices: Shape, updates: Shape, rows: number): number[] {
  if (indices.length !== 1 || updates.length === 0 || updates[0] !== indices[0]) {
    throw mismatch('scatterAdd', `indices ${show(indices)} do not name the rows of updates ${show(updates)}`);
  }
  checkShape('scatterAdd', [rows]);
  return [rows, ...updates.slice(1)];
}

export function topKShape(shape: Shape, k: number): number[] {
  const last = shape.at(-1);
  if (last === undefined || !Number.isInteger(k) || k < 0 || k > last) {
    throw mismatch('topK', `cannot take ${k} of the last axis of ${show(shape)}`);
  }
  return shape.with(-1, k);
}

/** @throws MarianaError `INVALID_ARGUMENT` for the first index that names no row. */
export function checkIndices(operation: string, indices: Int32Array, rows: number): void {
  const bad = indices.find((index) => index < 0 || index >= rows);
  if (bad !== undefined) {
    throw new MarianaError('INVALID_ARGUMENT', `${operation}: index ${bad} is not among ${rows} rows`);
  }
}

/** The operands of `rmsNorm`: x [..., D] and weight [D]. */
export function checkRmsNorm(x: Tensor, weight: Tensor): void {
  checkDtype('rmsNorm', x, 'f32');
  checkDtype('rmsNorm', weight, 'f32');
  if (x.rank === 0 || weight.rank !== 1 || weight.shape[0] !== x.shape.at(-1)) {
    throw mismatch('rmsNorm', `a weight ${show(weight.shape)} does not fit the last axis of ${show(x.shape)}`);
  }
}

/** The operands of `swiglu`: two of one shape. */
export function checkSwiglu(gate: Tensor, up: Tensor): void {
  checkDtype('swiglu', gate, 'f32');
  checkDtype('swiglu', up, 'f32');
  if (gate.rank !== up.rank || gate.shape.some((size, axis) => size !== up.shape[axis])) {
    throw mismatch('swiglu', `gate ${show(gate.shape)} and up ${show(up.shape)} differ`);
  }
}
