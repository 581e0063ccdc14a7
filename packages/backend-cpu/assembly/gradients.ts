/**
 * What training does besides products, in one pass over memory each. Every element is rounded as the same formula in
 * primitives is, and sums are kept in f64 in the order of `reduceRows`, so that a backend may use these or not.
 */
import { ONE, constant } from './constants';
import { upper } from './reduce';
import { softmaxRow } from './rows';
import { SCRATCH_WORK } from './scratch';
import { arg, argF, argPtr, largest } from './simd';
import { expOf1, expOf4 } from './wide-exp';

/** Elements in a unit where there are no rows. */
const BLOCK: i32 = 4096;
/** Bytes of exponentials that wait to be added up: whole pairs of vectors, in the first-level cache. */
const WAITING: usize = 4096;

/** The sum of x y, each product an f32. */
function sumOfProducts(x: usize, y: usize, n: i32): f32 {
  const end = x + (<usize>n << 2);
  let sum: f64 = 0;
  if (ASC_FEATURE_SIMD) {
    let a = f64x2.splat(0), b = a, c = a, d = a;
    for (; x + 32 <= end; x += 32, y += 32) {
      const u = f32x4.mul(v128.load(x), v128.load(y)), v = f32x4.mul(v128.load(x, 16), v128.load(y, 16));
      a = f64x2.add(a, f64x2.promote_low_f32x4(u));
      b = f64x2.add(b, f64x2.promote_low_f32x4(upper(u)));
      c = f64x2.add(c, f64x2.promote_low_f32x4(v));
      d = f64x2.add(d, f64x2.promote_low_f32x4(upper(v)));
    }
    const s = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
    sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
  }
  for (; x < end; x += 4, y += 4) sum += <f64>(load<f32>(x) * load<f32>(y));
  return <f32>sum;
}

/** y = the sum of squares of x. Arguments: x, y, n. One unit. */
export function squaredNorm(args: usize, begin: i32, end: i32): void {
  if (begin < end) store<f32>(argPtr(args, 1), sumOfProducts(argPtr(args, 0), argPtr(args, 0), arg(args, 2)));
}

/**
 * d gate = dy up (s + gate s (1 - s)) and d up = dy gate s, with s = sigmoid(gate). Arguments: dy, gate, up, d gate, d up,
 * n. Units are blocks of 4096 elements.
 */
export function swigluGradients(args: usize, begin: i32, end: i32): void {
  const dy = argPtr(args, 0), gate = argPtr(args, 1), up = argPtr(args, 2), dGate = argPtr(args, 3), dUp = argPtr(args, 4);
  let k = <usize>begin * <usize>BLOCK << 2;
  const bytes = <usize>min(end * BLOCK, arg(args, 5)) << 2;
  if (ASC_FEATURE_SIMD) {
    const one = constant(ONE);
    for (; k + 32 <= bytes; k += 32) {
      const d = v128.load(dy + k), e = v128.load(dy + k, 16), g = v128.load(gate + k), h = v128.load(gate + k, 16);
      const s = f32x4.div(one, f32x4.add(one, expOf4(f32x4.neg(g)))), t = f32x4.div(one, f32x4.add(one, expOf4(f32x4.neg(h))));
      const p = f32x4.mul(g, s), q = f32x4.mul(h, t);
      const a = f32x4.add(s, f32x4.sub(p, f32x4.mul(p, s))), b = f32x4.add(t, f32x4.sub(q, f32x4.mul(q, t)));
      const u = f32x4.mul(d, v128.load(up + k)), v = f32x4.mul(e, v128.load(up + k, 16));
      v128.store(dGate + k, f32x4.mul(u, a)), v128.store(dGate + k, f32x4.mul(v, b), 16);
      v128.store(dUp + k, f32x4.mul(d, p)), v128.store(dUp + k, f32x4.mul(e, q), 16);
    }
  }
  for (; k < bytes; k += 4) {
    const d = load<f32>(dy + k), g = load<f32>(gate + k);
    const s = sigmoidOf1(g);
    const silu = g * s;
    store<f32>(dGate + k, d * load<f32>(up + k) * (s + (silu - silu * s)));
    store<f32>(dUp + k, d * silu);
  }
}

function sigmoidOf1(x: f32): f32 {
  if (ASC_FEATURE_SIMD) {
    const one = constant(ONE);
    return f32x4.extract_lane(f32x4.div(one, f32x4.add(one, expOf4(f32x4.splat(-x)))), 0);
  }
  return 1 / (1 + expOf1(-x));
}

function exponentialOf1(x: f32): f32 {
  if (ASC_FEATURE_SIMD) return f32x4.extract_lane(expOf4(f32x4.splat(x)), 0);
  return expOf1(x);
}

/**
 * With r = 1 / sqrt(mean(x^2) + eps) and n = x r: product = dy n, and dx = r (dy w - n mean(dy n w)). The gradient of w is the
 * sum of `product` over the rows. Arguments: dy, x, w, dx, product, width, eps. Units are rows.
 */
export function rmsNormGradients(args: usize, begin: i32, end: i32): void {
  const w = argPtr(args, 2), width = arg(args, 5), eps = argF(args, 6), bytes = <usize>width << 2;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const dy = argPtr(args, 0) + t * bytes, x = argPtr(args, 1) + t * bytes;
    const dx = argPtr(args, 3) + t * bytes, product = argPtr(args, 4) + t * bytes;
    const inverse: f32 = 1 / sqrt<f32>(sumOfProducts(x, x, width) / <f32>width + eps);
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      const r = f32x4.splat(inverse);
      for (; k + 16 <= bytes; k += 16) {
        v128.store(product + k, f32x4.mul(v128.load(dy + k), f32x4.mul(v128.load(x + k), r)));
      }
    }
    for (; k < bytes; k += 4) store<f32>(product + k, load<f32>(dy + k) * (load<f32>(x + k) * inverse));
    const mean: f32 = sumOfProducts(product, w, width) / <f32>width;
    k = 0;
    if (ASC_FEATURE_SIMD) {
      const r = f32x4.splat(inverse), m = f32x4.splat(mean);
      for (; k + 16 <= bytes; k += 16) {
        const along = f32x4.mul(f32x4.mul(v128.load(x + k), r), m);
        v128.store(dx + k, f32x4.mul(r, f32x4.sub(f32x4.mul(v128.load(dy + k), v128.load(w + k)), along)));
      }
    }
    for (; k < bytes; k += 4) {
      store<f32>(dx + k, inverse * (load<f32>(dy + k) * load<f32>(w + k) - load<f32>(x + k) * inverse * mean));
    }
  }
}

/** tops = the largest of a row, sums = the sum of exp(x - top). Arguments: x, tops, sums, width. Units are rows. */
export function sumExponentials(args: usize, begin: i32, end: i32, scratch: usize): void {
  // Exponentials are put down before they are added up: engines join vectors of f32, but not what makes f64 of them.
  const buffer = scratch + SCRATCH_WORK;
  const width = arg(args, 3), bytes = <usize>width << 2;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const x = argPtr(args, 0) + t * bytes;
    let top: f32 = -Infinity;
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      k = bytes & ~15;
      top = largest(x, k, -Infinity);
    }
    for (; k < bytes; k += 4) top = max(top, load<f32>(x + k));
    let sum: f64 = 0;
    k = 0;
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(top);
      let a = f64x2.splat(0), b = a, c = a, d = a;
      while (k + 32 <= bytes) {
        const length = min((bytes - k) & ~31, WAITING);
        for (const e = k + length, to = buffer - k; k < e; k += 32) {
          const u = expOf4(f32x4.sub(v128.load(x + k), m)), v = expOf4(f32x4.sub(v128.load(x + k, 16), m));
          v128.store(to + k, u), v128.store(to + k, v, 16);
        }
        for (let from = buffer, e = buffer + length; from < e; from += 32) {
          const u = v128.load(from), v = v128.load(from, 16);
          a = f64x2.add(a, f64x2.promote_low_f32x4(u));
          b = f64x2.add(b, f64x2.promote_low_f32x4(upper(u)));
          c = f64x2.add(c, f64x2.promote_low_f32x4(v));
          d = f64x2.add(d, f64x2.promote_low_f32x4(upper(v)));
        }
      }
      const s = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
      sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
    }
    for (; k < bytes; k += 4) sum += <f64>exponentialOf1(load<f32>(x + k) - top);
    store<f32>(argPtr(args, 1) + (t << 2), top);
    store<f32>(argPtr(args, 2) + (t << 2), <f32>sum);
  }
}

/** dx = dy exp(x - norm), less dy in the column of the target. Arguments: dy, x, norms, targets (i32), dx, width. Units are rows. */
export function crossEntropyGradients(args: usize, begin: i32, end: i32): void {
  const width = arg(args, 5), bytes = <usize>width << 2;
  for (let t = <usize>begin; t < <usize>end; t++) {
    const x = argPtr(args, 1) + t * bytes, dx = argPtr(args, 4) + t * bytes;
    const dy = load<f32>(argPtr(args, 0) + (t << 2)), norm = load<f32>(argPtr(args, 2) + (t << 2));
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      const d = f32x4.splat(dy), n = f32x4.splat(norm);
      for (; k + 32 <= bytes; k += 32) {
        const u = expOf4(f32x4.sub(v128.load(x + k), n)), v = expOf4(f32x4.sub(v128.load(x + k, 16), n));
        v128.store(dx + k, f32x4.mul(u, d)), v128.store(dx + k, f32x4.mul(v, d), 16);
      }
    }
    for (; k < bytes; k += 4) store<f32>(dx + k, exponentialOf1(load<f32>(x + k) - norm) * dy);
    const hit = dx + (<usize>load<i32>(argPtr(args, 3) + (t << 2)) << 2);
    store<f32>(hit, load<f32>(hit) - dy);
  }
}

/**
 * Between the products of attention's gradient: scores become probabilities P, and dP becomes P (dP - sum(dy o)). Query i
 * sees keys 0 to start + i; what it does not see, up to the last key that any query of its block sees, becomes zero.
 * Arguments: scores, dP ([batch, heads, queries, keys] each), dy, o ([batch, queries, heads, value] each), queries, keys,
 * heads, value, start, block. Units are rows of the scores.
 */
export function attentionSlopes(args: usize, begin: i32, end: i32): void {
  const queries = arg(args, 4), keys = arg(args, 5), heads = arg(args, 6), value = arg(args, 7);
  const start = arg(args, 8), block = arg(args, 9);
  for (let r = begin; r < end; r++) {
    const i = r % queries, matrix = r / queries, h = matrix % heads, sequence = matrix / heads;
    const at = <usize>((sequence * queries + i) * heads + h) * <usize>value << 2;
    const scores = argPtr(args, 0) + (<usize>r * <usize>keys << 2), slopes = argPtr(args, 1) + (<usize>r * <usize>keys << 2);
    const seen = min(keys, start + i + 1), edge = min(keys, start + min(queries, (i / block + 1) * block));
    // Whole pairs of vectors, so that sums have the lanes of a row with all keys.
    const padded = min(keys, (seen + 7) & ~7);
    for (let j = seen; j < padded; j++) store<f32>(scores + (<usize>j << 2), -Infinity);
    softmaxRow(scores, scores, padded);
    const sum = sumOfProducts(argPtr(args, 2) + at, argPtr(args, 3) + at, value);
    let k: usize = 0;
    const bytes = <usize>seen << 2;
    if (ASC_FEATURE_SIMD) {
      const s = f32x4.splat(sum);
      for (; k + 16 <= bytes; k += 16) {
        v128.store(slopes + k, f32x4.mul(v128.load(scores + k), f32x4.sub(v128.load(slopes + k), s)));
      }
    }
    for (; k < bytes; k += 4) store<f32>(slopes + k, load<f32>(scores + k) * (load<f32>(slopes + k) - sum));
    if (edge > seen) {
      memory.fill(scores + bytes, 0, <usize>(edge - seen) << 2);
      memory.fill(slopes + bytes, 0, <usize>(edge - seen) << 2);
    }
  }
}
