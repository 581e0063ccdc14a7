/**
 * How stored weights become f32: BF16 is the upper half of an f32; E4M3 is moved into an f32's exponent and mantissa
 * by shifts, which gives value * 2^-120 exactly (subnormals too), so that one multiplication by a power of two makes
 * it right. The codes 0x7F and 0xFF (NaN) decode to +-480 here: they are refused at load (see `findFp8Nan`).
 */
import { E4M3_BITS, E4M3_UP, constant, constantF } from './constants';
import { zero } from './simd';

// @ts-ignore: decorator
@inline
export function bf16(bits: u32): f32 {
  return reinterpret<f32>(bits << 16);
}

/** The value of an E4M3 code. */
// @ts-ignore: decorator
@inline
export function e4m3(code: u32): f32 {
  return reinterpret<f32>(((code & 0x80) << 24) | ((code & 0x7f) << 20)) * constantF(E4M3_UP);
}

/** dst[0..k) = f32 of k BF16 values. */
export function decodeBf16(src: usize, dst: usize, k: i32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    for (; i + 8 <= k; i += 8) {
      const v = v128.load(src + (<usize>i << 1));
      v128.store(dst + (<usize>i << 2), v128.shuffle<i16>(zero(), v, 0, 8, 1, 9, 2, 10, 3, 11));
      v128.store(dst + (<usize>i << 2), v128.shuffle<i16>(zero(), v, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    }
  }
  for (; i < k; i++) store<f32>(dst + (<usize>i << 2), bf16(load<u16>(src + (<usize>i << 1))));
}

/** dst[0..k) = e4m3(src[i]) * scale. */
export function decodeE4m3(src: usize, dst: usize, k: i32, scale: f32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    // 2^120 first: a subnormal code is a subnormal f32 until then, and the product with the scale is rounded once.
    const up = constant(E4M3_UP);
    const s = f32x4.splat(scale);
    const bits = constant(E4M3_BITS);
    for (; i + 8 <= k; i += 8) {
      const v = v128.and(i16x8.shr_s(i16x8.shl(v128.load8x8_u(src + i), 8), 4), bits);
      const low = v128.shuffle<i16>(zero(), v, 0, 8, 1, 9, 2, 10, 3, 11);
      const high = v128.shuffle<i16>(zero(), v, 4, 12, 5, 13, 6, 14, 7, 15);
      v128.store(dst + (<usize>i << 2), f32x4.mul(f32x4.mul(low, up), s));
      v128.store(dst + (<usize>i << 2), f32x4.mul(f32x4.mul(high, up), s), 16);
    }
  }
  for (; i < k; i++) store<f32>(dst + (<usize>i << 2), e4m3(load<u8>(src + i)) * scale);
}

/** The index of the first NaN code in n E4M3 bytes, or -1. */
export function findFp8Nan(src: usize, n: i32): i32 {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    const nan = i8x16.splat(0x7f);
    for (; i + 16 <= n; i += 16) {
      if (v128.any_true(i8x16.eq(v128.and(v128.load(src + i), nan), nan))) break;
    }
  }
  for (; i < n; i++) if ((load<u8>(src + i) & 0x7f) == 0x7f) return i;
  return -1;
}
