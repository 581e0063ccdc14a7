/**
 * How stored weights become f32: BF16 is the upper half of an f32; E4M3 is moved into an f32's exponent and mantissa
 * by shifts, which gives value * 2^-120 exactly (subnormals too), so that one multiplication by a power of two makes
 * it right. The codes 0x7F and 0xFF (NaN) decode to +-480 here: they are refused at load (see `findFp8Nan`).
 */
import { zero } from './simd';

/** Sign, four exponent bits and three mantissa bits of E4M3 in each 16-bit half, after `>> 4`. */
export const E4M3_MASK: i32 = 0x87f087f0;
/** What brings a shifted E4M3 code back to its value. */
export const E4M3_UP: f32 = reinterpret<f32>((127 + 120) << 23);

// @ts-ignore: decorator
@inline
export function bf16(bits: u32): f32 {
  return reinterpret<f32>(bits << 16);
}

/** The value of an E4M3 code. */
// @ts-ignore: decorator
@inline
export function e4m3(code: u32): f32 {
  return reinterpret<f32>(((code & 0x80) << 24) | ((code & 0x7f) << 20)) * E4M3_UP;
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
    const up = f32x4.splat(E4M3_UP);
    const s = f32x4.splat(scale);
    const mask = i32x4.splat(0x87f00000);
    for (; i + 4 <= k; i += 4) {
      const v = v128.load32_zero(src + i);
      // Each byte to the top of its own lane, then down to the place of exponent and mantissa.
      const b = v128.shuffle<i8>(zero(), v, 0, 0, 0, 16, 0, 0, 0, 17, 0, 0, 0, 18, 0, 0, 0, 19);
      const f = v128.and(i32x4.shr_s(b, 4), mask);
      v128.store(dst + (<usize>i << 2), f32x4.mul(f32x4.mul(f, up), s));
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
