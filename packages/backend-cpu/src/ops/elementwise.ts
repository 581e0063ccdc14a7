/**
 * Elementwise functions of one and two tensors, with broadcasting: kernels for F32, loops for the rest. A view of memory
 * is taken after the result was allocated, which may have moved it.
 */
import { type BinaryOp, broadcastShapes, COMPARISON_OPS, checkDtype, type Tensor, type UnaryOp } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';
import { INTEGER_LOOPS } from './integer-loops.ts';
import { forEachRun, isSameShape, type LoopNest, loopNest, runLength } from './loop-nest.ts';
import { UNARY_LOOPS } from './unary-loops.ts';

export function unary(backend: CpuBackend, op: UnaryOp, x: Tensor): Tensor {
  checkDtype(op, x, 'f32');
  backend.pointer(x);
  const out = backend.output(x.shape);
  const [from, to] = [backend.pointer(x), backend.pointer(out)];
  if (kernels.isKernelUnaryOp(op)) {
    const job = backend.engine.job();
    kernels.unary(job, { op, x: from, y: to, n: x.size });
    job.run();
  } else {
    UNARY_LOOPS[op](backend.engine.arena.f32, from / 4, to / 4, x.size);
  }
  return out;
}

export function binary(backend: CpuBackend, op: BinaryOp, a: Tensor, b: Tensor): Tensor {
  checkDtype(op, a, ...(op === 'div' ? (['f32'] as const) : (['f32', 'i32'] as const)));
  checkDtype(op, b, a.dtype);
  const shape = isSameShape(a.shape, b.shape) ? a.shape : broadcastShapes(op, a.shape, b.shape);
  backend.pointer(a);
  backend.pointer(b);
  const isComparison = (COMPARISON_OPS as readonly BinaryOp[]).includes(op);
  const out = backend.output(shape, isComparison ? 'i32' : a.dtype);
  if (out.size === 0) return out;
  const nest = loopNest(shape, [a.shape, b.shape]);
  const places = { a: backend.pointer(a), b: backend.pointer(b), y: backend.pointer(out) };
  if (a.dtype === 'f32' || op === 'div') combineFloats(backend, op, nest, places);
  else combineIntegers(backend, op, nest, places);
  return out;
}

/** Addresses of the operands and the result. */
interface Places {
  readonly a: number;
  readonly b: number;
  readonly y: number;
}

/** The kernel has three loops; where there are more, it is called for each turn of the others. */
function combineFloats(backend: CpuBackend, op: BinaryOp, nest: LoopNest, { a, b, y }: Places): void {
  const job = backend.engine.job();
  const bytes = 4 * runLength(nest, 3);
  let to = y;
  forEachRun(nest, 3, (fromA, fromB) => {
    kernels.binary(job, { op, a: a + 4 * fromA, b: b + 4 * fromB, y: to, sizes: nest.sizes, steps: nest.steps });
    to += bytes;
  });
  job.run();
}

function combineIntegers(backend: CpuBackend, op: Exclude<BinaryOp, 'div'>, nest: LoopNest, { a, b, y }: Places): void {
  const { i32 } = backend.engine.arena;
  const loop = INTEGER_LOOPS[op];
  const size = nest.sizes[0]!;
  const [aStep, bStep] = nest.steps.map((steps) => steps[0]!) as [number, number];
  let to = y / 4;
  forEachRun(nest, 1, (fromA, fromB) => {
    loop(i32, a / 4 + fromA, aStep, b / 4 + fromB, bStep, to, size);
    to += size;
  });
}
