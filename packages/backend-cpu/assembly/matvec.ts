/**
 * y[T, N] = x[T, K] W[N, K]^T for weights that stay as the checkpoint stores them (row-major F32, BF16, E4M3), for
 * the few tokens of a decode step: four rows at a time, so that one pass over x feeds four streams of weights, and
 * the weights cross the memory bus once however many tokens there are. Many tokens go through `gemm.ts` instead.
 *
 * A vector of BF16 holds even and odd elements in the halves of its 32-bit lanes, and one of E4M3 every fourth
 * element in each byte of them. Rather than un-shuffling the weights, x is put into that order once per call
 * (`prepare`), which costs K steps against N * K.
 */
import { UPPER, constant } from './constants';
import { bf16 } from './formats';
import { arg, argPtr, madd, rowAt, sum4, sums4, zero } from './simd';
import { SCRATCH_X, SCRATCH_X_BYTES } from './scratch';

export const ROWS: i32 = 4;

/** Arguments: x, w, y, T, N, K, xStride, yStride, rows, accumulate, scales, scaleStride, wStride (elements). */
export function matvecF32(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), T = arg(args, 3), N = arg(args, 4);
  const K = arg(args, 5), xStride = arg(args, 6), yStride = arg(args, 7), rows = argPtr(args, 8);
  const accumulate = arg(args, 9), wBytes = <usize>arg(args, 12) << 2;
  const last = min(end * ROWS, N);
  for (let r = begin * ROWS; r < last; r += ROWS) {
    const n = min(ROWS, last - r);
    for (let t = 0; t < T; t++) {
      const xt = rowAt(x, xStride, rows, t);
      const out = y + (<usize>t * <usize>yStride + <usize>r << 2);
      // Missing rows of the last block repeat the last one, and are not written.
      const w0 = w + <usize>r * wBytes;
      const w1 = w + <usize>min(r + 1, last - 1) * wBytes;
      const w2 = w + <usize>min(r + 2, last - 1) * wBytes;
      const w3 = w + <usize>min(r + 3, last - 1) * wBytes;
      if (ASC_FEATURE_SIMD) {
        let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
        let b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
        let k: usize = 0;
        const kEnd = (<usize>K << 2) & ~31;
        for (; k < kEnd; k += 32) {
          const xa = v128.load(xt + k);
          const xb = v128.load(xt + k, 16);
          a0 = madd(v128.load(w0 + k), xa, a0);
          a1 = madd(v128.load(w1 + k), xa, a1);
          a2 = madd(v128.load(w2 + k), xa, a2);
          a3 = madd(v128.load(w3 + k), xa, a3);
          b0 = madd(v128.load(w0 + k, 16), xb, b0);
          b1 = madd(v128.load(w1 + k, 16), xb, b1);
          b2 = madd(v128.load(w2 + k, 16), xb, b2);
          b3 = madd(v128.load(w3 + k, 16), xb, b3);
        }
        let s = sums4(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3));
        for (const e = <usize>K << 2; k < e; k += 4) {
          const wk = f32x4(load<f32>(w0 + k), load<f32>(w1 + k), load<f32>(w2 + k), load<f32>(w3 + k));
          s = madd(wk, v128.load32_splat(xt + k), s);
        }
        put4(out, s, n, accumulate);
      } else {
        put(out, dotF32(w0, xt, K), accumulate);
        if (n > 1) put(out + 4, dotF32(w1, xt, K), accumulate);
        if (n > 2) put(out + 8, dotF32(w2, xt, K), accumulate);
        if (n > 3) put(out + 12, dotF32(w3, xt, K), accumulate);
      }
    }
  }
}

/** Arguments as `matvecF32`. */
export function matvecBf16(args: usize, begin: i32, end: i32, scratch: usize, key: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), T = arg(args, 3), N = arg(args, 4);
  const K = arg(args, 5), xStride = arg(args, 6), yStride = arg(args, 7), rows = argPtr(args, 8);
  const accumulate = arg(args, 9), wBytes = <usize>arg(args, 12) << 1;
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
      for (; t + 2 <= tn; t += 2) {
        const xa = px + (<usize>t * <usize>K << 2);
        const s = dotsBf16x2(w0, w1, xa, K), u = dotsBf16x2(w2, w3, xa, K);
        const out = y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2);
        put4(out, v128.shuffle<f32>(s, u, 0, 1, 4, 5), n, accumulate);
        put4(out + (<usize>yStride << 2), v128.shuffle<f32>(s, u, 2, 3, 6, 7), n, accumulate);
      }
      for (; t < tn; t++) {
        const xt = px + (<usize>t * <usize>K << 2);
        let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
        let b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
        const high = constant(UPPER);
        let k: usize = 0;
        let xk = xt;
        const kEnd = (<usize>K << 1) & ~15;
        for (; k < kEnd; k += 16) {
          const xa = v128.load(xk);
          const xb = v128.load(xk, 16);
          xk += 32;
          const v0 = v128.load(w0 + k);
          a0 = madd(i32x4.shl(v0, 16), xa, a0);
          b0 = madd(v128.and(v0, high), xb, b0);
          const v1 = v128.load(w1 + k);
          a1 = madd(i32x4.shl(v1, 16), xa, a1);
          b1 = madd(v128.and(v1, high), xb, b1);
          const v2 = v128.load(w2 + k);
          a2 = madd(i32x4.shl(v2, 16), xa, a2);
          b2 = madd(v128.and(v2, high), xb, b2);
          const v3 = v128.load(w3 + k);
          a3 = madd(i32x4.shl(v3, 16), xa, a3);
          b3 = madd(v128.and(v3, high), xb, b3);
        }
        let s = sums4(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3));
        for (const e = <usize>K << 1; k < e; k += 2, xk += 4) {
          const wk = f32x4(
            bf16(load<u16>(w0 + k)), bf16(load<u16>(w1 + k)), bf16(load<u16>(w2 + k)), bf16(load<u16>(w3 + k)));
          s = madd(wk, v128.load32_splat(xk), s);
        }
        put4(y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2), s, n, accumulate);
      }
    }
  }
}

/** Two rows by two tokens, as `dotsFp8x2`. */
function dotsBf16x2(w0: usize, w1: usize, xt: usize, K: i32): v128 {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero();
  let c0 = zero(), d0 = zero(), c1 = zero(), d1 = zero();
  const high = constant(UPPER);
  let k: usize = 0;
  let xa = xt, xb = xt + (<usize>K << 2);
  for (const kEnd = (<usize>K << 1) & ~15; k < kEnd; k += 16, xa += 32, xb += 32) {
    const v0 = v128.load(w0 + k), v1 = v128.load(w1 + k);
    let p = v128.load(xa), q = v128.load(xb);
    let f = i32x4.shl(v0, 16);
    a0 = madd(f, p, a0), c0 = madd(f, q, c0);
    f = i32x4.shl(v1, 16);
    a1 = madd(f, p, a1), c1 = madd(f, q, c1);
    p = v128.load(xa, 16), q = v128.load(xb, 16);
    f = v128.and(v0, high);
    b0 = madd(f, p, b0), d0 = madd(f, q, d0);
    f = v128.and(v1, high);
    b1 = madd(f, p, b1), d1 = madd(f, q, d1);
  }
  let s = sums4(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(c0, d0), f32x4.add(c1, d1));
  for (const e = <usize>K << 1; k < e; k += 2, xa += 4, xb += 4) {
    const u0 = bf16(load<u16>(w0 + k)), u1 = bf16(load<u16>(w1 + k));
    const p = load<f32>(xa), q = load<f32>(xb);
    s = madd(f32x4(u0, u1, u0, u1), f32x4(p, p, q, q), s);
  }
  return s;
}

/** Even elements, then odd ones, of every 8. */
function prepareBf16(x: usize, dst: usize, K: i32): void {
  const bytes = <usize>K << 2;
  let k: usize = 0;
  for (; k + 32 <= bytes; k += 32) {
    const a = v128.load(x + k);
    const b = v128.load(x + k, 16);
    v128.store(dst + k, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(dst + k, v128.shuffle<f32>(a, b, 1, 3, 5, 7), 16);
  }
  for (; k < bytes; k += 4) store<f32>(dst + k, load<f32>(x + k));
}

/** Stores up to four results, or adds them to what is there. */
// @ts-ignore: decorator
@inline
export function put4(out: usize, s: v128, n: i32, accumulate: i32): void {
  if (n == 4) {
    v128.store(out, accumulate ? f32x4.add(s, v128.load(out)) : s);
  } else {
    put(out, f32x4.extract_lane(s, 0), accumulate);
    if (n > 1) put(out + 4, f32x4.extract_lane(s, 1), accumulate);
    if (n > 2) put(out + 8, f32x4.extract_lane(s, 2), accumulate);
  }
}

// @ts-ignore: decorator
@inline
export function put(out: usize, s: f32, accumulate: i32): void {
  store<f32>(out, accumulate ? s + load<f32>(out) : s);
}

/** Four partial sums, so that a long K loses no more digits than the vector kernels do. */
export function dotF32(w: usize, x: usize, K: i32): f32 {
  let a: f32 = 0, b: f32 = 0, c: f32 = 0, d: f32 = 0;
  let k = 0;
  for (; k + 4 <= K; k += 4) {
    const p = w + (<usize>k << 2), q = x + (<usize>k << 2);
    a += load<f32>(p) * load<f32>(q);
    b += load<f32>(p, 4) * load<f32>(q, 4);
    c += load<f32>(p, 8) * load<f32>(q, 8);
    d += load<f32>(p, 12) * load<f32>(q, 12);
  }
  for (; k < K; k++) a += load<f32>(w + (<usize>k << 2)) * load<f32>(x + (<usize>k << 2));
  return a + b + (c + d);
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
