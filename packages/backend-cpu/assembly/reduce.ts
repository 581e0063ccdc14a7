/**
 * Sums and maxima of f32 along one axis. Sums are kept in f64. A result is folded by one thread, in an order that depends
 * on nothing but the shape.
 */
import { arg, argPtr, max4 } from './simd';

const SUM: i32 = 0;

/** Columns that are reduced side by side: a cache line. */
const STRIP: i32 = 16;

/** y[r] = the fold of x[r]. Arguments: op (0 sum, 1 max), x, y, size. Units are rows. */
export function reduceRows(args: usize, begin: i32, end: i32): void {
  const op = arg(args, 0), x = argPtr(args, 1), y = argPtr(args, 2), size = arg(args, 3);
  for (let r = <usize>begin; r < <usize>end; r++) {
    const row = x + r * (<usize>size << 2);
    store<f32>(y + (r << 2), op == SUM ? sumOf(row, size) : maxOf(row, size));
  }
}

function sumOf(x: usize, n: i32): f32 {
  const end = x + (<usize>n << 2);
  let sum: f64 = 0;
  if (ASC_FEATURE_SIMD) {
    let a = f64x2.splat(0), b = a, c = a, d = a;
    for (; x + 32 <= end; x += 32) {
      const u = v128.load(x), v = v128.load(x, 16);
      a = f64x2.add(a, f64x2.promote_low_f32x4(u));
      b = f64x2.add(b, f64x2.promote_low_f32x4(upper(u)));
      c = f64x2.add(c, f64x2.promote_low_f32x4(v));
      d = f64x2.add(d, f64x2.promote_low_f32x4(upper(v)));
    }
    const s = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
    sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
  }
  for (; x < end; x += 4) sum += <f64>load<f32>(x);
  return <f32>sum;
}

/** NaN where there is one. */
function maxOf(x: usize, n: i32): f32 {
  const end = x + (<usize>n << 2);
  let top: f32 = -Infinity;
  if (ASC_FEATURE_SIMD) {
    let a = f32x4.splat(-Infinity), b = a;
    for (; x + 32 <= end; x += 32) {
      a = f32x4.max(a, v128.load(x));
      b = f32x4.max(b, v128.load(x, 16));
    }
    top = max4(f32x4.max(a, b));
  }
  for (; x < end; x += 4) top = max(top, load<f32>(x));
  return top;
}

// @ts-ignore: decorator
@inline
export function upper(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 2, 3, 2, 3);
}

/** y[o, c] = the fold of x[o, :, c] for c below `inner`. Arguments: op, x, y, size, inner. Units are strips of 16 columns of one o. */
export function reduceColumns(args: usize, begin: i32, end: i32): void {
  const op = arg(args, 0), x = argPtr(args, 1), y = argPtr(args, 2), size = arg(args, 3), inner = arg(args, 4);
  const strips = (inner + STRIP - 1) / STRIP, stride = <usize>inner << 2;
  for (let u = begin; u < end; u++) {
    const first = (u % strips) * STRIP, n = min(STRIP, inner - first);
    const from = x + <usize>(u / strips) * <usize>size * stride + (<usize>first << 2);
    const to = y + <usize>(u / strips) * stride + (<usize>first << 2);
    if (op == SUM) sumStrip(from, to, size, stride, n);
    else maxStrip(from, to, size, stride, n);
  }
}

function sumStrip(x: usize, y: usize, size: i32, stride: usize, n: i32): void {
  const end = x + <usize>size * stride;
  let c = 0;
  if (ASC_FEATURE_SIMD) {
    if (n == STRIP) {
      let a = f64x2.splat(0), b = a, d = a, e = a, f = a, g = a, h = a, i = a;
      for (let p = x; p < end; p += stride) {
        const t = v128.load(p), u = v128.load(p, 16), v = v128.load(p, 32), w = v128.load(p, 48);
        a = f64x2.add(a, f64x2.promote_low_f32x4(t));
        b = f64x2.add(b, f64x2.promote_low_f32x4(upper(t)));
        d = f64x2.add(d, f64x2.promote_low_f32x4(u));
        e = f64x2.add(e, f64x2.promote_low_f32x4(upper(u)));
        f = f64x2.add(f, f64x2.promote_low_f32x4(v));
        g = f64x2.add(g, f64x2.promote_low_f32x4(upper(v)));
        h = f64x2.add(h, f64x2.promote_low_f32x4(w));
        i = f64x2.add(i, f64x2.promote_low_f32x4(upper(w)));
      }
      v128.store(y, demote(a, b));
      v128.store(y, demote(d, e), 16);
      v128.store(y, demote(f, g), 32);
      v128.store(y, demote(h, i), 48);
      return;
    }
    for (; c + 4 <= n; c += 4) {
      let a = f64x2.splat(0), b = a;
      for (let p = x + (<usize>c << 2); p < end; p += stride) {
        const v = v128.load(p);
        a = f64x2.add(a, f64x2.promote_low_f32x4(v));
        b = f64x2.add(b, f64x2.promote_low_f32x4(upper(v)));
      }
      v128.store(y + (<usize>c << 2), demote(a, b));
    }
  }
  for (; c < n; c++) {
    let sum: f64 = 0;
    for (let p = x + (<usize>c << 2); p < end; p += stride) sum += <f64>load<f32>(p);
    store<f32>(y + (<usize>c << 2), <f32>sum);
  }
}

// @ts-ignore: decorator
@inline
function demote(low: v128, high: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}

function maxStrip(x: usize, y: usize, size: i32, stride: usize, n: i32): void {
  const end = x + <usize>size * stride;
  let c = 0;
  if (ASC_FEATURE_SIMD) {
    if (n == STRIP) {
      let a = f32x4.splat(-Infinity), b = a, d = a, e = a;
      for (let p = x; p < end; p += stride) {
        a = f32x4.max(a, v128.load(p));
        b = f32x4.max(b, v128.load(p, 16));
        d = f32x4.max(d, v128.load(p, 32));
        e = f32x4.max(e, v128.load(p, 48));
      }
      v128.store(y, a);
      v128.store(y, b, 16);
      v128.store(y, d, 32);
      v128.store(y, e, 48);
      return;
    }
    for (; c + 4 <= n; c += 4) {
      let a = f32x4.splat(-Infinity);
      for (let p = x + (<usize>c << 2); p < end; p += stride) a = f32x4.max(a, v128.load(p));
      v128.store(y + (<usize>c << 2), a);
    }
  }
  for (; c < n; c++) {
    let top: f32 = -Infinity;
    for (let p = x + (<usize>c << 2); p < end; p += stride) top = max(top, load<f32>(p));
    store<f32>(y + (<usize>c << 2), top);
  }
}
