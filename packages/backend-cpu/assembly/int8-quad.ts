/**
 * Products of INT8 panels in fours with activations in bytes, one plane or two, by the relaxed dot of four bytes: for one
 * token, for two (a token and its draft) and for four (a prefill).
 */
import { groupSum, headBytes, put16, put8 } from './panels';
import { PANEL, groupsOf } from './quantize';
import { madd, zero } from './simd';

/** 16 rows, one token, bytes. With an offset, the dot of w + 128 exceeds the one of w by 128 times the sum of x. */
export function quad16x1(
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

/** 16 rows, two tokens, bytes. The high plane, if there is one, goes first and is then shifted up. */
export function quad16x2(
  r0: usize, r1: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32, group: i32, planes: i32,
  offset: i32, accumulate: i32,
): void {
  const sums = r0 + (<usize>groupsOf(Kp, 128) << 2);
  const d1 = r1 - r0;
  const first = r0 + headBytes(Kp);
  let t00 = zero(), t01 = zero(), t02 = zero(), t03 = zero();
  let t10 = zero(), t11 = zero(), t12 = zero(), t13 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a00 = zero(), a01 = zero(), a02 = zero(), a03 = zero();
    let a10 = zero(), a11 = zero(), a12 = zero(), a13 = zero();
    for (let plane = 0; plane < planes; plane++) {
      if (plane) {
        a00 = i32x4.shl(a00, 8), a01 = i32x4.shl(a01, 8), a02 = i32x4.shl(a02, 8), a03 = i32x4.shl(a03, 8);
        a10 = i32x4.shl(a10, 8), a11 = i32x4.shl(a11, 8), a12 = i32x4.shl(a12, 8), a13 = i32x4.shl(a13, 8);
      }
      let wk = w + <usize>k0 * PANEL;
      let q = first + <usize>(plane * Kp + k0);
      for (const e = q + <usize>len; q < e; q += 4, wk += 64) {
        const x0 = v128.load32_splat(q), x1 = v128.load32_splat(q + d1);
        const w0 = v128.load(wk);
        a00 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x0, w0, a00);
        a10 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x1, w0, a10);
        const w1 = v128.load(wk, 16);
        a01 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x0, w1, a01);
        a11 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x1, w1, a11);
        const w2 = v128.load(wk, 32);
        a02 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x0, w2, a02);
        a12 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x1, w2, a12);
        const w3 = v128.load(wk, 48);
        a03 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x0, w3, a03);
        a13 = i32x4.relaxed_dot_i8x16_i7x16_add_s(x1, w3, a13);
      }
    }
    if (offset) {
      const c0 = i32x4.splat(groupSum(sums, k0, len) * -128), c1 = i32x4.splat(groupSum(sums + d1, k0, len) * -128);
      a00 = i32x4.add(a00, c0), a01 = i32x4.add(a01, c0), a02 = i32x4.add(a02, c0), a03 = i32x4.add(a03, c0);
      a10 = i32x4.add(a10, c1), a11 = i32x4.add(a11, c1), a12 = i32x4.add(a12, c1), a13 = i32x4.add(a13, c1);
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

/** 8 rows (half a panel), four tokens, bytes. The high plane, if there is one, goes first and is then shifted up. */
export function quad8x4(
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
