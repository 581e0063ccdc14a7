/**
 * exp in f32, four at a time. exp(x) = 2^n * p(r) with n = round(x / ln 2) and r = x - n ln 2, subtracted in two parts,
 * so that |r| <= 0.3466; p is a degree-6 polynomial (the Cephes coefficients) with a relative error below 2^-24 there.
 * In all the result is within 2 ulp for x in [-86.98, 88.7]; below it is 0, above 88.73 infinity, and NaN for NaN.
 */
import { EXP_C0, EXP_HIGH, EXP_LOW, LN2_LOWER, LN2_UPPER, LOG2E, ONE, ROUND_EXP, constant, constantF } from './constants';
import { madd, nmadd } from './simd';

// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax keep a NaN that is their first operand.
  const v = f32x4.pmin(f32x4.pmax(x, constant(EXP_LOW)), constant(EXP_HIGH));
  const t = madd(v, constant(LOG2E), constant(ROUND_EXP));
  const n = f32x4.sub(t, constant(ROUND_EXP));
  const r = nmadd(n, constant(LN2_LOWER), nmadd(n, constant(LN2_UPPER), v));
  let p = madd(constant(EXP_C0), r, constant(EXP_C0 + 1));
  p = madd(p, r, constant(EXP_C0 + 2));
  p = madd(p, r, constant(EXP_C0 + 3));
  p = madd(p, r, constant(EXP_C0 + 4));
  p = madd(p, r, constant(EXP_C0 + 5));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), constant(ONE));
  // The low bits of t are n + 126: shifted up they are 2^(n - 1), and n = 128 overflows only where the result does.
  const e = f32x4.mul(f32x4.add(p, p), i32x4.shl(t, 23));
  return v128.andnot(e, f32x4.lt(x, constant(EXP_LOW)));
}

/** The same, one at a time. */
export function exp1(x: f32): f32 {
  if (ASC_FEATURE_SIMD) return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
  if (x != x) return x;
  if (x < constantF(EXP_LOW)) return 0;
  const v = min<f32>(x, constantF(EXP_HIGH));
  const t = v * constantF(LOG2E) + constantF(ROUND_EXP);
  const n = t - constantF(ROUND_EXP);
  const r = v - n * constantF(LN2_UPPER) - n * constantF(LN2_LOWER);
  let p = constantF(EXP_C0) * r + constantF(EXP_C0 + 1);
  p = p * r + constantF(EXP_C0 + 2);
  p = p * r + constantF(EXP_C0 + 3);
  p = p * r + constantF(EXP_C0 + 4);
  p = p * r + constantF(EXP_C0 + 5);
  p = p * (r * r) + r + 1;
  return (p + p) * reinterpret<f32>(reinterpret<u32>(t) << 23);
}
