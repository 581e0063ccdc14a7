/** The two movements that gradients make between broadcast shapes: summing down, and spreading out. */
import { type Backend, type Shape, sizeOf, type Tensor } from '@mariana/core';

/**
 * Sums a gradient over the axes along which an operand of shape `shape` was stretched. Neighbouring axes are merged
 * first, so that a bias costs one reduction whatever the rank.
 */
export function sumTo(backend: Backend, gradient: Tensor, shape: Shape): Tensor {
  const lead = gradient.rank - shape.length;
  const groups: { size: number; stretched: boolean }[] = [];
  gradient.shape.forEach((size, axis) => {
    const stretched = size !== 1 && (axis < lead || shape[axis - lead] === 1);
    const last = groups.at(-1);
    if (last && (last.stretched === stretched || size === 1)) last.size *= size;
    else groups.push({ size, stretched });
  });
  if (!groups.some((group) => group.stretched)) return backend.reshape(gradient, shape);
  let sum = backend.reshape(
    gradient,
    groups.map((group) => group.size),
  );
  for (let i = groups.length - 1; i >= 0; i--) {
    if (groups[i]!.stretched) sum = backend.reduce('sum', sum, i);
  }
  return backend.reshape(sum, shape);
}

/** Repeats a tensor of shape `shape` with axis `axis` removed (or of size 1) along that axis: the reverse of a sum. */
export function spread(backend: Backend, x: Tensor, shape: Shape, axis: number): Tensor {
  const kept = backend.reshape(x, shape.with(axis, 1));
  // Adding a column of zeros stretches without an operation of its own in the contract.
  const zeros = [shape[axis]!, ...new Array<number>(shape.length - axis - 1).fill(1)];
  return backend.binary('add', kept, zerosOf(backend, zeros));
}

/** F32 zeros. */
export function zerosOf(backend: Backend, shape: Shape): Tensor {
  return backend.upload(new Float32Array(sizeOf(shape)), shape);
}
