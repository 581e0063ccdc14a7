/** Choice between two tensors, element by element, in any dtype: a kernel for words, a loop for shorter cells. */
import { broadcastShapes, checkDtype, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';
import { type Cells, cellsOf } from './cells.ts';
import { forEachRun, type LoopNest, loopNest, runLength } from './loop-nest.ts';

export function where(backend: CpuBackend, condition: Tensor, a: Tensor, b: Tensor): Tensor {
  checkDtype('where', condition, 'i32');
  checkDtype('where', b, a.dtype);
  const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
  for (const operand of [condition, a, b]) backend.pointer(operand);
  const out = backend.output(shape, a.dtype);
  if (out.size === 0) return out;
  const nest = loopNest(shape, [condition.shape, a.shape, b.shape]);
  const at = {
    test: backend.pointer(condition),
    a: backend.pointer(a),
    b: backend.pointer(b),
    y: backend.pointer(out),
  };
  const { cells, width } = cellsOf(backend.engine.arena, a.dtype);
  if (width === 4) chooseWords(backend, nest, at);
  else chooseCells(backend.engine.arena.i32, cells, width, nest, at);
  return out;
}

/** Addresses of the operands and the result. */
interface Places {
  readonly test: number;
  readonly a: number;
  readonly b: number;
  readonly y: number;
}

function chooseWords(backend: CpuBackend, nest: LoopNest, { test, a, b, y }: Places): void {
  const job = backend.engine.job();
  const bytes = 4 * runLength(nest, 3);
  let to = y;
  forEachRun(nest, 3, (fromTest, fromA, fromB) => {
    kernels.choose(job, {
      test: test + 4 * fromTest,
      a: a + 4 * fromA,
      b: b + 4 * fromB,
      y: to,
      sizes: nest.sizes,
      steps: nest.steps,
    });
    to += bytes;
  });
  job.run();
}

function chooseCells(
  tests: Int32Array<ArrayBufferLike>,
  cells: Cells,
  width: number,
  nest: LoopNest,
  { test, a, b, y }: Places,
): void {
  const size = nest.sizes[0]!;
  const [testStep, aStep, bStep] = nest.steps.map((steps) => steps[0]!) as [number, number, number];
  let to = y / width;
  forEachRun(nest, 1, (fromTest, fromA, fromB) => {
    let [t, i, j] = [test / 4 + fromTest, a / width + fromA, b / width + fromB];
    for (const end = to + size; to < end; to++, t += testStep, i += aStep, j += bStep) {
      cells[to] = tests[t]! === 0 ? cells[j]! : cells[i]!;
    }
  });
}
