/**
 * The elementwise functions of one F32 tensor, a loop for each (see `binary-loops.ts`). Computed in double precision and
 * rounded once, as the reference does.
 */
import type { UnaryOp } from '@mariana/core';

/** f32[o + i] = f(f32[x + i]) for n elements. */
export type UnaryLoop = (f32: Float32Array<ArrayBufferLike>, x: number, o: number, n: number) => void;

export const UNARY_LOOPS: Readonly<Record<UnaryOp, UnaryLoop>> = {
  neg(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = -f32[x + i]!;
  },
  abs(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.abs(f32[x + i]!);
  },
  sign(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.sign(f32[x + i]!);
  },
  floor(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.floor(f32[x + i]!);
  },
  ceil(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.ceil(f32[x + i]!);
  },
  exp(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.exp(f32[x + i]!);
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
  sqrt(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = Math.sqrt(f32[x + i]!);
  },
  rsqrt(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = 1 / Math.sqrt(f32[x + i]!);
  },
  sigmoid(f32, x, o, n) {
    for (let i = 0; i < n; i++) f32[o + i] = 1 / (1 + Math.exp(-f32[x + i]!));
  },
};
