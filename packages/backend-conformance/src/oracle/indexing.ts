/** Row-major positions and coordinates: what "contiguous, row-major" and "broadcast" mean, worked out one by one. */
import type { Shape } from '@mariana/core';

/** Number of elements of a shape. */
export const count = (shape: Shape) => shape.reduce((product, size) => product * size, 1);

/** Coordinates of the element at a position. */
export function coordinatesOf(position: number, shape: Shape): number[] {
  const coordinates = new Array<number>(shape.length);
  let rest = position;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    coordinates[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return coordinates;
}

/** Position of the element at coordinates. */
export function positionOf(coordinates: readonly number[], shape: Shape): number {
  return shape.reduce((position, size, axis) => position * size + coordinates[axis]!, 0);
}

/** The shape that operands broadcast to. They must be known to do so. */
export function broadcastShape(...shapes: readonly Shape[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}

/** Position, in an operand that broadcasts, of what stands at these coordinates of the result. */
export function broadcastPosition(coordinates: readonly number[], operand: Shape): number {
  const own = coordinates.slice(coordinates.length - operand.length);
  return positionOf(
    own.map((coordinate, axis) => (operand[axis] === 1 ? 0 : coordinate)),
    operand,
  );
}

/** The elements of a result of this shape, each from its coordinates. */
export function build(shape: Shape, element: (coordinates: number[]) => number): Float64Array {
  return Float64Array.from({ length: count(shape) }, (_, position) => element(coordinatesOf(position, shape)));
}
