/**
 * y[T, N] = x[T, K] W[K, N] for a few tokens and row-major W: the same stored matrix as in `matvec.ts`, used the other
 * way round (queries folded into the latent). 32 columns at a time stay in registers while K is walked.
 *
 * Arguments: x, w, y, T, N, K, xStride, yStride, format (0 f32, 1 bf16), accumulate, wStride. Units are 32 columns.
 */
import { UPPER, constant } from './constants';
import { bf16 } from './formats';
import { arg, argPtr, madd, zero } from './simd';

const COLUMNS: i32 = 32;

export function vecmat(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), w = argPtr(args, 1), y = argPtr(args, 2), T = arg(args, 3), N = arg(args, 4);
  const K = arg(args, 5), xStride = <usize>arg(args, 6) << 2, yStride = <usize>arg(args, 7) << 2;
  const half = arg(args, 8), accumulate = arg(args, 9), wStride = <usize>arg(args, 10);
  const shift: usize = half ? 1 : 2;
  for (let c = begin * COLUMNS; c < min(N, end * COLUMNS); c += COLUMNS) {
    const n = min(COLUMNS, N - c);
    const from = w + (<usize>c << shift);
    for (let t: usize = 0; t < <usize>T; t++) {
      const xt = x + t * xStride;
      const out = y + t * yStride + (<usize>c << 2);
      if (ASC_FEATURE_SIMD) {
        if (n == COLUMNS) {
          if (half) columnsBf16(xt, from, wStride << 1, K, out, accumulate);
          else columnsF32(xt, from, wStride << 2, K, out, accumulate);
          continue;
        }
      }
      for (let j: usize = 0; j < <usize>n; j++) {
        let s: f32 = 0;
        for (let k: usize = 0; k < <usize>K; k++) {
          const at = from + ((k * wStride + j) << shift);
          s += load<f32>(xt + (k << 2)) * (half ? bf16(load<u16>(at)) : load<f32>(at));
        }
        store<f32>(out + (j << 2), accumulate ? s + load<f32>(out + (j << 2)) : s);
      }
    }
  }
}

function columnsF32(x: usize, w: usize, stride: usize, K: i32, out: usize, accumulate: i32): void {
  let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero(), a4 = zero(), a5 = zero(), a6 = zero(), a7 = zero();
  for (const e = x + (<usize>K << 2); x < e; x += 4, w += stride) {
    const v = v128.load32_splat(x);
    a0 = madd(v128.load(w), v, a0);
    a1 = madd(v128.load(w, 16), v, a1);
    a2 = madd(v128.load(w, 32), v, a2);
    a3 = madd(v128.load(w, 48), v, a3);
    a4 = madd(v128.load(w, 64), v, a4);
    a5 = madd(v128.load(w, 80), v, a5);
    a6 = madd(v128.load(w, 96), v, a6);
    a7 = madd(v128.load(w, 112), v, a7);
  }
  put(out, a0, accumulate);
  put(out + 16, a1, accumulate);
  put(out + 32, a2, accumulate);
  put(out + 48, a3, accumulate);
  put(out + 64, a4, accumulate);
  put(out + 80, a5, accumulate);
  put(out + 96, a6, accumulate);
  put(out + 112, a7, accumulate);
}

/** Even and odd columns apart, until the end. */
function columnsBf16(x: usize, w: usize, stride: usize, K: i32, out: usize, accumulate: i32): void {
  let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero(), b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
  const high = constant(UPPER);
  for (const e = x + (<usize>K << 2); x < e; x += 4, w += stride) {
    const v = v128.load32_splat(x);
    const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48);
    a0 = madd(i32x4.shl(w0, 16), v, a0);
    b0 = madd(v128.and(w0, high), v, b0);
    a1 = madd(i32x4.shl(w1, 16), v, a1);
    b1 = madd(v128.and(w1, high), v, b1);
    a2 = madd(i32x4.shl(w2, 16), v, a2);
    b2 = madd(v128.and(w2, high), v, b2);
    a3 = madd(i32x4.shl(w3, 16), v, a3);
    b3 = madd(v128.and(w3, high), v, b3);
  }
  putPair(out, a0, b0, accumulate);
  putPair(out + 32, a1, b1, accumulate);
  putPair(out + 64, a2, b2, accumulate);
  putPair(out + 96, a3, b3, accumulate);
}

// @ts-ignore: decorator
@inline
function putPair(out: usize, even: v128, odd: v128, accumulate: i32): void {
  put(out, v128.shuffle<f32>(even, odd, 0, 4, 1, 5), accumulate);
  put(out + 16, v128.shuffle<f32>(even, odd, 2, 6, 3, 7), accumulate);
}

// @ts-ignore: decorator
@inline
function put(out: usize, v: v128, accumulate: i32): void {
  v128.store(out, accumulate ? f32x4.add(v, v128.load(out)) : v);
}
