/**
 * y[T, N] = x[T, K] W[N, K]^T for INT8 weights in panels of 16 rows and quantised activations (`quantize.ts`).
 * The sum over a group of K is an exact integer, whichever dot instruction a build has; the groups are then added
 * in f32. Token blocks are walked outside of panels, so that both stay in the caches in a prefill.
 *
 * Arguments of both kernels: x (first record), recordBytes, w, scales, y, T, N, Kp, group, yStride, rows (list of
 * record numbers or 0), planes (1 or 2, QUAD only), offset (QUAD only), accumulate, wide (INT8 only: the engine joins
 * vectors to 256 bits). Units are panels.
 */
import { PANEL, groupsOf } from './quantize';
import { arg, argPtr, madd, zero } from './simd';

const TOKEN_BLOCK: i32 = 32;

// @ts-ignore: decorator
@inline
function recordAt(x: usize, record: usize, rows: usize, t: i32): usize {
  return x + <usize>(rows ? load<i32>(rows + (<usize>t << 2)) : t) * record;
}

/** The bytes of a record before its integers. */
// @ts-ignore: decorator
@inline
function headBytes(Kp: i32): usize {
  return <usize>(groupsOf(Kp, 128) + (Kp >> 5)) << 2;
}

export function matmulInt8(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), record = <usize>arg(args, 1), w = argPtr(args, 2), scales = argPtr(args, 3);
  const y = argPtr(args, 4), T = arg(args, 5), N = arg(args, 6), Kp = arg(args, 7), group = arg(args, 8);
  const yStride = <usize>arg(args, 9) << 2, rows = argPtr(args, 10), planes = arg(args, 11), offset = arg(args, 12);
  const accumulate = arg(args, 13), wide = arg(args, 14);
  const panelBytes = <usize>Kp * PANEL;
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
        for (; t + 4 <= tEnd; t += 4) {
          const r0 = recordAt(x, record, rows, t), r1 = recordAt(x, record, rows, t + 1);
          const r2 = recordAt(x, record, rows, t + 2), r3 = recordAt(x, record, rows, t + 3);
          if (wide && planes == 0) {
            pair16x4(r0, r1, r2, r3, wp, sp, out + <usize>t * yStride, yStride, n, Kp, group, accumulate);
            continue;
          }
          for (let half: usize = 0; half < 2; half++) {
            const o = out + <usize>t * yStride + half * 32;
            const m = n - <i32>half * 8;
            if (m <= 0) break;
            if (ASC_FEATURE_RELAXED_SIMD) {
              if (planes == 0) pair8x4(r0, r1, r2, r3, wp + half * 16, sp + half * 32, o, yStride, m, Kp, group, accumulate);
              else quad8x4(r0, r1, r2, r3, wp + half * 32, sp + half * 32, o, yStride, m, Kp, group, planes, offset, accumulate);
            } else {
              pair8x4(r0, r1, r2, r3, wp + half * 16, sp + half * 32, o, yStride, m, Kp, group, accumulate);
            }
          }
        }
      }
      for (; t < tEnd; t++) {
        const r = recordAt(x, record, rows, t);
        const o = out + <usize>t * yStride;
        if (ASC_FEATURE_RELAXED_SIMD) {
          if (planes == 0) pair16x1(r, wp, sp, o, n, Kp, group, accumulate);
          else quad16x1(r, wp, sp, o, n, Kp, group, planes, offset, accumulate);
        } else if (ASC_FEATURE_SIMD) {
          pair16x1(r, wp, sp, o, n, Kp, group, accumulate);
        } else {
          scalar16x1(r, wp, sp, o, n, Kp, group, accumulate);
        }
      }
    }
  }
}

/** 16 rows, one token, 16-bit activations. */
function pair16x1(r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, accumulate: i32): void {
  let q = r + headBytes(Kp);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero();
    for (const e = q + (<usize>len << 1); q < e; q += 8, w += 64) {
      const xa = v128.load32_splat(q);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v128.load8x8_s(w), xa));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v128.load8x8_s(w, 8), xa));
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v128.load8x8_s(w, 16), xa));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v128.load8x8_s(w, 24), xa));
      const xb = v128.load32_splat(q, 4);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v128.load8x8_s(w, 32), xb));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v128.load8x8_s(w, 40), xb));
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v128.load8x8_s(w, 48), xb));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v128.load8x8_s(w, 56), xb));
    }
    const xs = v128.load32_splat(r + (<usize>(k0 >> 7) << 2));
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(v128.load(s), xs), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(v128.load(s, 16), xs), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(v128.load(s, 32), xs), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(v128.load(s, 48), xs), t3);
  }
  put16(out, t0, t1, t2, t3, n, accumulate);
}

/** 8 rows (half a panel), four tokens, 16-bit activations. */
function pair8x4(
  r0: usize, r1: usize, r2: usize, r3: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32,
  group: i32, accumulate: i32,
): void {
  const head = headBytes(Kp);
  const d1 = r1 - r0, d2 = r2 - r0, d3 = r3 - r0;
  let q = r0 + head;
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero(), t4 = zero(), t5 = zero(), t6 = zero(), t7 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero(), a4 = zero(), a5 = zero(), a6 = zero(), a7 = zero();
    for (const e = q + (<usize>len << 1); q < e; q += 4, w += 32) {
      const wa = v128.load8x8_s(w);
      const wb = v128.load8x8_s(w, 8);
      const x0 = v128.load32_splat(q);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(wa, x0));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(wb, x0));
      const x1 = v128.load32_splat(q + d1);
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(wa, x1));
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(wb, x1));
      const x2 = v128.load32_splat(q + d2);
      a4 = i32x4.add(a4, i32x4.dot_i16x8_s(wa, x2));
      a5 = i32x4.add(a5, i32x4.dot_i16x8_s(wb, x2));
      const x3 = v128.load32_splat(q + d3);
      a6 = i32x4.add(a6, i32x4.dot_i16x8_s(wa, x3));
      a7 = i32x4.add(a7, i32x4.dot_i16x8_s(wb, x3));
    }
    const g = <usize>(k0 >> 7) << 2;
    const sa = v128.load(s), sb = v128.load(s, 16);
    const s0 = v128.load32_splat(r0 + g), s1 = v128.load32_splat(r1 + g);
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(sa, s0), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(sb, s0), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(sa, s1), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(sb, s1), t3);
    const s2 = v128.load32_splat(r2 + g), s3 = v128.load32_splat(r3 + g);
    t4 = madd(f32x4.convert_i32x4_s(a4), f32x4.mul(sa, s2), t4);
    t5 = madd(f32x4.convert_i32x4_s(a5), f32x4.mul(sb, s2), t5);
    t6 = madd(f32x4.convert_i32x4_s(a6), f32x4.mul(sa, s3), t6);
    t7 = madd(f32x4.convert_i32x4_s(a7), f32x4.mul(sb, s3), t7);
  }
  put8(out, t0, t1, n, accumulate);
  put8(out + yStride, t2, t3, n, accumulate);
  put8(out + 2 * yStride, t4, t5, n, accumulate);
  put8(out + 3 * yStride, t6, t7, n, accumulate);
}

/** A whole panel, four tokens, 16-bit activations: as `pair8x4`, for engines that join the sums to 256 bits. */
function pair16x4(
  r0: usize, r1: usize, r2: usize, r3: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32,
  group: i32, accumulate: i32,
): void {
  const head = headBytes(Kp);
  let q0 = r0 + head, q1 = r1 + head, q2 = r2 + head, q3 = r3 + head;
  let t00 = zero(), t01 = zero(), t02 = zero(), t03 = zero();
  let t10 = zero(), t11 = zero(), t12 = zero(), t13 = zero();
  let t20 = zero(), t21 = zero(), t22 = zero(), t23 = zero();
  let t30 = zero(), t31 = zero(), t32 = zero(), t33 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a00 = zero(), a01 = zero(), a02 = zero(), a03 = zero();
    let a10 = zero(), a11 = zero(), a12 = zero(), a13 = zero();
    let a20 = zero(), a21 = zero(), a22 = zero(), a23 = zero();
    let a30 = zero(), a31 = zero(), a32 = zero(), a33 = zero();
    for (const e = w + <usize>len * PANEL; w < e; w += 32) {
      const w0 = v128.load8x8_s(w), w1 = v128.load8x8_s(w, 8), w2 = v128.load8x8_s(w, 16), w3 = v128.load8x8_s(w, 24);
      const x0 = v128.load32_splat(q0);
      a00 = i32x4.add(a00, i32x4.dot_i16x8_s(w0, x0)), a01 = i32x4.add(a01, i32x4.dot_i16x8_s(w1, x0));
      a02 = i32x4.add(a02, i32x4.dot_i16x8_s(w2, x0)), a03 = i32x4.add(a03, i32x4.dot_i16x8_s(w3, x0));
      const x1 = v128.load32_splat(q1);
      a10 = i32x4.add(a10, i32x4.dot_i16x8_s(w0, x1)), a11 = i32x4.add(a11, i32x4.dot_i16x8_s(w1, x1));
      a12 = i32x4.add(a12, i32x4.dot_i16x8_s(w2, x1)), a13 = i32x4.add(a13, i32x4.dot_i16x8_s(w3, x1));
      const x2 = v128.load32_splat(q2);
      a20 = i32x4.add(a20, i32x4.dot_i16x8_s(w0, x2)), a21 = i32x4.add(a21, i32x4.dot_i16x8_s(w1, x2));
      a22 = i32x4.add(a22, i32x4.dot_i16x8_s(w2, x2)), a23 = i32x4.add(a23, i32x4.dot_i16x8_s(w3, x2));
      const x3 = v128.load32_splat(q3);
      a30 = i32x4.add(a30, i32x4.dot_i16x8_s(w0, x3)), a31 = i32x4.add(a31, i32x4.dot_i16x8_s(w1, x3));
      a32 = i32x4.add(a32, i32x4.dot_i16x8_s(w2, x3)), a33 = i32x4.add(a33, i32x4.dot_i16x8_s(w3, x3));
      q0 += 4, q1 += 4, q2 += 4, q3 += 4;
    }
    const g = <usize>(k0 >> 7) << 2;
    const sa = v128.load(s), sb = v128.load(s, 16), sc = v128.load(s, 32), sd = v128.load(s, 48);
    const s0 = v128.load32_splat(r0 + g);
    t00 = madd(f32x4.convert_i32x4_s(a00), f32x4.mul(sa, s0), t00);
    t01 = madd(f32x4.convert_i32x4_s(a01), f32x4.mul(sb, s0), t01);
    t02 = madd(f32x4.convert_i32x4_s(a02), f32x4.mul(sc, s0), t02);
    t03 = madd(f32x4.convert_i32x4_s(a03), f32x4.mul(sd, s0), t03);
    const s1 = v128.load32_splat(r1 + g);
    t10 = madd(f32x4.convert_i32x4_s(a10), f32x4.mul(sa, s1), t10);
    t11 = madd(f32x4.convert_i32x4_s(a11), f32x4.mul(sb, s1), t11);
    t12 = madd(f32x4.convert_i32x4_s(a12), f32x4.mul(sc, s1), t12);
    t13 = madd(f32x4.convert_i32x4_s(a13), f32x4.mul(sd, s1), t13);
    const s2 = v128.load32_splat(r2 + g);
    t20 = madd(f32x4.convert_i32x4_s(a20), f32x4.mul(sa, s2), t20);
    t21 = madd(f32x4.convert_i32x4_s(a21), f32x4.mul(sb, s2), t21);
    t22 = madd(f32x4.convert_i32x4_s(a22), f32x4.mul(sc, s2), t22);
    t23 = madd(f32x4.convert_i32x4_s(a23), f32x4.mul(sd, s2), t23);
    const s3 = v128.load32_splat(r3 + g);
    t30 = madd(f32x4.convert_i32x4_s(a30), f32x4.mul(sa, s3), t30);
    t31 = madd(f32x4.convert_i32x4_s(a31), f32x4.mul(sb, s3), t31);
    t32 = madd(f32x4.convert_i32x4_s(a32), f32x4.mul(sc, s3), t32);
    t33 = madd(f32x4.convert_i32x4_s(a33), f32x4.mul(sd, s3), t33);
  }
  put16(out, t00, t01, t02, t03, n, accumulate);
  put16(out + yStride, t10, t11, t12, t13, n, accumulate);
  put16(out + 2 * yStride, t20, t21, t22, t23, n, accumulate);
  put16(out + 3 * yStride, t30, t31, t32, t33, n, accumulate);
}

/** 16 rows, one token, bytes. With an offset, the dot of w + 128 exceeds the one of w by 128 times the sum of x. */
function quad16x1(
  r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, planes: i32, offset: i32, accumulate: i32,
): void {
  const sums = r + (<usize>groupsOf(Kp, 128) << 2);
  let q = r + headBytes(Kp);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    const start = i32x4.splat(offset ? groupSum(sums, k0, len) * -128 : 0);
    const e = q + <usize>len;
    let a0: v128, a1: v128, a2: v128, a3: v128;
    if (planes == 1) {
      a0 = start, a1 = start, a2 = start, a3 = start;
      for (; q < e; q += 8, w += 128) {
        const xa = v128.load32_splat(q);
        a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, v128.load(w), a0);
        a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, v128.load(w, 16), a1);
        a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, v128.load(w, 32), a2);
        a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, v128.load(w, 48), a3);
        const xb = v128.load32_splat(q, 4);
        a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, v128.load(w, 64), a0);
        a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, v128.load(w, 80), a1);
        a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, v128.load(w, 96), a2);
        a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, v128.load(w, 112), a3);
      }
    } else {
      let h0 = zero(), h1 = zero(), h2 = zero(), h3 = zero();
      a0 = start, a1 = start, a2 = start, a3 = start;
      for (; q < e; q += 4, w += 64) {
        const xh = v128.load32_splat(q);
        const xl = v128.load32_splat(q + <usize>Kp);
        const w0 = v128.load(w);
        h0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xh, w0, h0);
        a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xl, w0, a0);
        const w1 = v128.load(w, 16);
        h1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xh, w1, h1);
        a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xl, w1, a1);
        const w2 = v128.load(w, 32);
        h2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xh, w2, h2);
        a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xl, w2, a2);
        const w3 = v128.load(w, 48);
        h3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xh, w3, h3);
        a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xl, w3, a3);
      }
      a0 = i32x4.add(a0, i32x4.shl(h0, 8));
      a1 = i32x4.add(a1, i32x4.shl(h1, 8));
      a2 = i32x4.add(a2, i32x4.shl(h2, 8));
      a3 = i32x4.add(a3, i32x4.shl(h3, 8));
    }
    const xs = v128.load32_splat(r + (<usize>(k0 >> 7) << 2));
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(v128.load(s), xs), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(v128.load(s, 16), xs), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(v128.load(s, 32), xs), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(v128.load(s, 48), xs), t3);
  }
  put16(out, t0, t1, t2, t3, n, accumulate);
}

/** 8 rows (half a panel), four tokens, bytes. The high plane, if there is one, goes first and is then shifted up. */
function quad8x4(
  r0: usize, r1: usize, r2: usize, r3: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32,
  group: i32, planes: i32, offset: i32, accumulate: i32,
): void {
  const sums = r0 + (<usize>groupsOf(Kp, 128) << 2);
  const d1 = r1 - r0, d2 = r2 - r0, d3 = r3 - r0;
  const first = r0 + headBytes(Kp);
  let t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero(), t4 = zero(), t5 = zero(), t6 = zero(), t7 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero(), a4 = zero(), a5 = zero(), a6 = zero(), a7 = zero();
    const wGroup = w + <usize>k0 * PANEL;
    for (let plane = 0; plane < planes; plane++) {
      if (plane) {
        a0 = i32x4.shl(a0, 8), a1 = i32x4.shl(a1, 8), a2 = i32x4.shl(a2, 8), a3 = i32x4.shl(a3, 8);
        a4 = i32x4.shl(a4, 8), a5 = i32x4.shl(a5, 8), a6 = i32x4.shl(a6, 8), a7 = i32x4.shl(a7, 8);
      }
      let wk = wGroup;
      let q = first + <usize>(plane * Kp + k0);
      for (const e = q + <usize>len; q < e; q += 4, wk += 64) {
        const wa = v128.load(wk);
        const wb = v128.load(wk, 16);
        const x0 = v128.load32_splat(q);
        a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x0, wa, a0);
        a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x0, wb, a1);
        const x1 = v128.load32_splat(q + d1);
        a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x1, wa, a2);
        a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x1, wb, a3);
        const x2 = v128.load32_splat(q + d2);
        a4 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x2, wa, a4);
        a5 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x2, wb, a5);
        const x3 = v128.load32_splat(q + d3);
        a6 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x3, wa, a6);
        a7 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x3, wb, a7);
      }
    }
    if (offset) {
      const c0 = i32x4.splat(groupSum(sums, k0, len) * -128), c1 = i32x4.splat(groupSum(sums + d1, k0, len) * -128);
      const c2 = i32x4.splat(groupSum(sums + d2, k0, len) * -128), c3 = i32x4.splat(groupSum(sums + d3, k0, len) * -128);
      a0 = i32x4.add(a0, c0), a1 = i32x4.add(a1, c0), a2 = i32x4.add(a2, c1), a3 = i32x4.add(a3, c1);
      a4 = i32x4.add(a4, c2), a5 = i32x4.add(a5, c2), a6 = i32x4.add(a6, c3), a7 = i32x4.add(a7, c3);
    }
    const g = <usize>(k0 >> 7) << 2;
    const sa = v128.load(s), sb = v128.load(s, 16);
    const s0 = v128.load32_splat(r0 + g), s1 = v128.load32_splat(r1 + g);
    t0 = madd(f32x4.convert_i32x4_s(a0), f32x4.mul(sa, s0), t0);
    t1 = madd(f32x4.convert_i32x4_s(a1), f32x4.mul(sb, s0), t1);
    t2 = madd(f32x4.convert_i32x4_s(a2), f32x4.mul(sa, s1), t2);
    t3 = madd(f32x4.convert_i32x4_s(a3), f32x4.mul(sb, s1), t3);
    const s2 = v128.load32_splat(r2 + g), s3 = v128.load32_splat(r3 + g);
    t4 = madd(f32x4.convert_i32x4_s(a4), f32x4.mul(sa, s2), t4);
    t5 = madd(f32x4.convert_i32x4_s(a5), f32x4.mul(sb, s2), t5);
    t6 = madd(f32x4.convert_i32x4_s(a6), f32x4.mul(sa, s3), t6);
    t7 = madd(f32x4.convert_i32x4_s(a7), f32x4.mul(sb, s3), t7);
  }
  put8(out, t0, t1, n, accumulate);
  put8(out + yStride, t2, t3, n, accumulate);
  put8(out + 2 * yStride, t4, t5, n, accumulate);
  put8(out + 3 * yStride, t6, t7, n, accumulate);
}

/** The sum of the integers k0..k0 + len of a record; both multiples of 32. */
// @ts-ignore: decorator
@inline
function groupSum(sums: usize, k0: i32, len: i32): i32 {
  let sum = 0;
  for (let k = k0; k < k0 + len; k += 32) sum += load<i32>(sums + (<usize>(k >> 5) << 2));
  return sum;
}

function scalar16x1(r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, accumulate: i32): void {
  const q = r + headBytes(Kp);
  for (let i = 0; i < n; i++) {
    let total: f32 = 0;
    for (let k0 = 0, g = 0; k0 < Kp; k0 += group, g++) {
      const kEnd = min(Kp, k0 + group);
      let a = 0;
      for (let k = k0; k < kEnd; k += 2) {
        const at = w + <usize>k * PANEL + (<usize>i << 1);
        a += <i32>load<i8>(at) * <i32>load<i16>(q + (<usize>k << 1));
        a += <i32>load<i8>(at, 1) * <i32>load<i16>(q + (<usize>k << 1), 2);
      }
      const scale = load<f32>(s + (<usize>(g * PANEL + i) << 2)) * load<f32>(r + (<usize>(k0 >> 7) << 2));
      total += <f32>a * scale;
    }
    const o = out + (<usize>i << 2);
    store<f32>(o, accumulate ? total + load<f32>(o) : total);
  }
}

/** Stores the first n of 8 results. The two stores stand together, for engines that join vectors. */
// @ts-ignore: decorator
@inline
export function put8(out: usize, a: v128, b: v128, n: i32, accumulate: i32): void {
  if (n < 8) {
    putSome(out, a, b, n, accumulate);
    return;
  }
  if (accumulate) a = f32x4.add(a, v128.load(out)), b = f32x4.add(b, v128.load(out, 16));
  v128.store(out, a), v128.store(out, b, 16);
}

function putSome(out: usize, a: v128, b: v128, n: i32, accumulate: i32): void {
  for (let i = 0; i < n; i++) {
    const o = out + (<usize>i << 2);
    const v = f32x4.extract_lane(a, 0);
    store<f32>(o, accumulate ? v + load<f32>(o) : v);
    a = v128.shuffle<f32>(a, b, 1, 2, 3, 4);
    b = v128.shuffle<f32>(b, b, 1, 2, 3, 3);
  }
}

// @ts-ignore: decorator
@inline
export function put16(out: usize, a: v128, b: v128, c: v128, d: v128, n: i32, accumulate: i32): void {
  put8(out, a, b, n, accumulate);
  put8(out + 32, c, d, n - 8, accumulate);
}
