/**
 * The elementwise functions of one F32 tensor that have no kernel: a loop for each (see `integer-loops.ts`), computed in
 * double precision and rounded once, as the reference does.
 */
import type { UnaryOp } from '@mariana/core';
import type { KernelUnaryOp } from '../wasm/index.ts';

/** f32[o + i] = f(f32[x + i]) for n elements. */
type UnaryLoop = (f32: Float32Array<ArrayBufferLike>, x: number, o: number, n: number) => void;

export const UNARY_LOOPS: Readonly<Record<Exclude<UnaryOp, KernelUnaryOp>, UnaryLoop>> = {
  sign(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.sign(f32[x + i]!);
  },
  exp2(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = 2 ** f32[x + i]!;
  },
  log(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.log(f32[x + i]!);
  },
  log2(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.log2(f32[x + i]!);
  },
};
