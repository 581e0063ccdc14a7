/**
 * What a layer does to rows besides products: norms, rotary embedding, SwiGLU, softmax, top-k, gathering and adding.
 * Strides are in elements. Units are rows unless a kernel says otherwise.
 */
import { ONE, constant } from './constants';
import { decodeBf16 } from './formats';
import { exp1, exp4 } from './math';
import { arg, argF, argPtr, largest, madd, sum4, zero } from './simd';

/** y = x / sqrt(mean(x^2) + eps) * w. Arguments: x, w, y, K, xStride, yStride, eps, plus (added to x first and stored back, or 0), plusStride. */
export function rmsNorm(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), K = arg(args, 3);
  const xStride = <usize>arg(args, 4) << 2, yStride = <usize>arg(args, 5) << 2, eps = argF(args, 6);
  const plus = argPtr(args, 7), plusStride = <usize>arg(args, 8) << 2;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const xt = x + t * xStride, yt = y + t * yStride;
    if (plus) addTo(xt, plus + t * plusStride, K);
    const scale = <f32>(1 / Math.sqrt(<f64>squares(xt, K) / <f64>K + <f64>eps));
    let k: usize = 0;
    const bytes = <usize>K << 2;
    if (ASC_FEATURE_SIMD) {
      const s = f32x4.splat(scale);
      for (; k + 16 <= bytes; k += 16) {
        v128.store(yt + k, f32x4.mul(f32x4.mul(v128.load(xt + k), s), v128.load(w + k)));
      }
    }
    for (; k < bytes; k += 4) store<f32>(yt + k, load<f32>(xt + k) * scale * load<f32>(w + k));
  }
}

function squares(x: usize, K: i32): f32 {
  const bytes = <usize>K << 2;
  let k: usize = 0;
  let s: f32 = 0;
  if (ASC_FEATURE_SIMD) {
    let a = zero(), b = zero();
    for (; k + 32 <= bytes; k += 32) {
      const u = v128.load(x + k), v = v128.load(x + k, 16);
      a = madd(u, u, a);
      b = madd(v, v, b);
    }
    s = sum4(f32x4.add(a, b));
    for (; k < bytes; k += 4) s += load<f32>(x + k) * load<f32>(x + k);
    return s;
  }
  let d: f64 = 0;
  for (; k < bytes; k += 4) d += <f64>load<f32>(x + k) * <f64>load<f32>(x + k);
  return <f32>d;
}

function addTo(x: usize, plus: usize, n: i32): void {
  let k: usize = 0;
  const bytes = <usize>n << 2;
  if (ASC_FEATURE_SIMD) {
    for (; k + 16 <= bytes; k += 16) v128.store(x + k, f32x4.add(v128.load(x + k), v128.load(plus + k)));
  }
  for (; k < bytes; k += 4) store<f32>(x + k, load<f32>(x + k) + load<f32>(plus + k));
}

/** y = a + scale * b, row by row. Arguments: a, b, y, K, aStride, bStride, yStride, scale. */
export function addRows(args: usize, begin: i32, end: i32): void {
  const a = argPtr(args, 0), b = argPtr(args, 1), y = argPtr(args, 2), bytes = <usize>arg(args, 3) << 2;
  const aStride = <usize>arg(args, 4) << 2, bStride = <usize>arg(args, 5) << 2, yStride = <usize>arg(args, 6) << 2;
  const scale = argF(args, 7);
  for (let t = <usize>begin; t < <usize>end; t++) {
    const at = a + t * aStride, bt = b + t * bStride, yt = y + t * yStride;
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      const s = f32x4.splat(scale);
      for (; k + 16 <= bytes; k += 16) {
        v128.store(yt + k, f32x4.add(v128.load(at + k), f32x4.mul(v128.load(bt + k), s)));
      }
    }
    for (; k < bytes; k += 4) store<f32>(yt + k, load<f32>(at + k) + load<f32>(bt + k) * scale);
  }
}

/**
 * Rotates the pairs (2i, 2i + 1) of x [T, H, R] by the angles of row t, into y (which may be x). Arguments: x, y, H, R,
 * cos, sin ([T, R / 2], or [positions, R / 2] with `positions`), xStride, xHeadStride, yStride, yHeadStride, positions
 * (i32 [T], or 0 for row t), inverse (1 turns back: the gradient). Units are tokens.
 */
export function rotary(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), y = argPtr(args, 1), H = arg(args, 2), R = arg(args, 3);
  const cos = argPtr(args, 4), sin = argPtr(args, 5);
  const xStride = <usize>arg(args, 6) << 2, xHead = <usize>arg(args, 7) << 2;
  const yStride = <usize>arg(args, 8) << 2, yHead = <usize>arg(args, 9) << 2;
  const positions = argPtr(args, 10);
  const sign: f32 = arg(args, 11) ? -1 : 1;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const row = positions ? <usize>load<i32>(positions + (t << 2)) : t;
    const c = cos + (row * <usize>(R >> 1) << 2), s = sin + (row * <usize>(R >> 1) << 2);
    for (let h: usize = 0; h < <usize>H; h++) {
      const from = x + t * xStride + h * xHead, to = y + t * yStride + h * yHead;
      for (let i: usize = 0; i < <usize>(R >> 1); i++) {
        const a = load<f32>(from + (i << 3)), b = load<f32>(from + (i << 3), 4);
        const ci = load<f32>(c + (i << 2)), si = load<f32>(s + (i << 2)) * sign;
        store<f32>(to + (i << 3), a * ci - b * si);
        store<f32>(to + (i << 3), a * si + b * ci, 4);
      }
    }
  }
}

/** y = silu(gate) * up. Arguments: gate, up, y, K, gateStride, upStride, yStride. y may be gate or up. */
export function swiglu(args: usize, begin: i32, end: i32): void {
  const gate = argPtr(args, 0), up = argPtr(args, 1), y = argPtr(args, 2), bytes = <usize>arg(args, 3) << 2;
  const gStride = <usize>arg(args, 4) << 2, uStride = <usize>arg(args, 5) << 2, yStride = <usize>arg(args, 6) << 2;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const g = gate + t * gStride, u = up + t * uStride, o = y + t * yStride;
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      const one = constant(ONE);
      for (; k + 32 <= bytes; k += 32) {
        const v = v128.load(g + k), w = v128.load(g + k, 16);
        const s = f32x4.div(v, f32x4.add(one, exp4(f32x4.neg(v)))), t = f32x4.div(w, f32x4.add(one, exp4(f32x4.neg(w))));
        v128.store(o + k, f32x4.mul(s, v128.load(u + k))), v128.store(o + k, f32x4.mul(t, v128.load(u + k, 16)), 16);
      }
    }
    for (; k < bytes; k += 4) {
      const v = load<f32>(g + k);
      store<f32>(o + k, (v / (1 + exp1(-v))) * load<f32>(u + k));
    }
  }
}

/** y = softmax(x) over K. Arguments: x, y, K, xStride, yStride. A row of -inf alone gives NaN, as the formula does. */
export function softmax(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), y = argPtr(args, 1), K = arg(args, 2);
  const xStride = <usize>arg(args, 3) << 2, yStride = <usize>arg(args, 4) << 2;
  for (let t = <usize>begin; t < <usize>end; t++) softmaxRow(x + t * xStride, y + t * yStride, K);
}

export function softmaxRow(x: usize, y: usize, K: i32): void {
  const bytes = <usize>K << 2;
  let top: f32 = -Infinity;
  let k: usize = 0;
  if (ASC_FEATURE_SIMD) {
    k = bytes & ~15;
    top = largest(x, k, -Infinity);
  }
  for (; k < bytes; k += 4) top = max(top, load<f32>(x + k));
  // f32 sums of four lanes are summed on in f64: a vocabulary has 130,000 entries.
  let total: f64 = 0;
  k = 0;
  if (ASC_FEATURE_SIMD) {
    const m = f32x4.splat(top);
    while (k + 32 <= bytes) {
      let a = zero(), b = a;
      const from = k, stop = min(bytes & ~31, k + 16384);
      for (; k < stop; k += 32) {
        const e = exp4(f32x4.sub(v128.load(x + k), m)), f = exp4(f32x4.sub(v128.load(x + k, 16), m));
        v128.store(y + k, e), v128.store(y + k, f, 16);
      }
      // Sums in the loop above would keep its vectors from being joined.
      for (let j = from; j < stop; j += 32) a = f32x4.add(a, v128.load(y + j)), b = f32x4.add(b, v128.load(y + j, 16));
      total += <f64>sum4(f32x4.add(a, b));
    }
  }
  for (; k < bytes; k += 4) {
    const e = exp1(load<f32>(x + k) - top);
    store<f32>(y + k, e);
    total += <f64>e;
  }
  const scale = <f32>(1 / total);
  k = 0;
  if (ASC_FEATURE_SIMD) {
    const s = f32x4.splat(scale);
    for (; k + 16 <= bytes; k += 16) v128.store(y + k, f32x4.mul(v128.load(y + k), s));
  }
  for (; k < bytes; k += 4) store<f32>(y + k, load<f32>(y + k) * scale);
}

/** The k largest of each row, largest first, equal ones by index, NaN last. Arguments: x, K, xStride, k, values, indices ([T, k]). */
export function topK(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), K = arg(args, 1), xStride = <usize>arg(args, 2) << 2, k = arg(args, 3);
  const values = argPtr(args, 4), indices = argPtr(args, 5);
  for (let t = <usize>begin; t < <usize>end; t++) {
    topKRow(x + t * xStride, K, k, values + (t * <usize>k << 2), indices + (t * <usize>k << 2));
  }
}

/** `values` and `indices` are a list kept in order; most elements fail the one comparison with its last. */
export function topKRow(x: usize, n: i32, k: i32, values: usize, indices: usize): void {
  let have = 0;
  for (let i = 0; i < n; i++) {
    const v = load<f32>(x + (<usize>i << 2));
    if (have == k && !above(v, load<f32>(values + (<usize>(k - 1) << 2)))) continue;
    let j = have < k ? have : k - 1;
    for (; j > 0; j--) {
      const at = <usize>(j - 1) << 2;
      const u = load<f32>(values + at);
      if (!above(v, u)) break;
      store<f32>(values + at, u, 4);
      store<i32>(indices + at, load<i32>(indices + at), 4);
    }
    store<f32>(values + (<usize>j << 2), v);
    store<i32>(indices + (<usize>j << 2), i);
    if (have < k) have++;
  }
}

/** Whether a comes before b: it is larger, or b is NaN and a is not. */
// @ts-ignore: decorator
@inline
function above(a: f32, b: f32): bool {
  return a > b || (b != b && a == a);
}

/** y[i] = row rows[i] of a stored [*, K] matrix, as f32. Arguments: src, format (0 f32, 1 bf16), rows, y, K, srcStride, yStride. */
export function gatherRows(args: usize, begin: i32, end: i32): void {
  const src = argPtr(args, 0), format = arg(args, 1), rows = argPtr(args, 2), y = argPtr(args, 3), K = arg(args, 4);
  const srcStride = <usize>arg(args, 5), yStride = <usize>arg(args, 6) << 2;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const r = <usize>load<i32>(rows + (t << 2));
    if (format == 1) decodeBf16(src + (r * srcStride << 1), y + t * yStride, K);
    else memory.copy(y + t * yStride, src + (r * srcStride << 2), <usize>K << 2);
  }
}

/**
 * y[t] (+)= sum over j of weights[t, j] * x[slots[t, j]]: brings the outputs of the routed experts home, in the order
 * of the choice, so that the result does not depend on threads. A negative slot is left out. Arguments: x, weights,
 * slots, y, K, k, xStride, yStride, accumulate.
 */
export function combineRows(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), weights = argPtr(args, 1), slots = argPtr(args, 2), y = argPtr(args, 3);
  const bytes = <usize>arg(args, 4) << 2, n = arg(args, 5), xStride = <usize>arg(args, 6) << 2;
  const yStride = <usize>arg(args, 7) << 2, accumulate = arg(args, 8);
  for (let t = <usize>begin; t < <usize>end; t++) {
    const yt = y + t * yStride;
    if (!accumulate) memory.fill(yt, 0, bytes);
    for (let j = 0; j < n; j++) {
      const at = (t * <usize>n + <usize>j) << 2;
      const slot = load<i32>(slots + at);
      if (slot < 0) continue;
      const weight = load<f32>(weights + at);
      const xs = x + <usize>slot * xStride;
      let k: usize = 0;
      if (ASC_FEATURE_SIMD) {
        const w = f32x4.splat(weight);
        for (; k + 16 <= bytes; k += 16) v128.store(yt + k, madd(v128.load(xs + k), w, v128.load(yt + k)));
      }
      for (; k < bytes; k += 4) store<f32>(yt + k, load<f32>(yt + k) + load<f32>(xs + k) * weight);
    }
  }
}
