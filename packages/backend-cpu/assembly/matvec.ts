/**
 * y[T, N] = x[T, K] W[N, K]^T for weights that stay as the checkpoint stores them (row-major F32 here, BF16 and E4M3 in
 * files of their own), for the few tokens of a decode step: four rows at a time, so that one pass over x feeds four
 * streams of weights, and the weights cross the memory bus once however many tokens there are. Many tokens go through
 * `gemm.ts` instead.
 *
 * Vectors of BF16 and E4M3 hold elements in another order than x. Rather than un-shuffling the weights, x is put into
 * that order once per call (`prepare`), which costs K steps against N * K.
 */
import { arg, argPtr, madd, rowAt, sums4, zero } from './simd';

export const ROWS: i32 = 4;

/** Arguments: x, w, y, T, N, K, xStride, yStride, rows, accumulate, scales, scaleStride, wStride (elements), wide. */
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
