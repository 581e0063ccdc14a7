/**
 * The elementwise functions of two I32 tensors: few and small, so that plain loops serve them. One for each function: the
 * engine compiles well what does one thing on arrays of one type, and badly what calls back for each element. Offsets and
 * steps are in elements of an array that spans a whole memory.
 */
import type { BinaryOp } from '@mariana/core';

type Integers = Int32Array<ArrayBufferLike>;

/** i32[o + i] = f(i32[a + i * aStep], i32[b + i * bStep]) for n elements. */
type IntegerLoop = (i32: Integers, a: number, aStep: number, b: number, bStep: number, o: number, n: number) => void;

export const INTEGER_LOOPS: Readonly<Record<Exclude<BinaryOp, 'div'>, IntegerLoop>> = {
  add(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = (i32[a]! + i32[b]!) | 0;
  },
  sub(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = (i32[a]! - i32[b]!) | 0;
  },
  mul(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = Math.imul(i32[a]!, i32[b]!);
  },
  max(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = Math.max(i32[a]!, i32[b]!);
  },
  min(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = Math.min(i32[a]!, i32[b]!);
  },
  equal(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = i32[a]! === i32[b]! ? 1 : 0;
  },
  less(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = i32[a]! < i32[b]! ? 1 : 0;
  },
  lessEqual(i32, a, aStep, b, bStep, o, n) {
    for (let i = 0; i < n; i++, a += aStep, b += bStep) i32[o + i] = i32[a]! <= i32[b]! ? 1 : 0;
  },
};
