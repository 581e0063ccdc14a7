/** Choice between two tensors, element by element, in any dtype. */
import { broadcastShapes, checkDtype, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { type Cells, cellsOf } from './cells.ts';
import { forEachRun, loopNest } from './loop-nest.ts';

export function where(backend: CpuBackend, condition: Tensor, a: Tensor, b: Tensor): Tensor {
  checkDtype('where', condition, 'i32');
  checkDtype('where', b, a.dtype);
  const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
  for (const operand of [condition, a, b]) backend.pointer(operand);
  const out = backend.output(shape, a.dtype);
  if (out.size === 0) return out;
  const { arena } = backend.engine;
  const { cells, width } = cellsOf(arena, a.dtype);
  const test = backend.pointer(condition) / 4;
  const [left, right] = [backend.pointer(a) / width, backend.pointer(b) / width];
  const nest = loopNest(shape, [condition.shape, a.shape, b.shape]);
  const size = nest.sizes[0]!;
  const [testStep, aStep, bStep] = nest.steps.map((steps) => steps[0]!) as [number, number, number];
  let to = backend.pointer(out) / width;
  forEachRun(nest, 1, (fromTest, fromA, fromB) => {
    choose(arena.i32, cells, test + fromTest, testStep, left + fromA, aStep, right + fromB, bStep, to, size);
    to += size;
  });
  return out;
}

function choose(
  tests: Int32Array<ArrayBufferLike>,
  cells: Cells,
  test: number,
  testStep: number,
  a: number,
  aStep: number,
  b: number,
  bStep: number,
  o: number,
  n: number,
): void {
  for (let i = 0; i < n; i++) {
    cells[o + i] = tests[test]! === 0 ? cells[b]! : cells[a]!;
    test += testStep;
    a += aStep;
    b += bStep;
  }
}
