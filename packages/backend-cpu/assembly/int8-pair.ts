/**
 * Products of INT8 panels in pairs with 16-bit activations, by the dot of two 16-bit integers: for one token, for two (a
 * token and its draft) and for four (a prefill).
 */
import { headBytes, put16, put8 } from './panels';
import { PANEL } from './quantize';
import { madd, zero } from './simd';

/** 16 rows, one token, 16-bit activations. */
export function pair16x1(r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, accumulate: i32): void {
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

/** 16 rows, two tokens, 16-bit activations: a token and its draft. */
export function pair16x2(
  r0: usize, r1: usize, w: usize, s: usize, out: usize, yStride: usize, n: i32, Kp: i32, group: i32, accumulate: i32,
): void {
  const head = headBytes(Kp);
  let q0 = r0 + head, q1 = r1 + head;
  let t00 = zero(), t01 = zero(), t02 = zero(), t03 = zero();
  let t10 = zero(), t11 = zero(), t12 = zero(), t13 = zero();
  for (let k0 = 0; k0 < Kp; k0 += group, s += PANEL * 4) {
    const len = min(group, Kp - k0);
    let a00 = zero(), a01 = zero(), a02 = zero(), a03 = zero();
    let a10 = zero(), a11 = zero(), a12 = zero(), a13 = zero();
    for (const e = w + <usize>len * PANEL; w < e; w += 32, q0 += 4, q1 += 4) {
      const w0 = v128.load8x8_s(w), w1 = v128.load8x8_s(w, 8), w2 = v128.load8x8_s(w, 16), w3 = v128.load8x8_s(w, 24);
      const x0 = v128.load32_splat(q0);
      a00 = i32x4.add(a00, i32x4.dot_i16x8_s(w0, x0)), a01 = i32x4.add(a01, i32x4.dot_i16x8_s(w1, x0));
      a02 = i32x4.add(a02, i32x4.dot_i16x8_s(w2, x0)), a03 = i32x4.add(a03, i32x4.dot_i16x8_s(w3, x0));
      const x1 = v128.load32_splat(q1);
      a10 = i32x4.add(a10, i32x4.dot_i16x8_s(w0, x1)), a11 = i32x4.add(a11, i32x4.dot_i16x8_s(w1, x1));
      a12 = i32x4.add(a12, i32x4.dot_i16x8_s(w2, x1)), a13 = i32x4.add(a13, i32x4.dot_i16x8_s(w3, x1));
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
  }
  put16(out, t00, t01, t02, t03, n, accumulate);
  put16(out + yStride, t10, t11, t12, t13, n, accumulate);
}

/** 8 rows (half a panel), four tokens, 16-bit activations. */
export function pair8x4(
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
export function pair16x4(
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
