/**
 * exp in f32 over its whole range, subnormal results included: the reduction and the polynomial of `math.ts`, but the
 * power of two is multiplied in two halves, so that neither leaves the range of exponents and what is too small is
 * rounded once.
 */
import { EXP_C0, EXP_HIGH, LN2_LOWER, LN2_UPPER, LOG2E, ONE, ROUND, constant, constantF } from './constants';
import { madd, nmadd } from './simd';

const TABLE = memory.data<u32>([
  0xc2d00000, // -104: below it the result is 0
  0x0000007f, // the bias of an exponent
]);

/** Within 2 ulp; NaN for NaN. */
// @ts-ignore: decorator
@inline
export function expOf4(x: v128): v128 {
  // pmin and pmax keep a NaN that is their first operand.
  const v = f32x4.pmin(f32x4.pmax(x, v128.load32_splat(TABLE)), constant(EXP_HIGH));
  const round = constant(ROUND);
  const t = madd(v, constant(LOG2E), round);
  const n = f32x4.sub(t, round);
  const r = nmadd(n, constant(LN2_LOWER), nmadd(n, constant(LN2_UPPER), v));
  let p = madd(constant(EXP_C0), r, constant(EXP_C0 + 1));
  p = madd(p, r, constant(EXP_C0 + 2));
  p = madd(p, r, constant(EXP_C0 + 3));
  p = madd(p, r, constant(EXP_C0 + 4));
  p = madd(p, r, constant(EXP_C0 + 5));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), constant(ONE));
  // Added to 1.5 * 2^23, n stands in the low bits.
  const e = i32x4.sub(t, round);
  const half = i32x4.shr_s(e, 1);
  return f32x4.mul(f32x4.mul(p, power4(half)), power4(i32x4.sub(e, half)));
}

/** 2^n for small n. */
// @ts-ignore: decorator
@inline
function power4(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, v128.load32_splat(TABLE, 4)), 23);
}

/** The same, one at a time, for builds without vectors. */
export function expOf1(x: f32): f32 {
  if (x != x) return x;
  const v = min<f32>(max<f32>(x, -104), constantF(EXP_HIGH));
  const t = v * constantF(LOG2E) + constantF(ROUND);
  const n = t - constantF(ROUND);
  const r = v - n * constantF(LN2_UPPER) - n * constantF(LN2_LOWER);
  let p = constantF(EXP_C0) * r + constantF(EXP_C0 + 1);
  p = p * r + constantF(EXP_C0 + 2);
  p = p * r + constantF(EXP_C0 + 3);
  p = p * r + constantF(EXP_C0 + 4);
  p = p * r + constantF(EXP_C0 + 5);
  p = p * (r * r) + r + 1;
  const e = <i32>n;
  const half = e >> 1;
  return p * power1(half) * power1(e - half);
}

// @ts-ignore: decorator
@inline
function power1(n: i32): f32 {
  return reinterpret<f32>((n + 127) << 23);
}
