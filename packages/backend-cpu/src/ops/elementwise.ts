/**
 * Elementwise functions and `where`, with broadcasting, in loops over the whole first arena. A view is taken after the
 * result was allocated, which may move the memory.
 */
import {
  type BinaryOp,
  broadcastShapes,
  bytesPerElement,
  COMPARISON_OPS,
  type ComparisonOp,
  checkDtype,
  type Shape,
  type Tensor,
  type UnaryOp,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import type { Arena } from '../wasm/index.ts';
import { type BinaryLoop, COMPARISON_LOOPS, FLOAT_LOOPS, INTEGER_LOOPS } from './binary-loops.ts';
import { forEachRun, loopNest } from './loop-nest.ts';
import { UNARY_LOOPS } from './unary-loops.ts';

export function unary(backend: CpuBackend, op: UnaryOp, x: Tensor): Tensor {
  checkDtype(op, x, 'f32');
  const from = backend.pointer(x);
  const out = backend.output(x.shape);
  UNARY_LOOPS[op](backend.engine.arena.f32, from / 4, backend.pointer(out) / 4, x.size);
  return out;
}

export function binary(backend: CpuBackend, op: BinaryOp, a: Tensor, b: Tensor): Tensor {
  checkDtype(op, a, ...(op === 'div' ? (['f32'] as const) : (['f32', 'i32'] as const)));
  checkDtype(op, b, a.dtype);
  const shape = broadcastShapes(op, a.shape, b.shape);
  const [left, right] = [backend.pointer(a) / 4, backend.pointer(b) / 4];
  const out = backend.output(shape, isComparison(op) || a.dtype === 'i32' ? 'i32' : 'f32');
  if (out.size === 0) return out;
  const run = loopOf(op, a.dtype as 'f32' | 'i32', backend.engine.arena);
  const nest = loopNest(shape, [a.shape, b.shape]);
  const [size, aStep, bStep] = [nest.sizes[0]!, nest.steps[0]![0]!, nest.steps[1]![0]!];
  let to = backend.pointer(out) / 4;
  forEachRun(nest, 1, (fromA, fromB) => {
    run(left + fromA, aStep, right + fromB, bStep, to, size);
    to += size;
  });
  return out;
}

const isComparison = (op: BinaryOp): op is ComparisonOp => (COMPARISON_OPS as readonly BinaryOp[]).includes(op);

type BoundLoop = (a: number, aStep: number, b: number, bStep: number, o: number, n: number) => void;

/** The loop of an operation, on the views of this moment. */
function loopOf(op: BinaryOp, dtype: 'f32' | 'i32', { f32, i32 }: Arena): BoundLoop {
  const bind = <X, Y>(loop: BinaryLoop<X, Y>, x: X, y: Y): BoundLoop => {
    return (a, aStep, b, bStep, o, n) => loop(x, y, a, aStep, b, bStep, o, n);
  };
  if (isComparison(op)) return bind(COMPARISON_LOOPS[op], dtype === 'f32' ? f32 : i32, i32);
  return dtype === 'f32' || op === 'div' ? bind(FLOAT_LOOPS[op], f32, f32) : bind(INTEGER_LOOPS[op], i32, i32);
}

export function where(backend: CpuBackend, condition: Tensor, a: Tensor, b: Tensor): Tensor {
  checkDtype('where', condition, 'i32');
  checkDtype('where', b, a.dtype);
  const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
  const width = bytesPerElement(a.dtype);
  const test = backend.pointer(condition) / 4;
  const [left, right] = [backend.pointer(a) / width, backend.pointer(b) / width];
  const out = backend.output(shape, a.dtype);
  if (out.size === 0) return out;
  const { i32, u32, u16, u8 } = backend.engine.arena;
  const cells = width === 4 ? u32 : width === 2 ? u16 : u8;
  chooseAll(i32, cells, test, left, right, backend.pointer(out) / width, shape, [condition.shape, a.shape, b.shape]);
  return out;
}

type Cells = Uint32Array<ArrayBufferLike> | Uint16Array<ArrayBufferLike> | Uint8Array<ArrayBufferLike>;

function chooseAll(
  tests: Int32Array<ArrayBufferLike>,
  cells: Cells,
  test: number,
  a: number,
  b: number,
  o: number,
  shape: Shape,
  operands: readonly Shape[],
): void {
  const nest = loopNest(shape, operands);
  const size = nest.sizes[0]!;
  const [testStep, aStep, bStep] = nest.steps.map((step) => step[0]!) as [number, number, number];
  forEachRun(nest, 1, (fromTest, fromA, fromB) => {
    choose(tests, cells, test + fromTest, testStep, a + fromA, aStep, b + fromB, bStep, o, size);
    o += size;
  });
}

/** Moves bits: a value that is not a number keeps its own. */
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
