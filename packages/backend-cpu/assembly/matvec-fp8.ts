/**
 * y[T, N] = x[T, K] W[N, K]^T for E4M3 codes as the checkpoint stores them, for the few tokens of a decode step: see
 * `matvec.ts`. A vector of codes holds every fourth element in each byte of its lanes, and x is put into that order.
 */
import { E4M3_BITS, UPPER, constant } from './constants';
import { e4m3 } from './formats';
import { ROWS, put, put4 } from './matvec';
import { arg, argPtr, madd, rowAt, sums4, zero } from './simd';
import { SCRATCH_X, SCRATCH_X_BYTES } from './scratch';

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
          const xa = px + (<usize>t * <usize>K << 2);
          const s = dotsFp8x2(w0, w1, xa, K), u = dotsFp8x2(w2, w3, xa, K);
          const out = y + (<usize>(t0 + t) * <usize>yStride + <usize>r << 2);
          put4(out, v128.shuffle<f32>(s, u, 0, 1, 4, 5), n, accumulate);
          put4(out + (<usize>yStride << 2), v128.shuffle<f32>(s, u, 2, 3, 6, 7), n, accumulate);
        }
        for (; t < tn; t++) {
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

/**
 * Two rows by two tokens, `xt` and the one after it: [w0 xa, w1 xa, w0 xb, w1 xb]. Codes are decoded once for both
 * tokens, and each sum is made in the order of `dotsFp8`, so that a token does not depend on its company.
 */
function dotsFp8x2(w0: usize, w1: usize, xt: usize, K: i32): v128 {
  let a0 = zero(), b0 = zero(), a1 = zero(), b1 = zero();
  let c0 = zero(), d0 = zero(), c1 = zero(), d1 = zero();
  const mask = constant(E4M3_BITS);
  const high = constant(UPPER);
  let k: usize = 0;
  let xa = xt, xb = xt + (<usize>K << 2);
  for (const kEnd = <usize>K & ~15; k < kEnd; k += 16, xa += 64, xb += 64) {
    const v0 = v128.load(w0 + k);
    const o0 = v128.and(i16x8.shr_s(v0, 4), mask);
    const e0 = v128.and(i16x8.shr_s(i16x8.shl(v0, 8), 4), mask);
    const v1 = v128.load(w1 + k);
    const o1 = v128.and(i16x8.shr_s(v1, 4), mask);
    const e1 = v128.and(i16x8.shr_s(i16x8.shl(v1, 8), 4), mask);
    let p = v128.load(xa), q = v128.load(xb);
    let f = i32x4.shl(e0, 16);
    a0 = madd(f, p, a0), c0 = madd(f, q, c0);
    f = i32x4.shl(e1, 16);
    a1 = madd(f, p, a1), c1 = madd(f, q, c1);
    p = v128.load(xa, 16), q = v128.load(xb, 16);
    f = i32x4.shl(o0, 16);
    b0 = madd(f, p, b0), d0 = madd(f, q, d0);
    f = i32x4.shl(o1, 16);
    b1 = madd(f, p, b1), d1 = madd(f, q, d1);
    p = v128.load(xa, 32), q = v128.load(xb, 32);
    f = v128.and(e0, high);
    a0 = madd(f, p, a0), c0 = madd(f, q, c0);
    f = v128.and(e1, high);
    a1 = madd(f, p, a1), c1 = madd(f, q, c1);
    p = v128.load(xa, 48), q = v128.load(xb, 48);
    f = v128.and(o0, high);
    b0 = madd(f, p, b0), d0 = madd(f, q, d0);
    f = v128.and(o1, high);
    b1 = madd(f, p, b1), d1 = madd(f, q, d1);
  }
  let s = sums4(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(c0, d0), f32x4.add(c1, d1));
  for (; k < <usize>K; k++, xa += 4, xb += 4) {
    const u0 = load<u8>(w0 + k), u1 = load<u8>(w1 + k);
    const f = v128.and(i32x4.shr_s(i32x4.shl(i32x4(u0, u1, u0, u1), 24), 4), mask);
    const p = load<f32>(xa), q = load<f32>(xb);
    s = madd(f, f32x4(p, p, q, q), s);
  }
  return f32x4.mul(s, f32x4.splat(FP8_Y));
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
