/**
 * Copies between the host and the arena. On shared memory V8's `set` moves whole words where both sides have the same
 * alignment to 8 bytes, and single bytes where they do not; then, and for the few elements of a scalar, a loop is faster.
 */
import type { TensorData } from '@mariana/core';

/** Below this a call costs more than the copy. */
const SHORT = 16;

/** @param to - An array of the same type and length. */
export function copyElements(from: TensorData, to: TensorData): void {
  if (from.length >= SHORT && from.byteOffset % 8 === to.byteOffset % 8) to.set(from);
  else for (let i = 0; i < from.length; i++) to[i] = from[i]!;
}
