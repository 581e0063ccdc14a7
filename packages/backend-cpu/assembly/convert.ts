/**
 * Between f32 and the short floats that training works in, rounding to nearest, ties to even: BF16, and E4M3 (saturating)
 * alone or with a scale for each tile. To the bit what core's codecs give, NaN included.
 *
 * E4M3 from the bits of a float, without sign: a normal result is an integer addition, since its code counts the
 * representable numbers; a subnormal one counts steps of 2^-9, which is the last place of a float32 at 2^14, so adding
 * 2^14 rounds to them.
 */
import { decodeBf16, decodeE4m3 } from './formats';
import { arg, argPtr, max4i, zero } from './simd';

/** Elements in a unit of `convert`. */
const BLOCK: i32 = 4096;

const TO_BF16: i32 = 0;
const FROM_BF16: i32 = 1;
const TO_E4M3: i32 = 2;

const TABLE = memory.data<u32>([
  0x7fffffff, // 0: all but the sign
  0x7f800000, // 1: infinity
  0x00007fff, // 2: just below half a step of BF16
  0x00007fc0, // 3: NaN in BF16
  0x0007ffff, // 4: just below half a step of E4M3
  0x000003c0, // 5: what the exponents of f32 and E4M3 differ by, as a code
  0x46800000, // 6: 2^14
  0x3c800000, // 7: 2^-6, the smallest normal E4M3 number
  0x0000007e, // 8: the largest code
  0x0000007f, // 9: NaN
  0x00000080, // 10: the sign of a code
  0x00000001, // 11
  0x43f00000, // 12: 480, what the bits of a NaN would be
]);

// @ts-ignore: decorator
@inline
function all(index: usize): v128 {
  return v128.load32_splat(TABLE + (index << 2));
}

/** Arguments: conversion (0 f32 to BF16, 1 back, 2 f32 to E4M3, 3 back), x, y, n. Units are blocks of 4096 elements. */
export function convert(args: usize, begin: i32, end: i32): void {
  const conversion = arg(args, 0), x = argPtr(args, 1), y = argPtr(args, 2);
  const first = begin * BLOCK, n = min(end * BLOCK, arg(args, 3)) - first, at = <usize>first;
  if (conversion == TO_BF16) encodeBf16(x + (at << 2), y + (at << 1), n);
  else if (conversion == FROM_BF16) decodeBf16(x + (at << 1), y + (at << 2), n);
  else if (conversion == TO_E4M3) encodeE4m3(x + (at << 2), y + at, n, 1);
  else {
    decodeE4m3(x + at, y + (at << 2), n, 1);
    restoreNaN(y + (at << 2), n);
  }
}

function encodeBf16(x: usize, y: usize, n: i32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    for (; i + 8 <= n; i += 8) {
      const low = bf16Of4(v128.load(x + (<usize>i << 2))), high = bf16Of4(v128.load(x + (<usize>i << 2), 16));
      v128.store(y + (<usize>i << 1), i16x8.narrow_i32x4_u(low, high));
    }
  }
  for (; i < n; i++) {
    const bits = load<u32>(x + (<usize>i << 2));
    const isNaN = (bits & 0x7fffffff) > 0x7f800000;
    store<u16>(y + (<usize>i << 1), <u16>(isNaN ? ((bits >> 16) & 0x8000) | 0x7fc0 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
  }
}

// @ts-ignore: decorator
@inline
function bf16Of4(bits: v128): v128 {
  const upper = i32x4.shr_u(bits, 16);
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(bits, all(2)), v128.and(upper, all(11))), 16);
  const isNaN = i32x4.gt_s(v128.and(bits, all(0)), all(1));
  const nan = v128.or(i32x4.shl(i32x4.shr_u(bits, 31), 15), all(3));
  return v128.bitselect(nan, rounded, isNaN);
}

/** y[0..n) = the codes of x[i] / scale. */
function encodeE4m3(x: usize, y: usize, n: i32, scale: f32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    const s = f32x4.splat(scale);
    for (; i + 8 <= n; i += 8) {
      const low = e4m3Of4(f32x4.div(v128.load(x + (<usize>i << 2)), s));
      const high = e4m3Of4(f32x4.div(v128.load(x + (<usize>i << 2), 16), s));
      const codes = i16x8.narrow_i32x4_u(low, high);
      v128.store64_lane(y + <usize>i, i8x16.narrow_i16x8_u(codes, codes), 0);
    }
  }
  for (; i < n; i++) store<u8>(y + <usize>i, e4m3Of1(load<f32>(x + (<usize>i << 2)) / scale));
}

// @ts-ignore: decorator
@inline
function e4m3Of4(bits: v128): v128 {
  const magnitude = v128.and(bits, all(0));
  const odd = v128.and(i32x4.shr_u(magnitude, 20), all(11));
  const normal = i32x4.sub(i32x4.shr_u(i32x4.add(i32x4.add(magnitude, all(4)), odd), 20), all(5));
  const steps = i32x4.sub(f32x4.add(magnitude, all(6)), all(6));
  let code = v128.bitselect(steps, i32x4.min_s(normal, all(8)), i32x4.lt_s(magnitude, all(7)));
  code = v128.bitselect(all(9), code, i32x4.gt_s(magnitude, all(1)));
  return v128.or(code, v128.and(i32x4.shr_u(bits, 24), all(10)));
}

function e4m3Of1(x: f32): u8 {
  const bits = reinterpret<u32>(x), magnitude = bits & 0x7fffffff, sign = (bits >> 24) & 0x80;
  if (magnitude > 0x7f800000) return <u8>(sign | 0x7f);
  if (magnitude < 0x3c800000) return <u8>(sign | (reinterpret<u32>(abs(x) + 16384) - 0x46800000));
  return <u8>(sign | min<u32>(((magnitude + 0x7ffff + ((magnitude >> 20) & 1)) >> 20) - 0x3c0, 0x7e));
}

/** Decoding knows no NaN: its codes became 480, which no other code stands for. */
function restoreNaN(y: usize, n: i32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    for (; i + 4 <= n; i += 4) {
      const v = v128.load(y + (<usize>i << 2));
      v128.store(y + (<usize>i << 2), v128.or(v, f32x4.eq(f32x4.abs(v), all(12))));
    }
  }
  for (; i < n; i++) if (abs(load<f32>(y + (<usize>i << 2))) == 480) store<f32>(y + (<usize>i << 2), NaN);
}

/**
 * Rows of f32 to E4M3 with a scale for each tile: max(largest magnitude, 1e-4) / 448, for `power` the power of two that is
 * not below it; a NaN makes its tile's scale NaN. Arguments: x, codes, scales, width, tile, power. Units are rows.
 */
export function quantizeTiles(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), codes = argPtr(args, 1), scales = argPtr(args, 2), width = arg(args, 3), tile = arg(args, 4);
  const power = arg(args, 5), tiles = (width + tile - 1) / tile;
  for (let r = <usize>begin; r < <usize>end; r++) {
    for (let t = 0; t < tiles; t++) {
      const at = r * <usize>width + <usize>t * <usize>tile, n = min(tile, width - t * tile);
      const exact = max<f32>(largest(x + (at << 2), n), 1e-4) / 448;
      const scale = power ? nextPower(exact) : exact;
      store<f32>(scales + ((r * <usize>tiles + <usize>t) << 2), scale);
      encodeE4m3(x + (at << 2), codes + at, n, scale);
    }
  }
}

/** The largest magnitude; NaN where there is one: bits without their sign are ordered like numbers, with NaN on top. */
function largest(x: usize, n: i32): f32 {
  let top = 0;
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    const magnitude = all(0);
    let m = zero();
    for (; i + 4 <= n; i += 4) m = i32x4.max_s(m, v128.and(v128.load(x + (<usize>i << 2)), magnitude));
    top = max4i(m);
  }
  for (; i < n; i++) top = max(top, load<i32>(x + (<usize>i << 2)) & 0x7fffffff);
  return reinterpret<f32>(top);
}

/** The smallest power of two that is not below a positive normal number; infinity and NaN stay. */
function nextPower(x: f32): f32 {
  const bits = reinterpret<u32>(x);
  return (bits & 0x7fffff) == 0 || bits >= 0x7f800000 ? x : reinterpret<f32>((bits & 0x7f800000) + 0x800000);
}
