/**
 * y[T, N] = x[T, K] W[N, K]^T for INT4 weights in panels of 16 rows (`quantize.ts` has the layouts). A nibble n stands
 * for n - 8: the products run on the nibbles as they are, and eight times the sum of x is taken off at each group.
 * A nibble fits the seven bits that the relaxed dot is sure of on every machine.
 *
 * Arguments as `matmulInt8`; `offset` is not used. Units are panels.
 */
import { NIBBLES, ONES16, constant } from './constants';
import { headBytes, put16, put8, recordAt } from './panels';
import { PANEL, groupsOf } from './quantize';
import { arg, argPtr, madd, zero } from './simd';

const TOKEN_BLOCK: i32 = 32;

/** Eight times the sum of the 32 integers whose sum is at `at`: what nibbles count too much. */
// @ts-ignore: decorator
@inline
function eights(at: usize): v128 {
  return i32x4.shl(v128.load32_splat(at), 3);
}

export function matmulInt4(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), record = <usize>arg(args, 1), w = argPtr(args, 2), scales = argPtr(args, 3);
  const y = argPtr(args, 4), T = arg(args, 5), N = arg(args, 6), Kp = arg(args, 7), group = arg(args, 8);
  const yStride = <usize>arg(args, 9) << 2, rows = argPtr(args, 10), planes = arg(args, 11), accumulate = arg(args, 13);
  const wide = arg(args, 14);
  const panelBytes = <usize>Kp * PANEL >> 1;
  const scaleBytes = <usize>groupsOf(Kp, group) * (PANEL * 4);
  for (let t0 = 0; t0 < T; t0 += TOKEN_BLOCK) {
    const tEnd = min(T, t0 + TOKEN_BLOCK);
    for (let p = begin; p < end; p++) {
      const wp = w + <usize>p * panelBytes;
      const sp = scales + <usize>p * scaleBytes;
      const n = min(PANEL, N - p * PANEL);
      const out = y + (<usize>p * PANEL << 2);
      let t = t0;
      if (ASC_FEATURE_SIMD) {
        // With vectors joined to 256 bits, a whole panel by two tokens is faster.
        for (; !wide && t + 4 <= tEnd; t += 4) {
          const r0 = recordAt(x, record, rows, t), r1 = recordAt(x, record, rows, t + 1);
          const r2 = recordAt(x, record, rows, t + 2), r3 = recordAt(x, record, rows, t + 3);
          for (let quarter: usize = 0; quarter < 4; quarter++) {
            const m = n - <i32>quarter * 4;
            if (m <= 0) break;
            const o = out + <usize>t * yStride + quarter * 16;
            if (ASC_FEATURE_RELAXED_SIMD) {
              quad4x4(r0, r1, r2, r3, wp + quarter * 16, sp + quarter * 16, o, yStride, m, Kp, group, planes, accumulate);
            } else {
              pair4x4(r0, r1, r2, r3, wp + quarter * 8, sp + quarter * 16, o, yStride, m, Kp, group, accumulate);
            }
          }
        }
      }
      if (ASC_FEATURE_RELAXED_SIMD) {
        for (; t + 2 <= tEnd; t += 2) {
          const r0 = recordAt(x, record, rows, t), r1 = recordAt(x, record, rows, t + 1);
          quad16x2(r0, r1, wp, sp, out + <usize>t * yStride, yStride, n, Kp, group, planes, accumulate);
        }
      }
      for (; t < tEnd; t++) {
        const r = recordAt(x, record, rows, t);
        const o = out + <usize>t * yStride;
        if (ASC_FEATURE_RELAXED_SIMD) quad16x1(r, wp, sp, o, n, Kp, group, planes, accumulate);
        else if (ASC_FEATURE_SIMD) pair16x1(r, wp, sp, o, n, Kp, group, accumulate);
        else scalar16x1(r, wp, sp, o, n, Kp, group, accumulate);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function lowNibbles(w: v128, mask: v128): v128 {
  return v128.and(w, mask);
}

// @ts-ignore: decorator
@inline
function highNibbles(w: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(w, 4), mask);
}

/** The relaxed dot of bytes into 16-bit lanes. */
// @ts-ignore: decorator
@inline
function dot(x: v128, w: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(x, w);
}

/** The sums of neighbours of 16-bit lanes. */
// @ts-ignore: decorator
@inline
function widen(a: v128, ones: v128): v128 {
  return i32x4.dot_i16x8_s(a, ones);
}

/**
 * 16 rows, one token. Eight dots of two products of at most 15 * 128 each stay below 2^15, so that the sums of 32
 * weights are made in 16 bits, and widened once.
 */
function quad16x1(
  r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, planes: i32, accumulate: i32,
): void {
  const sums = r + (<usize>groupsOf(Kp, 128) << 2);
  const mask = constant(NIBBLES), ones = constant(ONES16);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  const first = r + headBytes(Kp);
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
    const wGroup = w + (<usize>k0 * PANEL >> 1);
    for (let plane = 0; plane < planes; plane++) {
      if (plane) a0 = i32x4.shl(a0, 8), a1 = i32x4.shl(a1, 8), a2 = i32x4.shl(a2, 8), a3 = i32x4.shl(a3, 8);
      let q = first + <usize>(plane * Kp + k0);
      let wk = wGroup;
      let sum = sums + (<usize>(k0 >> 5) << 2);
      for (const end = q + <usize>len; q < end; ) {
        let b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
        for (const e = q + 32; q < e; q += 8, wk += 64) {
          const xa = v128.load32_splat(q);
          const xb = v128.load32_splat(q, 4);
          const w0 = v128.load(wk);
          b0 = i16x8.add(b0, dot(xa, lowNibbles(w0, mask)));
          b0 = i16x8.add(b0, dot(xb, highNibbles(w0, mask)));
          const w1 = v128.load(wk, 16);
          b1 = i16x8.add(b1, dot(xa, lowNibbles(w1, mask)));
          b1 = i16x8.add(b1, dot(xb, highNibbles(w1, mask)));
          const w2 = v128.load(wk, 32);
          b2 = i16x8.add(b2, dot(xa, lowNibbles(w2, mask)));
          b2 = i16x8.add(b2, dot(xb, highNibbles(w2, mask)));
          const w3 = v128.load(wk, 48);
          b3 = i16x8.add(b3, dot(xa, lowNibbles(w3, mask)));
          b3 = i16x8.add(b3, dot(xb, highNibbles(w3, mask)));
        }
        // The sum of x is that of both planes: it comes off once, with the last.
        const extra = plane + 1 == planes ? eights(sum) : zero();
        sum += 4;
        a0 = i32x4.add(a0, i32x4.sub(widen(b0, ones), extra));
        a1 = i32x4.add(a1, i32x4.sub(widen(b1, ones), extra));
        a2 = i32x4.add(a2, i32x4.sub(widen(b2, ones), extra));
        a3 = i32x4.add(a3, i32x4.sub(widen(b3, ones), extra));
      }
    }
    const xs = v128.load32_splat(r + (<usize>(k0 >> 7) << 2));
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(v128.load(s), xs), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(v128.load(s, 16), xs), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(v128.load(s, 32), xs), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(v128.load(s, 48), xs), t3);
  }
  put16(out, t0, t1, t2, t3, n, accumulate);
}

/** 16 rows, two tokens: the nibbles are taken apart once for both. */
function quad16x2(
  r0: usize, r1: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32, group: i32, planes: i32,
  accumulate: i32,
): void {
  const sums = r0 + (<usize>groupsOf(Kp, 128) << 2);
  const mask = constant(NIBBLES), ones = constant(ONES16);
  const d1 = r1 - r0;
  const first = r0 + headBytes(Kp);
  let t00 = zero(), t01 = zero(), t02 = zero(), t03 = zero();
  let t10 = zero(), t11 = zero(), t12 = zero(), t13 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a00 = zero(), a01 = zero(), a02 = zero(), a03 = zero();
    let a10 = zero(), a11 = zero(), a12 = zero(), a13 = zero();
    const wGroup = w + (<usize>k0 * PANEL >> 1);
    for (let plane = 0; plane < planes; plane++) {
      if (plane) {
        a00 = i32x4.shl(a00, 8), a01 = i32x4.shl(a01, 8), a02 = i32x4.shl(a02, 8), a03 = i32x4.shl(a03, 8);
        a10 = i32x4.shl(a10, 8), a11 = i32x4.shl(a11, 8), a12 = i32x4.shl(a12, 8), a13 = i32x4.shl(a13, 8);
      }
      let q = first + <usize>(plane * Kp + k0);
      let wk = wGroup;
      let sum = sums + (<usize>(k0 >> 5) << 2);
      for (const end = q + <usize>len; q < end; ) {
        let b00 = zero(), b01 = zero(), b02 = zero(), b03 = zero();
        let b10 = zero(), b11 = zero(), b12 = zero(), b13 = zero();
        for (const e = q + 32; q < e; q += 8, wk += 64) {
          const xa0 = v128.load32_splat(q), xb0 = v128.load32_splat(q, 4);
          const xa1 = v128.load32_splat(q + d1), xb1 = v128.load32_splat(q + d1, 4);
          const w0 = v128.load(wk);
          const l0 = lowNibbles(w0, mask), h0 = highNibbles(w0, mask);
          b00 = i16x8.add(i16x8.add(b00, dot(xa0, l0)), dot(xb0, h0));
          b10 = i16x8.add(i16x8.add(b10, dot(xa1, l0)), dot(xb1, h0));
          const w1 = v128.load(wk, 16);
          const l1 = lowNibbles(w1, mask), h1 = highNibbles(w1, mask);
          b01 = i16x8.add(i16x8.add(b01, dot(xa0, l1)), dot(xb0, h1));
          b11 = i16x8.add(i16x8.add(b11, dot(xa1, l1)), dot(xb1, h1));
          const w2 = v128.load(wk, 32);
          const l2 = lowNibbles(w2, mask), h2 = highNibbles(w2, mask);
          b02 = i16x8.add(i16x8.add(b02, dot(xa0, l2)), dot(xb0, h2));
          b12 = i16x8.add(i16x8.add(b12, dot(xa1, l2)), dot(xb1, h2));
          const w3 = v128.load(wk, 48);
          const l3 = lowNibbles(w3, mask), h3 = highNibbles(w3, mask);
          b03 = i16x8.add(i16x8.add(b03, dot(xa0, l3)), dot(xb0, h3));
          b13 = i16x8.add(i16x8.add(b13, dot(xa1, l3)), dot(xb1, h3));
        }
        const isLast = plane + 1 == planes;
        const extra0 = isLast ? eights(sum) : zero(), extra1 = isLast ? eights(sum + d1) : zero();
        sum += 4;
        a00 = i32x4.add(a00, i32x4.sub(widen(b00, ones), extra0));
        a01 = i32x4.add(a01, i32x4.sub(widen(b01, ones), extra0));
        a02 = i32x4.add(a02, i32x4.sub(widen(b02, ones), extra0));
        a03 = i32x4.add(a03, i32x4.sub(widen(b03, ones), extra0));
        a10 = i32x4.add(a10, i32x4.sub(widen(b10, ones), extra1));
        a11 = i32x4.add(a11, i32x4.sub(widen(b11, ones), extra1));
        a12 = i32x4.add(a12, i32x4.sub(widen(b12, ones), extra1));
        a13 = i32x4.add(a13, i32x4.sub(widen(b13, ones), extra1));
      }
    }
    const g = <usize>(k0 >> 7) << 2;
    const sa = v128.load(s), sb = v128.load(s, 16), sc = v128.load(s, 32), sd = v128.load(s, 48);
    const s0 = v128.load32_splat(r0 + g), s1 = v128.load32_splat(r1 + g);
    t00 = madd(f32x4.convert_i32x4_s(a00), f32x4.mul(sa, s0), t00);
    t01 = madd(f32x4.convert_i32x4_s(a01), f32x4.mul(sb, s0), t01);
    t02 = madd(f32x4.convert_i32x4_s(a02), f32x4.mul(sc, s0), t02);
    t03 = madd(f32x4.convert_i32x4_s(a03), f32x4.mul(sd, s0), t03);
    t10 = madd(f32x4.convert_i32x4_s(a10), f32x4.mul(sa, s1), t10);
    t11 = madd(f32x4.convert_i32x4_s(a11), f32x4.mul(sb, s1), t11);
    t12 = madd(f32x4.convert_i32x4_s(a12), f32x4.mul(sc, s1), t12);
    t13 = madd(f32x4.convert_i32x4_s(a13), f32x4.mul(sd, s1), t13);
  }
  put16(out, t00, t01, t02, t03, n, accumulate);
  put16(out + yStride, t10, t11, t12, t13, n, accumulate);
}

/** Four rows, four tokens: the nibbles are taken apart once for the four. */
function quad4x4(
  r0: usize, r1: usize, r2: usize, r3: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32,
  group: i32, planes: i32, accumulate: i32,
): void {
  const sums = r0 + (<usize>groupsOf(Kp, 128) << 2);
  const mask = constant(NIBBLES), ones = constant(ONES16);
  const d1 = r1 - r0, d2 = r2 - r0, d3 = r3 - r0;
  const first = r0 + headBytes(Kp);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
    const wGroup = w + (<usize>k0 * PANEL >> 1);
    for (let plane = 0; plane < planes; plane++) {
      if (plane) a0 = i32x4.shl(a0, 8), a1 = i32x4.shl(a1, 8), a2 = i32x4.shl(a2, 8), a3 = i32x4.shl(a3, 8);
      let q = first + <usize>(plane * Kp + k0);
      let wk = wGroup;
      let sum = sums + (<usize>(k0 >> 5) << 2);
      for (const end = q + <usize>len; q < end; ) {
        let b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
        for (const e = q + 32; q < e; q += 8, wk += 64) {
          const v = v128.load(wk);
          const lo = lowNibbles(v, mask);
          const hi = highNibbles(v, mask);
          b0 = i16x8.add(b0, dot(v128.load32_splat(q), lo));
          b1 = i16x8.add(b1, dot(v128.load32_splat(q + d1), lo));
          b2 = i16x8.add(b2, dot(v128.load32_splat(q + d2), lo));
          b3 = i16x8.add(b3, dot(v128.load32_splat(q + d3), lo));
          b0 = i16x8.add(b0, dot(v128.load32_splat(q, 4), hi));
          b1 = i16x8.add(b1, dot(v128.load32_splat(q + d1, 4), hi));
          b2 = i16x8.add(b2, dot(v128.load32_splat(q + d2, 4), hi));
          b3 = i16x8.add(b3, dot(v128.load32_splat(q + d3, 4), hi));
        }
        a0 = i32x4.add(a0, widen(b0, ones));
        a1 = i32x4.add(a1, widen(b1, ones));
        a2 = i32x4.add(a2, widen(b2, ones));
        a3 = i32x4.add(a3, widen(b3, ones));
        if (plane + 1 == planes) {
          a0 = i32x4.sub(a0, eights(sum));
          a1 = i32x4.sub(a1, eights(sum + d1));
          a2 = i32x4.sub(a2, eights(sum + d2));
          a3 = i32x4.sub(a3, eights(sum + d3));
        }
        sum += 4;
      }
    }
    const g = <usize>(k0 >> 7) << 2;
    const ws = v128.load(s);
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(ws, v128.load32_splat(r0 + g)), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(ws, v128.load32_splat(r1 + g)), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(ws, v128.load32_splat(r2 + g)), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(ws, v128.load32_splat(r3 + g)), t3);
  }
  put8(out, t0, t0, min(n, 4), accumulate);
  put8(out + yStride, t1, t1, min(n, 4), accumulate);
  put8(out + 2 * yStride, t2, t2, min(n, 4), accumulate);
  put8(out + 3 * yStride, t3, t3, min(n, 4), accumulate);
}

function pair16x1(r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, accumulate: i32): void {
  const sums = r + (<usize>groupsOf(Kp, 128) << 2);
  let q = r + headBytes(Kp);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let start = zero();
    for (let k = k0; k < k0 + len; k += 32) start = i32x4.sub(start, eights(sums + (<usize>(k >> 5) << 2)));
    const mask = constant(NIBBLES);
    let a0 = start, a1 = start, a2 = start, a3 = start;
    for (const e = q + (<usize>len << 1); q < e; q += 8, w += 32) {
      const xa = v128.load32_splat(q);
      const xb = v128.load32_splat(q, 4);
      const w0 = v128.load(w);
      const l0 = lowNibbles(w0, mask), h0 = highNibbles(w0, mask);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(l0), xa));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(l0), xa));
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(h0), xb));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(h0), xb));
      const w1 = v128.load(w, 16);
      const l1 = lowNibbles(w1, mask), h1 = highNibbles(w1, mask);
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(l1), xa));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(l1), xa));
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(h1), xb));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(h1), xb));
    }
    const xs = v128.load32_splat(r + (<usize>(k0 >> 7) << 2));
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(v128.load(s), xs), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(v128.load(s, 16), xs), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(v128.load(s, 32), xs), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(v128.load(s, 48), xs), t3);
  }
  put16(out, t0, t1, t2, t3, n, accumulate);
}

function pair4x4(
  r0: usize, r1: usize, r2: usize, r3: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32,
  group: i32, accumulate: i32,
): void {
  const sums = r0 + (<usize>groupsOf(Kp, 128) << 2);
  const d1 = r1 - r0, d2 = r2 - r0, d3 = r3 - r0;
  let q = r0 + headBytes(Kp);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
    for (let k = k0; k < k0 + len; k += 32) {
      const sum = sums + (<usize>(k >> 5) << 2);
      a0 = i32x4.sub(a0, eights(sum)), a1 = i32x4.sub(a1, eights(sum + d1));
      a2 = i32x4.sub(a2, eights(sum + d2)), a3 = i32x4.sub(a3, eights(sum + d3));
    }
    const mask = constant(NIBBLES);
    for (const e = q + (<usize>len << 1); q < e; q += 8, w += 32) {
      const v = v128.load64_zero(w);
      const lo = i16x8.extend_low_i8x16_s(lowNibbles(v, mask));
      const hi = i16x8.extend_low_i8x16_s(highNibbles(v, mask));
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(lo, v128.load32_splat(q)));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(lo, v128.load32_splat(q + d1)));
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(lo, v128.load32_splat(q + d2)));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(lo, v128.load32_splat(q + d3)));
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(hi, v128.load32_splat(q, 4)));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(hi, v128.load32_splat(q + d1, 4)));
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(hi, v128.load32_splat(q + d2, 4)));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(hi, v128.load32_splat(q + d3, 4)));
    }
    const g = <usize>(k0 >> 7) << 2;
    const ws = v128.load(s);
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(ws, v128.load32_splat(r0 + g)), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(ws, v128.load32_splat(r1 + g)), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(ws, v128.load32_splat(r2 + g)), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(ws, v128.load32_splat(r3 + g)), t3);
  }
  put8(out, t0, t0, min(n, 4), accumulate);
  put8(out + yStride, t1, t1, min(n, 4), accumulate);
  put8(out + 2 * yStride, t2, t2, min(n, 4), accumulate);
  put8(out + 3 * yStride, t3, t3, min(n, 4), accumulate);
}

function scalar16x1(r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, accumulate: i32): void {
  const q = r + headBytes(Kp);
  for (let i = 0; i < n; i++) {
    let total: f32 = 0;
    for (let k0 = 0, g = 0; k0 < Kp; k0 += group, g++) {
      const kEnd = min(Kp, k0 + group);
      let a = 0;
      for (let k = k0; k < kEnd; k += 4) {
        const at = w + (<usize>k * PANEL >> 1) + (<usize>i << 1);
        const u = <i32>load<u8>(at), v = <i32>load<u8>(at, 1);
        const x = q + (<usize>k << 1);
        a += ((u & 15) - 8) * <i32>load<i16>(x) + ((v & 15) - 8) * <i32>load<i16>(x, 2);
        a += ((u >> 4) - 8) * <i32>load<i16>(x, 4) + ((v >> 4) - 8) * <i32>load<i16>(x, 6);
      }
      const scale = load<f32>(s + (<usize>(g * PANEL + i) << 2)) * load<f32>(r + (<usize>(k0 >> 7) << 2));
      total += <f32>a * scale;
    }
    const o = out + (<usize>i << 2);
    store<f32>(o, accumulate ? total + load<f32>(o) : total);
  }
}
