/**
 * y[T, N] = x[T, K] W[N, K]^T for BF16 weights as the checkpoint stores them, for the few tokens of a decode step: see
 * `matvec.ts`. A vector of weights holds even and odd elements in the halves of its lanes, and x is put into that order,
 * of two vectors side by side, as in `matvec-fp8.ts`.
 */
import { UPPER, constant } from './constants';
import { bf16 } from './formats';
import { ROWS, put, put4 } from './matvec';
import { arg, argPtr, joined, madd, rowAt, sums4, zero } from './simd';
import { SCRATCH_WORK, SCRATCH_X, SCRATCH_X_BYTES } from './scratch';

/** Arguments as `matvecF32`. */
export function matvecBf16(args: usize, begin: i32, end: i32, scratch: usize, key: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), T = arg(args, 3), N = arg(args, 4);
  const K = arg(args, 5), xStride = arg(args, 6), yStride = arg(args, 7), rows = argPtr(args, 8);
  const accumulate = arg(args, 9), wBytes = <usize>arg(args, 12) << 1;
  const wide = arg(args, 13), lanes = scratch + SCRATCH_WORK;
  const last = min(end * ROWS, N);
  if (!ASC_FEATURE_SIMD) {
    for (let r = begin * ROWS; r < last; r++) {
      for (let t = 0; t < T; t++) {
        const out = y + (<usize>t * <usize>yStride + <usize>r << 2);
        put(out, dotBf16(w + <usize>r * wBytes, rowAt(x, xStride, rows, t), K), accumulate);
      }
    }
    return;
  }
  const px = scratch + SCRATCH_X;
  const group = <i32>max(1, SCRATCH_X_BYTES / (<usize>K << 2));
  for (let t0 = 0; t0 < T; t0 += group) {
    const tn = min(group, T - t0);
    if (T > group || load<i32>(scratch) != key) {
      for (let t = 0; t < tn; t++) {
        prepareBf16(rowAt(x, xStride, rows, t0 + t), px + (<usize>t * <usize>K << 2), K);
      }
      store<i32>(scratch, T > group ? 0 : key);
    }
    for (let r = begin * ROWS; r < last; r += ROWS) {
      const n = min(ROWS, last - r);
      const w0 = w + <usize>r * wBytes;
      const w1 = w + <usize>min(r + 1, last - 1) * wBytes;
      const w2 = w + <usize>min(r + 2, last - 1) * wBytes;
      const w3 = w + <usize>min(r + 3, last - 1) * wBytes;
      let t = 0;
      // With vectors of 128 bits there are too few registers for two tokens to share what is decoded.
      for (; wide && t + 2 <= tn; t += 2) {
        const xt = px + (<usize>t * <usize>K << 2);
        const out = y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2);
        dots4x2(w0, w1, w2, w3, xt, K, lanes);
        put4(out, finish(w0, w1, w2, w3, xt, K, lanes), n, accumulate);
        const s = finish(w0, w1, w2, w3, xt + (<usize>K << 2), K, lanes + 128);
        put4(out + (<usize>yStride << 2), s, n, accumulate);
      }
      for (; t < tn; t++) {
        const xt = px + (<usize>t * <usize>K << 2);
        const out = y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2);
        if (wide) {
          dots4x1(w0, w1, w2, w3, xt, K, lanes);
          put4(out, finish(w0, w1, w2, w3, xt, K, lanes), n, accumulate);
        } else {
          put4(out, narrow4x1(w0, w1, w2, w3, xt, K), n, accumulate);
        }
      }
    }
  }
}

/** Four rows by one token without wide vectors: the same sums, but x is loaded once for the four. */
// @ts-ignore: decorator
@inline
function narrow4x1(w0: usize, w1: usize, w2: usize, w3: usize, xt: usize, K: i32): v128 {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero(), a2 = zero(), b2 = zero(), a3 = zero(), b3 = zero();
  const high = constant(UPPER);
  let xa = xt;
  for (let k: usize = 0, kEnd = (<usize>K << 1) & ~31; k < kEnd; k += 32, xa += 64) {
    let x0 = v128.load(xa), x1 = v128.load(xa, 32);
    let v = v128.load(w0 + k);
    a0 = madd(i32x4.shl(v, 16), x0, a0), a0 = madd(v128.and(v, high), x1, a0);
    v = v128.load(w1 + k);
    a1 = madd(i32x4.shl(v, 16), x0, a1), a1 = madd(v128.and(v, high), x1, a1);
    v = v128.load(w2 + k);
    a2 = madd(i32x4.shl(v, 16), x0, a2), a2 = madd(v128.and(v, high), x1, a2);
    v = v128.load(w3 + k);
    a3 = madd(i32x4.shl(v, 16), x0, a3), a3 = madd(v128.and(v, high), x1, a3);
    x0 = v128.load(xa, 16), x1 = v128.load(xa, 48);
    v = v128.load(w0 + k, 16);
    b0 = madd(i32x4.shl(v, 16), x0, b0), b0 = madd(v128.and(v, high), x1, b0);
    v = v128.load(w1 + k, 16);
    b1 = madd(i32x4.shl(v, 16), x0, b1), b1 = madd(v128.and(v, high), x1, b1);
    v = v128.load(w2 + k, 16);
    b2 = madd(i32x4.shl(v, 16), x0, b2), b2 = madd(v128.and(v, high), x1, b2);
    v = v128.load(w3 + k, 16);
    b3 = madd(i32x4.shl(v, 16), x0, b3), b3 = madd(v128.and(v, high), x1, b3);
  }
  const a = f32x4.add(a0, b0), b = f32x4.add(a1, b1), c = f32x4.add(a2, b2), d = f32x4.add(a3, b3);
  return rest(w0, w1, w2, w3, xt, K, a, b, c, d);
}

/** Four rows by one token, where the engine joins vectors to 256 bits. */
// @ts-ignore: decorator
@inline
function dots4x1(w0: usize, w1: usize, w2: usize, w3: usize, xa: usize, K: i32, lanes: usize): void {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero(), a2 = zero(), b2 = zero(), a3 = zero(), b3 = zero();
  const high = constant(UPPER);
  let v: v128, u: v128, f: v128, g: v128;
  for (let k: usize = 0, kEnd = (<usize>K << 1) & ~31; k < kEnd; k += 32, xa += 64) {
    v = v128.load(w0 + k), u = v128.load(w0 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a0 = madd(f, v128.load(xa), a0), b0 = madd(g, v128.load(xa, 16), b0);
    f = v128.and(v, high), g = v128.and(u, high);
    a0 = madd(f, v128.load(xa, 32), a0), b0 = madd(g, v128.load(xa, 48), b0);
    v = v128.load(w1 + k), u = v128.load(w1 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a1 = madd(f, v128.load(xa), a1), b1 = madd(g, v128.load(xa, 16), b1);
    f = v128.and(v, high), g = v128.and(u, high);
    a1 = madd(f, v128.load(xa, 32), a1), b1 = madd(g, v128.load(xa, 48), b1);
    v = v128.load(w2 + k), u = v128.load(w2 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a2 = madd(f, v128.load(xa), a2), b2 = madd(g, v128.load(xa, 16), b2);
    f = v128.and(v, high), g = v128.and(u, high);
    a2 = madd(f, v128.load(xa, 32), a2), b2 = madd(g, v128.load(xa, 48), b2);
    v = v128.load(w3 + k), u = v128.load(w3 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a3 = madd(f, v128.load(xa), a3), b3 = madd(g, v128.load(xa, 16), b3);
    f = v128.and(v, high), g = v128.and(u, high);
    a3 = madd(f, v128.load(xa, 32), a3), b3 = madd(g, v128.load(xa, 48), b3);
  }
  v128.store(lanes, a0), v128.store(lanes, b0, 16);
  v128.store(lanes, a1, 32), v128.store(lanes, b1, 48);
  v128.store(lanes, a2, 64), v128.store(lanes, b2, 80);
  v128.store(lanes, a3, 96), v128.store(lanes, b3, 112);
}

/** Four rows by two tokens, where the engine joins vectors to 256 bits. */
// @ts-ignore: decorator
@inline
function dots4x2(w0: usize, w1: usize, w2: usize, w3: usize, xa: usize, K: i32, lanes: usize): void {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero(), a2 = zero(), b2 = zero(), a3 = zero(), b3 = zero();
  let c0 = zero(), d0 = zero(), c1 = zero(), d1 = zero(), c2 = zero(), d2 = zero(), c3 = zero(), d3 = zero();
  const high = constant(UPPER);
  let v: v128, u: v128, f: v128, g: v128;
  let xb = xa + (<usize>K << 2);
  for (let k: usize = 0, kEnd = (<usize>K << 1) & ~31; k < kEnd; k += 32, xa += 64, xb += 64) {
    v = v128.load(w0 + k), u = v128.load(w0 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a0 = madd(f, v128.load(xa), a0), b0 = madd(g, v128.load(xa, 16), b0);
    c0 = madd(f, v128.load(xb), c0), d0 = madd(g, v128.load(xb, 16), d0);
    f = v128.and(v, high), g = v128.and(u, high);
    a0 = madd(f, v128.load(xa, 32), a0), b0 = madd(g, v128.load(xa, 48), b0);
    c0 = madd(f, v128.load(xb, 32), c0), d0 = madd(g, v128.load(xb, 48), d0);
    v = v128.load(w1 + k), u = v128.load(w1 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a1 = madd(f, v128.load(xa), a1), b1 = madd(g, v128.load(xa, 16), b1);
    c1 = madd(f, v128.load(xb), c1), d1 = madd(g, v128.load(xb, 16), d1);
    f = v128.and(v, high), g = v128.and(u, high);
    a1 = madd(f, v128.load(xa, 32), a1), b1 = madd(g, v128.load(xa, 48), b1);
    c1 = madd(f, v128.load(xb, 32), c1), d1 = madd(g, v128.load(xb, 48), d1);
    v = v128.load(w2 + k), u = v128.load(w2 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a2 = madd(f, v128.load(xa), a2), b2 = madd(g, v128.load(xa, 16), b2);
    c2 = madd(f, v128.load(xb), c2), d2 = madd(g, v128.load(xb, 16), d2);
    f = v128.and(v, high), g = v128.and(u, high);
    a2 = madd(f, v128.load(xa, 32), a2), b2 = madd(g, v128.load(xa, 48), b2);
    c2 = madd(f, v128.load(xb, 32), c2), d2 = madd(g, v128.load(xb, 48), d2);
    v = v128.load(w3 + k), u = v128.load(w3 + k, 16);
    f = i32x4.shl(v, 16), g = i32x4.shl(u, 16);
    a3 = madd(f, v128.load(xa), a3), b3 = madd(g, v128.load(xa, 16), b3);
    c3 = madd(f, v128.load(xb), c3), d3 = madd(g, v128.load(xb, 16), d3);
    f = v128.and(v, high), g = v128.and(u, high);
    a3 = madd(f, v128.load(xa, 32), a3), b3 = madd(g, v128.load(xa, 48), b3);
    c3 = madd(f, v128.load(xb, 32), c3), d3 = madd(g, v128.load(xb, 48), d3);
  }
  v128.store(lanes, a0), v128.store(lanes, b0, 16);
  v128.store(lanes, a1, 32), v128.store(lanes, b1, 48);
  v128.store(lanes, a2, 64), v128.store(lanes, b2, 80);
  v128.store(lanes, a3, 96), v128.store(lanes, b3, 112);
  v128.store(lanes, c0, 128), v128.store(lanes, d0, 144);
  v128.store(lanes, c1, 160), v128.store(lanes, d1, 176);
  v128.store(lanes, c2, 192), v128.store(lanes, d2, 208);
  v128.store(lanes, c3, 224), v128.store(lanes, d3, 240);
}

/** As in `matvec-fp8.ts`, behind the last 16 elements. */
// @ts-ignore: decorator
@inline
function finish(w0: usize, w1: usize, w2: usize, w3: usize, xt: usize, K: i32, lanes: usize): v128 {
  const a = joined(lanes), b = joined(lanes + 32), c = joined(lanes + 64), d = joined(lanes + 96);
  return rest(w0, w1, w2, w3, xt, K, a, b, c, d);
}

/** Adds what is left of K to the sums of four rows, four lanes each, and adds the lanes up. */
// @ts-ignore: decorator
@inline
function rest(
  w0: usize, w1: usize, w2: usize, w3: usize, xt: usize, K: i32, a: v128, b: v128, c: v128, d: v128,
): v128 {
  const end = <usize>K << 1;
  let k = end & ~31;
  let x = xt + (k << 1);
  if (K & 8) {
    a = eight(w0 + k, x, a), b = eight(w1 + k, x, b), c = eight(w2 + k, x, c), d = eight(w3 + k, x, d);
    k += 16, x += 32;
  }
  let s = sums4(a, b, c, d);
  for (; k < end; k += 2, x += 4) {
    const w = f32x4(
      bf16(load<u16>(w0 + k)), bf16(load<u16>(w1 + k)), bf16(load<u16>(w2 + k)), bf16(load<u16>(w3 + k)));
    s = madd(w, v128.load32_splat(x), s);
  }
  return s;
}

/** Adds eight products to a sum in four lanes. */
function eight(w: usize, x: usize, s: v128): v128 {
  const v = v128.load(w);
  s = madd(i32x4.shl(v, 16), v128.load(x), s);
  return madd(v128.and(v, constant(UPPER)), v128.load(x, 16), s);
}

/** Even elements, then odd ones, of every 8, of two such vectors side by side. */
function prepareBf16(x: usize, dst: usize, K: i32): void {
  const bytes = <usize>K << 2;
  let k: usize = 0;
  for (; k + 64 <= bytes; k += 64) {
    const a = v128.load(x + k), b = v128.load(x + k, 16), c = v128.load(x + k, 32), d = v128.load(x + k, 48);
    v128.store(dst + k, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(dst + k, v128.shuffle<f32>(c, d, 0, 2, 4, 6), 16);
    v128.store(dst + k, v128.shuffle<f32>(a, b, 1, 3, 5, 7), 32);
    v128.store(dst + k, v128.shuffle<f32>(c, d, 1, 3, 5, 7), 48);
  }
  if (k + 32 <= bytes) {
    const a = v128.load(x + k), b = v128.load(x + k, 16);
    v128.store(dst + k, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(dst + k, v128.shuffle<f32>(a, b, 1, 3, 5, 7), 16);
    k += 32;
  }
  for (; k < bytes; k += 4) store<f32>(dst + k, load<f32>(x + k));
}

function dotBf16(w: usize, x: usize, K: i32): f32 {
  let a: f32 = 0, b: f32 = 0;
  let k = 0;
  for (; k + 2 <= K; k += 2) {
    const bits = load<u32>(w + (<usize>k << 1));
    a += reinterpret<f32>(bits << 16) * load<f32>(x + (<usize>k << 2));
    b += reinterpret<f32>(bits & 0xffff0000) * load<f32>(x + (<usize>k << 2), 4);
  }
  for (; k < K; k++) a += bf16(load<u16>(w + (<usize>k << 1))) * load<f32>(x + (<usize>k << 2));
  return a + b;
}
