/**
 * y[T, N] = x[T, K] W[N, K]^T for weights that stay as the checkpoint stores them (row-major F32, BF16, E4M3), for
 * the few tokens of a decode step: four rows at a time, so that one pass over x feeds four streams of weights, and
 * the weights cross the memory bus once however many tokens there are. Many tokens go through `gemm.ts` instead.
 *
 * A vector of BF16 holds even and odd elements in the halves of its 32-bit lanes, and one of E4M3 every fourth
 * element in each byte of them. Rather than un-shuffling the weights, x is put into that order once per call
 * (`prepare`), which costs K steps against N * K.
 */
import { E4M3_BITS, UPPER, constant } from './constants';
import { bf16, e4m3 } from './formats';
import { arg, argPtr, madd, rowAt, sum4, sums4, zero } from './simd';
import { SCRATCH_X, SCRATCH_X_BYTES } from './scratch';

export const ROWS: i32 = 4;

/** x of an E4M3 product is scaled by 2^80 and the result by 2^40: codes enter as value * 2^-120. */
const FP8_X: f32 = reinterpret<f32>((127 + 80) << 23);
const FP8_Y: f32 = reinterpret<f32>((127 + 40) << 23);

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
      for (let t = 0; t < tn; t++) {
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

/**
 * Arguments as `matvecF32`; `scales` is [ceil(N / 128), scaleStride] f32, one for each 128x128 block.
 * The scale of a block goes into the prepared x of its 128 rows, which is therefore made anew at each row block.
 */
export function matvecFp8(args: usize, begin: i32, end: i32, scratch: usize, key: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), T = arg(args, 3), N = arg(args, 4);
  const K = arg(args, 5), xStride = arg(args, 6), yStride = arg(args, 7), rows = argPtr(args, 8);
  const accumulate = arg(args, 9), scales = argPtr(args, 10), scaleStride = arg(args, 11), wBytes = <usize>arg(args, 12);
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
        for (let t = 0; t < tn; t++) {
          const s = dotsFp8(w0, w1, w2, w3, px + (<usize>t * <usize>K << 2), K);
          put4(y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2), s, n, accumulate);
        }
      }
      r0 = rEnd;
    }
  }
}

// @ts-ignore: decorator
@inline
function dotsFp8(w0: usize, w1: usize, w2: usize, w3: usize, xt: usize, K: i32): v128 {
  let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
  let b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
  const mask = constant(E4M3_BITS);
  const high = constant(UPPER);
  let k: usize = 0;
  let xk = xt;
  for (const kEnd = <usize>K & ~15; k < kEnd; k += 16, xk += 64) {
    const x0 = v128.load(xk), x1 = v128.load(xk, 16), x2 = v128.load(xk, 32), x3 = v128.load(xk, 48);
    const v0 = v128.load(w0 + k);
    const o0 = v128.and(i16x8.shr_s(v0, 4), mask);
    const e0 = v128.and(i16x8.shr_s(i16x8.shl(v0, 8), 4), mask);
    a0 = madd(i32x4.shl(e0, 16), x0, a0);
    b0 = madd(i32x4.shl(o0, 16), x1, b0);
    a0 = madd(v128.and(e0, high), x2, a0);
    b0 = madd(v128.and(o0, high), x3, b0);
    const v1 = v128.load(w1 + k);
    const o1 = v128.and(i16x8.shr_s(v1, 4), mask);
    const e1 = v128.and(i16x8.shr_s(i16x8.shl(v1, 8), 4), mask);
    a1 = madd(i32x4.shl(e1, 16), x0, a1);
    b1 = madd(i32x4.shl(o1, 16), x1, b1);
    a1 = madd(v128.and(e1, high), x2, a1);
    b1 = madd(v128.and(o1, high), x3, b1);
    const v2 = v128.load(w2 + k);
    const o2 = v128.and(i16x8.shr_s(v2, 4), mask);
    const e2 = v128.and(i16x8.shr_s(i16x8.shl(v2, 8), 4), mask);
    a2 = madd(i32x4.shl(e2, 16), x0, a2);
    b2 = madd(i32x4.shl(o2, 16), x1, b2);
    a2 = madd(v128.and(e2, high), x2, a2);
    b2 = madd(v128.and(o2, high), x3, b2);
    const v3 = v128.load(w3 + k);
    const o3 = v128.and(i16x8.shr_s(v3, 4), mask);
    const e3 = v128.and(i16x8.shr_s(i16x8.shl(v3, 8), 4), mask);
    a3 = madd(i32x4.shl(e3, 16), x0, a3);
    b3 = madd(i32x4.shl(o3, 16), x1, b3);
    a3 = madd(v128.and(e3, high), x2, a3);
    b3 = madd(v128.and(o3, high), x3, b3);
  }
  let s = sums4(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3));
  for (; k < <usize>K; k++, xk += 4) {
    const codes = i32x4(load<u8>(w0 + k), load<u8>(w1 + k), load<u8>(w2 + k), load<u8>(w3 + k));
    const f = v128.and(i32x4.shr_s(i32x4.shl(codes, 24), 4), mask);
    s = madd(f, v128.load32_splat(xk), s);
  }
  return f32x4.mul(s, f32x4.splat(FP8_Y));
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

/** The transpose of every 4x4, times 2^80 and the scale of its block of 128. */
function prepareFp8(x: usize, dst: usize, K: i32, scales: usize): void {
  const bytes = <usize>K << 2;
  let k: usize = 0;
  for (; k + 64 <= bytes; k += 64) {
    const s = f32x4.splat(load<f32>(scales + (k >> 9 << 2)) * FP8_X);
    const a = v128.load(x + k);
    const b = v128.load(x + k, 16);
    const c = v128.load(x + k, 32);
    const d = v128.load(x + k, 48);
    const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    v128.store(dst + k, f32x4.mul(v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5), s));
    v128.store(dst + k, f32x4.mul(v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), s), 16);
    v128.store(dst + k, f32x4.mul(v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), s), 32);
    v128.store(dst + k, f32x4.mul(v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), s), 48);
  }
  for (; k < bytes; k += 4) store<f32>(dst + k, load<f32>(x + k) * (load<f32>(scales + (k >> 9 << 2)) * FP8_X));
}

/** Stores up to four results, or adds them to what is there. */
// @ts-ignore: decorator
@inline
function put4(out: usize, s: v128, n: i32, accumulate: i32): void {
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
function put(out: usize, s: f32, accumulate: i32): void {
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
