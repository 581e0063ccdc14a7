/**
 * exp in f32, four at a time. exp(x) = 2^n * p(r) with n = round(x / ln 2) and r = x - n ln 2 in two parts, so that
 * |r| <= 0.3466; p is a degree-6 polynomial (the Cephes coefficients) with a relative error below 2^-24 there. In all
 * the result is within 2 ulp for x in [-87, 88.7]; it is 0 below -103, infinity above 88.73, and NaN for NaN.
 */
import { madd } from './simd';

const LOG2E: f32 = 1.44269504088896341;
/** ln 2 in two parts; n times the first is exact. */
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;
const C0: f32 = 1.9875691500e-4;
const C1: f32 = 1.3981999507e-3;
const C2: f32 = 8.3334519073e-3;
const C3: f32 = 4.1665795894e-2;
const C4: f32 = 1.6666665459e-1;
const C5: f32 = 5.0000001201e-1;
/** Beyond these the result is 0 or infinity anyway; NaN passes both ways. */
const LOWEST: f32 = -104;
const HIGHEST: f32 = 89;

// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const v = f32x4.min(f32x4.max(x, f32x4.splat(LOWEST)), f32x4.splat(HIGHEST));
  const n = f32x4.nearest(f32x4.mul(v, f32x4.splat(LOG2E)));
  let r = f32x4.sub(v, f32x4.mul(n, f32x4.splat(LN2_HIGH)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(LN2_LOW)));
  let p = madd(f32x4.splat(C0), r, f32x4.splat(C1));
  p = madd(p, r, f32x4.splat(C2));
  p = madd(p, r, f32x4.splat(C3));
  p = madd(p, r, f32x4.splat(C4));
  p = madd(p, r, f32x4.splat(C5));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1));
  // 2^n in two steps, since n reaches from -150 to 128.
  const i = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(i, 1);
  const rest = i32x4.sub(i, half);
  const bias = i32x4.splat(127);
  p = f32x4.mul(p, i32x4.shl(i32x4.add(half, bias), 23));
  return f32x4.mul(p, i32x4.shl(i32x4.add(rest, bias), 23));
}

/** The same, one at a time. */
export function exp1(x: f32): f32 {
  if (ASC_FEATURE_SIMD) return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
  const v = min<f32>(max<f32>(x, LOWEST), HIGHEST);
  if (v != v) return v;
  const n = nearest(v * LOG2E);
  const r = v - n * LN2_HIGH - n * LN2_LOW;
  let p = C0 * r + C1;
  p = p * r + C2;
  p = p * r + C3;
  p = p * r + C4;
  p = p * r + C5;
  p = p * (r * r) + r + 1;
  const i = <i32>n;
  const half = i >> 1;
  return p * reinterpret<f32>((half + 127) << 23) * reinterpret<f32>((i - half + 127) << 23);
}
