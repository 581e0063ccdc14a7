/**
 * From f32 to the integers that the INT8 and INT4 products run on: activations each time, weights once at load.
 *
 * Activations (`quantizeActivations`) get one scale for every 128 elements of a row. A row becomes one record
 *     [f32 scale x ceil(Kp / 128)] [i32 sum of each 32 integers x Kp / 32] [integers]
 * where Kp is K rounded up to 32 (zeros) and the integers are, by `layout`:
 *     QUAD8   i8[Kp]                        for the relaxed dot of four bytes
 *     QUAD16  i8[Kp] high, i8[Kp] low       the same with value = 256 * high + low: two dots, nearly lossless
 *     PAIR    i16[Kp]                       for the dot of two 16-bit integers, 8 or 16 bits alike
 *
 * Weights are laid out in panels of 16 rows, so that each lane of a vector is a row and no kernel adds across lanes:
 *     INT8  QUAD [Kp / 4][16 rows][4]       PAIR [Kp / 2][16 rows][2]
 *     INT4  QUAD [Kp / 8][16 rows][4 bytes: k + j in the low nibble, k + 4 + j in the high one]
 *           PAIR [Kp / 4][16 rows][2 bytes: k + j in the low nibble, k + 2 + j in the high one]
 *     scales     [groups][16 rows] f32 a panel
 * INT8 QUAD may hold w + 128 instead of w (`offset`), where the machine's dot takes its second operand as unsigned.
 */
import { EIGHT_16, HIGHEST4, HIGHEST4_16, LOWEST4, LOWEST4_16, MAGNITUDE, ROUND, constant } from './constants';
import { decodeBf16, decodeE4m3 } from './formats';
import { arg, argPtr, max4, max4i, rowAt, sum4, zero } from './simd';
import { SCRATCH_WORK } from './scratch';

export const QUAD8: i32 = 0;
export const QUAD16: i32 = 1;
export const PAIR: i32 = 2;
export const PANEL: i32 = 16;

/** The largest integer of an 8-bit and of a 16-bit activation (127 * 256: its high byte must fit too). */
const MAX8: f32 = 127;
const MAX16: f32 = 32512;
/** Below this a group counts as zero: its reciprocal would overflow. */
const TINY: f32 = 1e-30;

// @ts-ignore: decorator
@inline
export function groupsOf(k: i32, group: i32): i32 {
  return (k + group - 1) / group;
}

/** Arguments: x, xStride, K, Kp, dst, recordBytes, layout, bits, rows. Units are rows. */
export function quantizeActivations(args: usize, begin: i32, end: i32, scratch: usize): void {
  const x = argPtr(args, 0), xStride = arg(args, 1), K = arg(args, 2), Kp = arg(args, 3), dst = argPtr(args, 4);
  const record = <usize>arg(args, 5), layout = arg(args, 6), bits = arg(args, 7), rows = argPtr(args, 8);
  const qmax = bits == 16 ? MAX16 : MAX8;
  const groups = groupsOf(Kp, 128);
  // Every access beyond K is served from a copy of the last, partial group.
  const tail = scratch + SCRATCH_WORK;
  for (let t = begin; t < end; t++) {
    const scales = dst + <usize>t * record;
    const sums = scales + (<usize>groups << 2);
    const q = sums + (<usize>(Kp >> 5) << 2);
    const xt = rowAt(x, xStride, rows, t);
    for (let g = 0; g < groups; g++) {
      const k0 = g << 7;
      const n = min(128, Kp - k0);
      let src = xt + (<usize>k0 << 2);
      if (k0 + n > K) {
        const have = max(0, K - k0);
        memory.copy(tail, src, <usize>have << 2);
        memory.fill(tail + (<usize>have << 2), 0, <usize>(n - have) << 2);
        src = tail;
      }
      const top = absMax(src, n);
      // A NaN fails both comparisons, and goes into the scale.
      const scale = top < TINY ? <f32>0 : top / qmax;
      const inverse = top < TINY ? <f32>0 : qmax / top;
      store<f32>(scales + (<usize>g << 2), scale);
      const sumAt = sums + (<usize>(k0 >> 5) << 2);
      if (layout == PAIR) quantizePair(src, q + (<usize>k0 << 1), n, inverse, sumAt);
      else if (layout == QUAD8) quantizeQuad(src, q + <usize>k0, 0, n, inverse, sumAt);
      else quantizeQuad(src, q + <usize>k0, <usize>Kp, n, inverse, sumAt);
    }
  }
}

/** The largest magnitude, NaN if there is one; n is a multiple of 4. */
function absMax(src: usize, n: i32): f32 {
  if (ASC_FEATURE_SIMD) {
    const magnitude = constant(MAGNITUDE);
    let m = zero();
    for (let i: usize = 0, e = <usize>n << 2; i < e; i += 16) m = i32x4.max_s(m, v128.and(v128.load(src + i), magnitude));
    return reinterpret<f32>(max4i(m));
  }
  let m: f32 = 0;
  for (let i = 0; i < n; i++) m = max(m, abs(load<f32>(src + (<usize>i << 2))));
  return m;
}

/** The largest of n (a multiple of 4) numbers, none of them NaN. */
function highest(src: usize, n: i32): f32 {
  if (ASC_FEATURE_SIMD) {
    let m = v128.load(src);
    for (let i: usize = 16, e = <usize>n << 2; i < e; i += 16) m = f32x4.pmax(m, v128.load(src + i));
    return max4(m);
  }
  let m = load<f32>(src);
  for (let i = 1; i < n; i++) m = max(m, load<f32>(src + (<usize>i << 2)));
  return m;
}

/**
 * Four times round(load(at) * scale) as i32: adding 1.5 * 2^23 rounds to nearest, ties to even, and leaves the integer
 * in the low bits. For |.| < 2^22; NaN gives nonsense, which a NaN scale then makes NaN.
 */
// @ts-ignore: decorator
@inline
function round4(at: usize, scale: v128, magic: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(v128.load(at), scale), magic), magic);
}

/** n is a multiple of 32. */
function quantizePair(src: usize, dst: usize, n: i32, inverse: f32, sums: usize): void {
  for (let i = 0; i < n; i += 32) {
    let sum = 0;
    if (ASC_FEATURE_SIMD) {
      const inv = f32x4.splat(inverse);
      const magic = constant(ROUND);
      let s = zero();
      for (let j = i; j < i + 32; j += 8) {
        const a = round4(src + (<usize>j << 2), inv, magic);
        const b = round4(src + (<usize>j << 2) + 16, inv, magic);
        s = i32x4.add(s, i32x4.add(a, b));
        v128.store(dst + (<usize>j << 1), i16x8.narrow_i32x4_s(a, b));
      }
      sum = i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1) + i32x4.extract_lane(s, 2) + i32x4.extract_lane(s, 3);
    } else {
      for (let j = i; j < i + 32; j++) {
        const v = roundToInt(load<f32>(src + (<usize>j << 2)) * inverse);
        sum += v;
        store<i16>(dst + (<usize>j << 1), <i16>v);
      }
    }
    store<i32>(sums + (<usize>(i >> 5) << 2), sum);
  }
}

/** n is a multiple of 32; `low` is the distance to the plane of low bytes, 0 without one. */
function quantizeQuad(src: usize, dst: usize, low: usize, n: i32, inverse: f32, sums: usize): void {
  if (!ASC_FEATURE_SIMD) return;
  const inv = f32x4.splat(inverse);
  const magic = constant(ROUND);
  for (let i = 0; i < n; i += 32) {
    let s = zero();
    for (let j = i; j < i + 32; j += 16) {
      const p = src + (<usize>j << 2);
      let a = round4(p, inv, magic);
      let b = round4(p + 16, inv, magic);
      let c = round4(p + 32, inv, magic);
      let d = round4(p + 48, inv, magic);
      s = i32x4.add(s, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
      if (low) {
        // The low byte as a signed one, and what is left as the high byte.
        const la = i32x4.shr_s(i32x4.shl(a, 24), 24), lb = i32x4.shr_s(i32x4.shl(b, 24), 24);
        const lc = i32x4.shr_s(i32x4.shl(c, 24), 24), ld = i32x4.shr_s(i32x4.shl(d, 24), 24);
        v128.store(
          dst + <usize>j + low,
          i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(la, lb), i16x8.narrow_i32x4_s(lc, ld)),
        );
        a = i32x4.shr_s(i32x4.sub(a, la), 8);
        b = i32x4.shr_s(i32x4.sub(b, lb), 8);
        c = i32x4.shr_s(i32x4.sub(c, lc), 8);
        d = i32x4.shr_s(i32x4.sub(d, ld), 8);
      }
      v128.store(dst + <usize>j, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
    }
    store<i32>(
      sums + (<usize>(i >> 5) << 2),
      i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1) + i32x4.extract_lane(s, 2) + i32x4.extract_lane(s, 3),
    );
  }
}

/** Nearest, ties to even; NaN gives 0, as the vector conversion does. */
// @ts-ignore: decorator
@inline
function roundToInt(v: f32): i32 {
  return v == v ? <i32>nearest(v) : 0;
}

/**
 * Weights to INT8 panels. Arguments: src, format (0 f32, 1 bf16, 2 fp8), srcRow (absolute number of the first row,
 * for the FP8 blocks), fp8Scales, scaleStride, N (rows in src), K, Kp, group, dst (first panel), scaleDst, layout,
 * offset. Units are panels: src row 0 is row 0 of panel 0. Rows beyond N are zeros.
 */
export function packInt8(args: usize, begin: i32, end: i32, scratch: usize): void {
  const src = argPtr(args, 0), format = arg(args, 1), srcRow = arg(args, 2), fp8Scales = argPtr(args, 3);
  const scaleStride = arg(args, 4), N = arg(args, 5), K = arg(args, 6), Kp = arg(args, 7), group = arg(args, 8);
  const dst = argPtr(args, 9), scaleDst = argPtr(args, 10), layout = arg(args, 11), offset = arg(args, 12);
  const groups = groupsOf(Kp, group);
  const buffer = scratch + SCRATCH_WORK;
  for (let p = begin; p < end; p++) {
    const panel = dst + <usize>p * <usize>Kp * PANEL;
    const scales = scaleDst + <usize>p * <usize>groups * (PANEL * 4);
    for (let i = 0; i < PANEL; i++) {
      const r = p * PANEL + i;
      const kHave = r < N ? K : 0;
      if (kHave) decodeRow(src, format, r, srcRow + r, fp8Scales, scaleStride, K, buffer);
      memory.fill(buffer + (<usize>kHave << 2), 0, <usize>(Kp - kHave) << 2);
      for (let g = 0; g < groups; g++) {
        const k0 = g * group;
        const n = min(group, Kp - k0);
        const top = absMax(buffer + (<usize>k0 << 2), n);
        const inverse = top < TINY ? <f32>0 : MAX8 / top;
        store<f32>(scales + (<usize>(g * PANEL + i) << 2), top < TINY ? <f32>0 : top / MAX8);
        let k = k0;
        if (ASC_FEATURE_SIMD) {
          const inv = f32x4.splat(inverse), magic = constant(ROUND);
          for (; k < k0 + n; k += 16) {
            const at = buffer + (<usize>k << 2);
            const q = i8x16.narrow_i16x8_s(
              i16x8.narrow_i32x4_s(round4(at, inv, magic), round4(at + 16, inv, magic)),
              i16x8.narrow_i32x4_s(round4(at + 32, inv, magic), round4(at + 48, inv, magic)),
            );
            putInt8(panel, i, k, i32x4.extract_lane(q, 0), layout, offset);
            putInt8(panel, i, k + 4, i32x4.extract_lane(q, 1), layout, offset);
            putInt8(panel, i, k + 8, i32x4.extract_lane(q, 2), layout, offset);
            putInt8(panel, i, k + 12, i32x4.extract_lane(q, 3), layout, offset);
          }
        }
        for (; k < k0 + n; k += 4) {
          let word: u32 = 0;
          for (let j = 0; j < 4; j++) {
            const q = roundToInt(load<f32>(buffer + (<usize>(k + j) << 2)) * inverse);
            word |= (<u32>q & 0xff) << (j << 3);
          }
          putInt8(panel, i, k, word, layout, offset);
        }
      }
    }
  }
}

/** Four INT8 of row i at k (a multiple of 4). */
// @ts-ignore: decorator
@inline
export function putInt8(panel: usize, i: i32, k: i32, word: u32, layout: i32, offset: i32): void {
  if (layout == PAIR) {
    const at = panel + <usize>k * PANEL + (<usize>i << 1);
    store<u16>(at, <u16>word);
    store<u16>(at, <u16>(word >> 16), 2 * PANEL);
  } else {
    store<u32>(panel + <usize>k * PANEL + (<usize>i << 2), offset ? word ^ 0x80808080 : word);
  }
}

/**
 * Weights to INT4 panels: arguments as `packInt8` (without offset), group a multiple of 8. See `int4Scale`.
 */
export function packInt4(args: usize, begin: i32, end: i32, scratch: usize): void {
  const src = argPtr(args, 0), format = arg(args, 1), srcRow = arg(args, 2), fp8Scales = argPtr(args, 3);
  const scaleStride = arg(args, 4), N = arg(args, 5), K = arg(args, 6), Kp = arg(args, 7), group = arg(args, 8);
  const dst = argPtr(args, 9), scaleDst = argPtr(args, 10), layout = arg(args, 11);
  const groups = groupsOf(Kp, group);
  const buffer = scratch + SCRATCH_WORK;
  for (let p = begin; p < end; p++) {
    const panel = dst + <usize>p * (<usize>Kp * PANEL >> 1);
    const scales = scaleDst + <usize>p * <usize>groups * (PANEL * 4);
    for (let i = 0; i < PANEL; i++) {
      const r = p * PANEL + i;
      const kHave = r < N ? K : 0;
      if (kHave) decodeRow(src, format, r, srcRow + r, fp8Scales, scaleStride, K, buffer);
      memory.fill(buffer + (<usize>kHave << 2), 0, <usize>(Kp - kHave) << 2);
      for (let g = 0; g < groups; g++) {
        const k0 = g * group;
        const n = min(group, Kp - k0);
        const from = buffer + (<usize>k0 << 2);
        const scale = int4Scale(from, n, scratch + 16);
        store<f32>(scales + (<usize>(g * PANEL + i) << 2), scale);
        const inverse = scale == scale && scale != 0 ? <f32>1 / scale : <f32>0;
        for (let k = 0; k < n; k += 8) {
          let bytes: u64 = 0;
          if (ASC_FEATURE_SIMD) {
            const inv = f32x4.splat(inverse), magic = constant(ROUND);
            const at = from + (<usize>k << 2);
            const q = i16x8.narrow_i32x4_s(round4(at, inv, magic), round4(at + 16, inv, magic));
            const clipped = i16x8.max_s(i16x8.min_s(q, constant(HIGHEST4_16)), constant(LOWEST4_16));
            const c = i16x8.add(clipped, constant(EIGHT_16));
            bytes = i64x2.extract_lane(i8x16.narrow_i16x8_u(c, c), 0);
          } else {
            for (let j = 0; j < 8; j++) {
              const q = roundToInt(load<f32>(from + (<usize>(k + j) << 2)) * inverse);
              bytes |= <u64>(min(max(q, -8), 7) + 8) << (j << 3);
            }
          }
          putInt4(panel, i, k0 + k, bytes, layout);
        }
      }
    }
  }
}

/** Eight nibbles, a byte each, of row i at k (a multiple of 8). */
// @ts-ignore: decorator
@inline
export function putInt4(panel: usize, i: i32, k: i32, bytes: u64, layout: i32): void {
  const low = <u32>bytes, high = <u32>(bytes >> 32);
  if (layout == PAIR) {
    // Two blocks of four: bytes (0 | 2 << 4), (1 | 3 << 4).
    const at = panel + (<usize>k * PANEL >> 1) + (<usize>i << 1);
    store<u16>(at, <u16>(low | (low >> 12)));
    store<u16>(at, <u16>(high | (high >> 12)), 2 * PANEL);
  } else {
    store<u32>(panel + (<usize>k * PANEL >> 1) + (<usize>i << 2), low | (high << 4));
  }
}

/**
 * The scale of n weights (a multiple of 8) with the least squared error of five: the extreme one is mapped to -9, -8.5,
 * .. -7, and the scale that fits the codes this gives is sum(x * code) / sum(code^2), with which the error is
 * sum(x^2) - sum(x * code)^2 / sum(code^2). `sums` is room for ten numbers. The reference is `quantizeInt4` of the core package.
 */
function int4Scale(from: usize, n: i32, sums: usize): f32 {
  const top = absMax(from, n);
  if (top != top) return top;
  if (top < TINY) return 0;
  const extreme = highest(from, n) == top ? top : -top;
  // In units of the extreme one, so that squares neither overflow nor vanish.
  const unit = <f32>1 / extreme;
  for (let c: usize = 0; c < 5; c++) {
    const target: f32 = <f32>-9 + <f32>c * <f32>0.5;
    let products: f32 = 0, squares: f32 = 0;
    if (ASC_FEATURE_SIMD) {
      const toUnit = f32x4.splat(unit), toCode = f32x4.splat(target);
      const low = constant(LOWEST4), high = constant(HIGHEST4);
      let ps = zero(), ss = zero();
      for (let k: usize = 0; k < <usize>n << 2; k += 16) {
        const u = f32x4.mul(v128.load(from + k), toUnit);
        const q = f32x4.pmax(f32x4.pmin(f32x4.nearest(f32x4.mul(u, toCode)), high), low);
        ps = f32x4.add(ps, f32x4.mul(u, q));
        ss = f32x4.add(ss, f32x4.mul(q, q));
      }
      products = sum4(ps);
      squares = sum4(ss);
    } else {
      for (let k = 0; k < n; k++) {
        const u = load<f32>(from + (<usize>k << 2)) * unit;
        const q = max<f32>(-8, min<f32>(7, nearest(u * target)));
        products += u * q;
        squares += q * q;
      }
    }
    store<f32>(sums + (c << 3), products);
    store<f32>(sums + (c << 3), squares, 4);
  }
  // The largest products^2 / squares, compared crosswise: no division or guess of a branch holds the sums up.
  let products = load<f32>(sums), squares = load<f32>(sums, 4);
  for (let c: usize = 1; c < 5; c++) {
    const p = load<f32>(sums + (c << 3)), q = load<f32>(sums + (c << 3), 4);
    const better = p * p * squares > products * products * q;
    products = select(p, products, better);
    squares = select(q, squares, better);
  }
  return (products / squares) * extreme;
}

/** One row of a stored matrix as f32. */
export function decodeRow(
  src: usize, format: i32, row: i32, absoluteRow: i32, fp8Scales: usize, scaleStride: i32, K: i32, dst: usize,
): void {
  if (format == 0) {
    memory.copy(dst, src + (<usize>row * <usize>K << 2), <usize>K << 2);
  } else if (format == 1) {
    decodeBf16(src + (<usize>row * <usize>K << 1), dst, K);
  } else {
    const at = src + <usize>row * <usize>K;
    const scales = fp8Scales + (<usize>(absoluteRow >> 7) * <usize>scaleStride << 2);
    for (let k = 0; k < K; k += 128) {
      decodeE4m3(at + k, dst + (<usize>k << 2), min(128, K - k), load<f32>(scales + (<usize>(k >> 7) << 2)));
    }
  }
}
