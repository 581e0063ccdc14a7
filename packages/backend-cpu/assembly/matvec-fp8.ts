/**
 * y[T, N] = x[T, K] W[N, K]^T for E4M3 codes as the checkpoint stores them, for the few tokens of a decode step: see
 * `matvec.ts`. A vector of codes holds every fourth element in each byte of its lanes, and x is put into that order, of
 * two vectors of codes side by side: each sum is made in two halves that stay neighbours, which an engine may join to
 * 256 bits. Codes are decoded once for two tokens; a token's sum has the same order whatever its company.
 */
import { E4M3_BITS, UPPER, constant } from './constants';
import { e4m3 } from './formats';
import { ROWS, put, put4 } from './matvec';
import { arg, argPtr, joined, madd, rowAt, sums4, zero } from './simd';
import { SCRATCH_WORK, SCRATCH_X, SCRATCH_X_BYTES } from './scratch';

/** x of an E4M3 product is scaled by 2^80 and the result by 2^40: codes enter as value * 2^-120. */
const FP8_X: f32 = reinterpret<f32>((127 + 80) << 23);
const FP8_Y: f32 = reinterpret<f32>((127 + 40) << 23);

/**
 * Arguments as `matvecF32`; `scales` is [ceil(N / 128), scaleStride] f32, one for each 128x128 block.
 * The scale of a block goes into the prepared x of its 128 rows, which is therefore made anew at each row block.
 */
export function matvecFp8(args: usize, begin: i32, end: i32, scratch: usize, key: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), T = arg(args, 3), N = arg(args, 4);
  const K = arg(args, 5), xStride = arg(args, 6), yStride = arg(args, 7), rows = argPtr(args, 8);
  const accumulate = arg(args, 9), scales = argPtr(args, 10), scaleStride = arg(args, 11), wBytes = <usize>arg(args, 12);
  const wide = arg(args, 13), lanes = scratch + SCRATCH_WORK;
  const last = min(end * ROWS, N);
  if (!ASC_FEATURE_SIMD) {
    for (let r = begin * ROWS; r < last; r++) {
      const sr = scales + (<usize>(r >> 7) * <usize>scaleStride << 2);
      for (let t = 0; t < T; t++) {
        const out = y + (<usize>t * <usize>yStride + <usize>r << 2);
        put(out, dotFp8(w + <usize>r * wBytes, rowAt(x, xStride, rows, t), K, sr), accumulate);
      }
    }
    return;
  }
  const px = scratch + SCRATCH_X;
  const group = <i32>max(1, SCRATCH_X_BYTES / (<usize>K << 2));
  for (let t0 = 0; t0 < T; t0 += group) {
    const tn = min(group, T - t0);
    for (let r0 = begin * ROWS; r0 < last; ) {
      const block = r0 >> 7;
      const rEnd = min(last, (block + 1) << 7);
      const blockKey = T > group ? 0 : block + 1;
      if (blockKey == 0 || load<i32>(scratch) != key || load<i32>(scratch, 4) != blockKey) {
        const sr = scales + (<usize>block * <usize>scaleStride << 2);
        for (let t = 0; t < tn; t++) {
          prepareFp8(rowAt(x, xStride, rows, t0 + t), px + (<usize>t * <usize>K << 2), K, sr);
        }
        store<i32>(scratch, blockKey ? key : 0);
        store<i32>(scratch, blockKey, 4);
      }
      for (let r = r0; r < rEnd; r += ROWS) {
        const n = min(ROWS, rEnd - r);
        const w0 = w + <usize>r * wBytes;
        const w1 = w + <usize>min(r + 1, rEnd - 1) * wBytes;
        const w2 = w + <usize>min(r + 2, rEnd - 1) * wBytes;
        const w3 = w + <usize>min(r + 3, rEnd - 1) * wBytes;
        let t = 0;
        for (; t + 2 <= tn; t += 2) {
          const xt = px + (<usize>t * <usize>K << 2);
          const out = y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2);
          if (wide) dots4x2(w0, w1, w2, w3, xt, K, lanes);
          else dots2x2(w0, w1, xt, K, lanes), dots2x2(w2, w3, xt, K, lanes + 64);
          put4(out, finish(w0, w1, w2, w3, xt, K, lanes), n, accumulate);
          const s = finish(w0, w1, w2, w3, xt + (<usize>K << 2), K, lanes + 128);
          put4(out + (<usize>yStride << 2), s, n, accumulate);
        }
        if (t < tn) {
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
      r0 = rEnd;
    }
  }
}

/** Four rows by one token without wide vectors: the same sums, but x is loaded once for the four. */
// @ts-ignore: decorator
@inline
function narrow4x1(w0: usize, w1: usize, w2: usize, w3: usize, xt: usize, K: i32): v128 {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero(), a2 = zero(), b2 = zero(), a3 = zero(), b3 = zero();
  const mask = constant(E4M3_BITS);
  const high = constant(UPPER);
  let xa = xt;
  for (let k: usize = 0, kEnd = <usize>K & ~31; k < kEnd; k += 32, xa += 128) {
    let x0 = v128.load(xa), x1 = v128.load(xa, 32), x2 = v128.load(xa, 64), x3 = v128.load(xa, 96);
    let v = v128.load(w0 + k);
    let o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    a0 = madd(i32x4.shl(e, 16), x0, a0), a0 = madd(i32x4.shl(o, 16), x1, a0);
    a0 = madd(v128.and(e, high), x2, a0), a0 = madd(v128.and(o, high), x3, a0);
    v = v128.load(w1 + k);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    a1 = madd(i32x4.shl(e, 16), x0, a1), a1 = madd(i32x4.shl(o, 16), x1, a1);
    a1 = madd(v128.and(e, high), x2, a1), a1 = madd(v128.and(o, high), x3, a1);
    v = v128.load(w2 + k);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    a2 = madd(i32x4.shl(e, 16), x0, a2), a2 = madd(i32x4.shl(o, 16), x1, a2);
    a2 = madd(v128.and(e, high), x2, a2), a2 = madd(v128.and(o, high), x3, a2);
    v = v128.load(w3 + k);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    a3 = madd(i32x4.shl(e, 16), x0, a3), a3 = madd(i32x4.shl(o, 16), x1, a3);
    a3 = madd(v128.and(e, high), x2, a3), a3 = madd(v128.and(o, high), x3, a3);
    x0 = v128.load(xa, 16), x1 = v128.load(xa, 48), x2 = v128.load(xa, 80), x3 = v128.load(xa, 112);
    v = v128.load(w0 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    b0 = madd(i32x4.shl(e, 16), x0, b0), b0 = madd(i32x4.shl(o, 16), x1, b0);
    b0 = madd(v128.and(e, high), x2, b0), b0 = madd(v128.and(o, high), x3, b0);
    v = v128.load(w1 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    b1 = madd(i32x4.shl(e, 16), x0, b1), b1 = madd(i32x4.shl(o, 16), x1, b1);
    b1 = madd(v128.and(e, high), x2, b1), b1 = madd(v128.and(o, high), x3, b1);
    v = v128.load(w2 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    b2 = madd(i32x4.shl(e, 16), x0, b2), b2 = madd(i32x4.shl(o, 16), x1, b2);
    b2 = madd(v128.and(e, high), x2, b2), b2 = madd(v128.and(o, high), x3, b2);
    v = v128.load(w3 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
    b3 = madd(i32x4.shl(e, 16), x0, b3), b3 = madd(i32x4.shl(o, 16), x1, b3);
    b3 = madd(v128.and(e, high), x2, b3), b3 = madd(v128.and(o, high), x3, b3);
  }
  const a = f32x4.add(a0, b0), b = f32x4.add(a1, b1), c = f32x4.add(a2, b2), d = f32x4.add(a3, b3);
  return rest(w0, w1, w2, w3, xt, K, a, b, c, d);
}

/** Four rows by one token, where the engine joins vectors to 256 bits. */
// @ts-ignore: decorator
@inline
function dots4x1(w0: usize, w1: usize, w2: usize, w3: usize, xa: usize, K: i32, lanes: usize): void {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero(), a2 = zero(), b2 = zero(), a3 = zero(), b3 = zero();
  const mask = constant(E4M3_BITS);
  const high = constant(UPPER);
  let v: v128, u: v128, o: v128, q: v128, e: v128, p: v128, f: v128, g: v128;
  for (let k: usize = 0, kEnd = <usize>K & ~31; k < kEnd; k += 32, xa += 128) {
    v = v128.load(w0 + k), u = v128.load(w0 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a0 = madd(f, v128.load(xa), a0), b0 = madd(g, v128.load(xa, 16), b0);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a0 = madd(f, v128.load(xa, 32), a0), b0 = madd(g, v128.load(xa, 48), b0);
    f = v128.and(e, high), g = v128.and(p, high);
    a0 = madd(f, v128.load(xa, 64), a0), b0 = madd(g, v128.load(xa, 80), b0);
    f = v128.and(o, high), g = v128.and(q, high);
    a0 = madd(f, v128.load(xa, 96), a0), b0 = madd(g, v128.load(xa, 112), b0);
    v = v128.load(w1 + k), u = v128.load(w1 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a1 = madd(f, v128.load(xa), a1), b1 = madd(g, v128.load(xa, 16), b1);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a1 = madd(f, v128.load(xa, 32), a1), b1 = madd(g, v128.load(xa, 48), b1);
    f = v128.and(e, high), g = v128.and(p, high);
    a1 = madd(f, v128.load(xa, 64), a1), b1 = madd(g, v128.load(xa, 80), b1);
    f = v128.and(o, high), g = v128.and(q, high);
    a1 = madd(f, v128.load(xa, 96), a1), b1 = madd(g, v128.load(xa, 112), b1);
    v = v128.load(w2 + k), u = v128.load(w2 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a2 = madd(f, v128.load(xa), a2), b2 = madd(g, v128.load(xa, 16), b2);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a2 = madd(f, v128.load(xa, 32), a2), b2 = madd(g, v128.load(xa, 48), b2);
    f = v128.and(e, high), g = v128.and(p, high);
    a2 = madd(f, v128.load(xa, 64), a2), b2 = madd(g, v128.load(xa, 80), b2);
    f = v128.and(o, high), g = v128.and(q, high);
    a2 = madd(f, v128.load(xa, 96), a2), b2 = madd(g, v128.load(xa, 112), b2);
    v = v128.load(w3 + k), u = v128.load(w3 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a3 = madd(f, v128.load(xa), a3), b3 = madd(g, v128.load(xa, 16), b3);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a3 = madd(f, v128.load(xa, 32), a3), b3 = madd(g, v128.load(xa, 48), b3);
    f = v128.and(e, high), g = v128.and(p, high);
    a3 = madd(f, v128.load(xa, 64), a3), b3 = madd(g, v128.load(xa, 80), b3);
    f = v128.and(o, high), g = v128.and(q, high);
    a3 = madd(f, v128.load(xa, 96), a3), b3 = madd(g, v128.load(xa, 112), b3);
  }
  v128.store(lanes, a0), v128.store(lanes, b0, 16);
  v128.store(lanes, a1, 32), v128.store(lanes, b1, 48);
  v128.store(lanes, a2, 64), v128.store(lanes, b2, 80);
  v128.store(lanes, a3, 96), v128.store(lanes, b3, 112);
}

/** Two rows by two tokens, `xa` and the one after it: what fits into the registers without wide vectors. */
function dots2x2(w0: usize, w1: usize, xa: usize, K: i32, lanes: usize): void {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero();
  let c0 = zero(), d0 = zero(), c1 = zero(), d1 = zero();
  const mask = constant(E4M3_BITS);
  const high = constant(UPPER);
  let v: v128, u: v128, o: v128, q: v128, e: v128, p: v128, f: v128, g: v128;
  let xb = xa + (<usize>K << 2);
  for (let k: usize = 0, kEnd = <usize>K & ~31; k < kEnd; k += 32, xa += 128, xb += 128) {
    v = v128.load(w0 + k), u = v128.load(w0 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a0 = madd(f, v128.load(xa), a0), b0 = madd(g, v128.load(xa, 16), b0);
    c0 = madd(f, v128.load(xb), c0), d0 = madd(g, v128.load(xb, 16), d0);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a0 = madd(f, v128.load(xa, 32), a0), b0 = madd(g, v128.load(xa, 48), b0);
    c0 = madd(f, v128.load(xb, 32), c0), d0 = madd(g, v128.load(xb, 48), d0);
    f = v128.and(e, high), g = v128.and(p, high);
    a0 = madd(f, v128.load(xa, 64), a0), b0 = madd(g, v128.load(xa, 80), b0);
    c0 = madd(f, v128.load(xb, 64), c0), d0 = madd(g, v128.load(xb, 80), d0);
    f = v128.and(o, high), g = v128.and(q, high);
    a0 = madd(f, v128.load(xa, 96), a0), b0 = madd(g, v128.load(xa, 112), b0);
    c0 = madd(f, v128.load(xb, 96), c0), d0 = madd(g, v128.load(xb, 112), d0);
    v = v128.load(w1 + k), u = v128.load(w1 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a1 = madd(f, v128.load(xa), a1), b1 = madd(g, v128.load(xa, 16), b1);
    c1 = madd(f, v128.load(xb), c1), d1 = madd(g, v128.load(xb, 16), d1);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a1 = madd(f, v128.load(xa, 32), a1), b1 = madd(g, v128.load(xa, 48), b1);
    c1 = madd(f, v128.load(xb, 32), c1), d1 = madd(g, v128.load(xb, 48), d1);
    f = v128.and(e, high), g = v128.and(p, high);
    a1 = madd(f, v128.load(xa, 64), a1), b1 = madd(g, v128.load(xa, 80), b1);
    c1 = madd(f, v128.load(xb, 64), c1), d1 = madd(g, v128.load(xb, 80), d1);
    f = v128.and(o, high), g = v128.and(q, high);
    a1 = madd(f, v128.load(xa, 96), a1), b1 = madd(g, v128.load(xa, 112), b1);
    c1 = madd(f, v128.load(xb, 96), c1), d1 = madd(g, v128.load(xb, 112), d1);
  }
  v128.store(lanes, a0), v128.store(lanes, b0, 16);
  v128.store(lanes, a1, 32), v128.store(lanes, b1, 48);
  v128.store(lanes, c0, 128), v128.store(lanes, d0, 144);
  v128.store(lanes, c1, 160), v128.store(lanes, d1, 176);
}

/** Four rows by two tokens, where the engine joins vectors to 256 bits. */
// @ts-ignore: decorator
@inline
function dots4x2(w0: usize, w1: usize, w2: usize, w3: usize, xa: usize, K: i32, lanes: usize): void {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero(), a2 = zero(), b2 = zero(), a3 = zero(), b3 = zero();
  let c0 = zero(), d0 = zero(), c1 = zero(), d1 = zero(), c2 = zero(), d2 = zero(), c3 = zero(), d3 = zero();
  const mask = constant(E4M3_BITS);
  const high = constant(UPPER);
  let v: v128, u: v128, o: v128, q: v128, e: v128, p: v128, f: v128, g: v128;
  let xb = xa + (<usize>K << 2);
  for (let k: usize = 0, kEnd = <usize>K & ~31; k < kEnd; k += 32, xa += 128, xb += 128) {
    v = v128.load(w0 + k), u = v128.load(w0 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a0 = madd(f, v128.load(xa), a0), b0 = madd(g, v128.load(xa, 16), b0);
    c0 = madd(f, v128.load(xb), c0), d0 = madd(g, v128.load(xb, 16), d0);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a0 = madd(f, v128.load(xa, 32), a0), b0 = madd(g, v128.load(xa, 48), b0);
    c0 = madd(f, v128.load(xb, 32), c0), d0 = madd(g, v128.load(xb, 48), d0);
    f = v128.and(e, high), g = v128.and(p, high);
    a0 = madd(f, v128.load(xa, 64), a0), b0 = madd(g, v128.load(xa, 80), b0);
    c0 = madd(f, v128.load(xb, 64), c0), d0 = madd(g, v128.load(xb, 80), d0);
    f = v128.and(o, high), g = v128.and(q, high);
    a0 = madd(f, v128.load(xa, 96), a0), b0 = madd(g, v128.load(xa, 112), b0);
    c0 = madd(f, v128.load(xb, 96), c0), d0 = madd(g, v128.load(xb, 112), d0);
    v = v128.load(w1 + k), u = v128.load(w1 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a1 = madd(f, v128.load(xa), a1), b1 = madd(g, v128.load(xa, 16), b1);
    c1 = madd(f, v128.load(xb), c1), d1 = madd(g, v128.load(xb, 16), d1);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a1 = madd(f, v128.load(xa, 32), a1), b1 = madd(g, v128.load(xa, 48), b1);
    c1 = madd(f, v128.load(xb, 32), c1), d1 = madd(g, v128.load(xb, 48), d1);
    f = v128.and(e, high), g = v128.and(p, high);
    a1 = madd(f, v128.load(xa, 64), a1), b1 = madd(g, v128.load(xa, 80), b1);
    c1 = madd(f, v128.load(xb, 64), c1), d1 = madd(g, v128.load(xb, 80), d1);
    f = v128.and(o, high), g = v128.and(q, high);
    a1 = madd(f, v128.load(xa, 96), a1), b1 = madd(g, v128.load(xa, 112), b1);
    c1 = madd(f, v128.load(xb, 96), c1), d1 = madd(g, v128.load(xb, 112), d1);
    v = v128.load(w2 + k), u = v128.load(w2 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a2 = madd(f, v128.load(xa), a2), b2 = madd(g, v128.load(xa, 16), b2);
    c2 = madd(f, v128.load(xb), c2), d2 = madd(g, v128.load(xb, 16), d2);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a2 = madd(f, v128.load(xa, 32), a2), b2 = madd(g, v128.load(xa, 48), b2);
    c2 = madd(f, v128.load(xb, 32), c2), d2 = madd(g, v128.load(xb, 48), d2);
    f = v128.and(e, high), g = v128.and(p, high);
    a2 = madd(f, v128.load(xa, 64), a2), b2 = madd(g, v128.load(xa, 80), b2);
    c2 = madd(f, v128.load(xb, 64), c2), d2 = madd(g, v128.load(xb, 80), d2);
    f = v128.and(o, high), g = v128.and(q, high);
    a2 = madd(f, v128.load(xa, 96), a2), b2 = madd(g, v128.load(xa, 112), b2);
    c2 = madd(f, v128.load(xb, 96), c2), d2 = madd(g, v128.load(xb, 112), d2);
    v = v128.load(w3 + k), u = v128.load(w3 + k, 16);
    o = v128.and(i16x8.shr_s(v, 4), mask), q = v128.and(i16x8.shr_s(u, 4), mask);
    e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask), p = v128.and(i16x8.shr_s(i16x8.shl(u, 8), 4), mask);
    f = i32x4.shl(e, 16), g = i32x4.shl(p, 16);
    a3 = madd(f, v128.load(xa), a3), b3 = madd(g, v128.load(xa, 16), b3);
    c3 = madd(f, v128.load(xb), c3), d3 = madd(g, v128.load(xb, 16), d3);
    f = i32x4.shl(o, 16), g = i32x4.shl(q, 16);
    a3 = madd(f, v128.load(xa, 32), a3), b3 = madd(g, v128.load(xa, 48), b3);
    c3 = madd(f, v128.load(xb, 32), c3), d3 = madd(g, v128.load(xb, 48), d3);
    f = v128.and(e, high), g = v128.and(p, high);
    a3 = madd(f, v128.load(xa, 64), a3), b3 = madd(g, v128.load(xa, 80), b3);
    c3 = madd(f, v128.load(xb, 64), c3), d3 = madd(g, v128.load(xb, 80), d3);
    f = v128.and(o, high), g = v128.and(q, high);
    a3 = madd(f, v128.load(xa, 96), a3), b3 = madd(g, v128.load(xa, 112), b3);
    c3 = madd(f, v128.load(xb, 96), c3), d3 = madd(g, v128.load(xb, 112), d3);
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

/**
 * The products of four rows with one token, from their sums in `lanes`, two halves a row, and what is left of K behind
 * the last 32.
 */
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
  let k = <usize>K & ~31;
  let x = xt + (k << 2);
  if (K & 16) {
    a = sixteen(w0 + k, x, a), b = sixteen(w1 + k, x, b), c = sixteen(w2 + k, x, c), d = sixteen(w3 + k, x, d);
    k += 16, x += 64;
  }
  let s = sums4(a, b, c, d);
  const mask = constant(E4M3_BITS);
  for (; k < <usize>K; k++, x += 4) {
    const codes = i32x4(load<u8>(w0 + k), load<u8>(w1 + k), load<u8>(w2 + k), load<u8>(w3 + k));
    s = madd(v128.and(i32x4.shr_s(i32x4.shl(codes, 24), 4), mask), v128.load32_splat(x), s);
  }
  return f32x4.mul(s, f32x4.splat(FP8_Y));
}

/** Adds sixteen products to a sum in four lanes. */
function sixteen(w: usize, x: usize, s: v128): v128 {
  const mask = constant(E4M3_BITS), high = constant(UPPER);
  const v = v128.load(w);
  const o = v128.and(i16x8.shr_s(v, 4), mask), e = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), mask);
  s = madd(i32x4.shl(e, 16), v128.load(x), s);
  s = madd(i32x4.shl(o, 16), v128.load(x, 16), s);
  s = madd(v128.and(e, high), v128.load(x, 32), s);
  return madd(v128.and(o, high), v128.load(x, 48), s);
}

/** The transpose of every 4x4, of two of them side by side, times 2^80 and the scale of its block of 128. */
function prepareFp8(x: usize, dst: usize, K: i32, scales: usize): void {
  const bytes = <usize>K << 2;
  let k: usize = 0;
  for (; k + 64 <= bytes; ) {
    const s = f32x4.splat(load<f32>(scales + (k >> 9 << 2)) * FP8_X);
    if (k + 128 <= bytes) {
      turn4x4(x + k, s, dst + k, 32);
      turn4x4(x + k + 64, s, dst + k + 16, 32);
      k += 128;
    } else {
      turn4x4(x + k, s, dst + k, 16);
      k += 64;
    }
  }
  for (; k < bytes; k += 4) store<f32>(dst + k, load<f32>(x + k) * (load<f32>(scales + (k >> 9 << 2)) * FP8_X));
}

// @ts-ignore: decorator
@inline
function turn4x4(x: usize, s: v128, dst: usize, step: usize): void {
  const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(dst, f32x4.mul(v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5), s));
  v128.store(dst + step, f32x4.mul(v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), s));
  v128.store(dst + 2 * step, f32x4.mul(v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), s));
  v128.store(dst + 3 * step, f32x4.mul(v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), s));
}

function dotFp8(w: usize, x: usize, K: i32, scales: usize): f32 {
  let total: f32 = 0;
  for (let k0 = 0; k0 < K; k0 += 128) {
    const kEnd = min(K, k0 + 128);
    let a: f32 = 0;
    for (let k = k0; k < kEnd; k++) a += e4m3(load<u8>(w + k)) * load<f32>(x + (<usize>k << 2));
    total += a * load<f32>(scales + (<usize>(k0 >> 7) << 2));
  }
  return total;
}
