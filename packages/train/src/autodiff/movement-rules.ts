/** Gradients of the primitives that select, move and reduce. */
import { type Backend, range, type Shape, scalar, sizeOf, type Tensor } from '@mariana/core';
import type { Rule, Save } from './elementwise-rules.ts';
import type { Piece } from './graph.ts';
import { spread } from './shapes.ts';

/** A sum hands its gradient to all it summed. */
export function sumRule(backend: Backend, shape: Shape, axis: number): Rule {
  return (gradient) => spread(backend, gradient, shape, axis);
}

/** A maximum hands its gradient to the largest element; equal ones share it. */
export function maxRule(backend: Backend, save: Save, x: Tensor, y: Tensor, axis: number): Rule {
  const [operand, result] = [save(x), save(y)];
  return (gradient) => {
    const kept = operand.shape.with(axis, 1);
    const isLargest = backend.cast(backend.binary('equal', operand, backend.reshape(result, kept)), 'f32');
    const count = backend.reduce('sum', isLargest, axis, { keepDims: true });
    const share = backend.binary('div', backend.reshape(gradient, kept), count);
    return backend.binary('mul', isLargest, share);
  };
}

/** Rows that were gathered several times collect the sum of their gradients. */
export function gatherRule(backend: Backend, save: Save, data: Shape, indices: Tensor): Rule {
  const saved = save(indices);
  return (gradient) => {
    const updates = backend.reshape(gradient, [saved.size, ...data.slice(1)]);
    return backend.scatterAdd(backend.reshape(saved, [saved.size]), updates, data[0]!);
  };
}

/** Each update has the gradient of the row that it was added to. */
export function scatterAddRule(backend: Backend, save: Save, indices: Tensor): Rule {
  const saved = save(indices);
  return (gradient) => backend.gather(gradient, saved);
}

/** The values go back to the places that they were taken from. */
export function topKRule(backend: Backend, save: Save, shape: Shape, indices: Tensor): Rule {
  const saved = save(indices);
  return (gradient) => {
    const size = sizeOf(shape);
    const width = shape.at(-1)!;
    const rows = width === 0 ? 0 : size / width;
    const chosen = backend.reshape(saved, [rows, saved.shape.at(-1)!]);
    const places = backend.binary('add', chosen, backend.reshape(range(backend, rows, width), [rows, 1]));
    const flat = backend.reshape(places, [places.size]);
    return backend.scatterAdd(flat, backend.reshape(gradient, [gradient.size]), size);
  };
}

/** What was cut away has gradient zero. */
export function sliceRule(axis: number, start: number, end: number): (gradient: Tensor) => Piece {
  return (gradient) => ({ axis, start, end, gradient });
}

/** Each part takes its piece of the gradient. */
export function concatRule(backend: Backend, axis: number, start: number, end: number): Rule {
  return (gradient) => backend.slice(gradient, axis, start, end);
}

export function transposeRule(backend: Backend, permutation: readonly number[]): Rule {
  const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
  return (gradient) => backend.transpose(gradient, inverse);
}

/** The gradient where the condition chose this operand, else zero. */
export function whereRule(backend: Backend, save: Save, condition: Tensor, operand: 'a' | 'b'): Rule {
  const saved = save(condition);
  return (gradient) => {
    const zero = scalar(backend, 0);
    return operand === 'a' ? backend.where(saved, gradient, zero) : backend.where(saved, zero, gradient);
  };
}
