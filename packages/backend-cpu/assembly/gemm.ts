/**
 * C[M, N] (+)= op(A)[M, K] op(B)[K, N], F32 with f32 sums; B may be BF16 or E4M3 (as rows [N, K]), decoded on the way.
 *
 * A unit is a block of mb x nb of C. For each KC of K, B's block is packed into panels of 8 columns ([k][8]: 8 KB, which
 * stay in the first-level cache) and A is read where it lies, or from a packed copy if it is transposed. The inner tile
 * is 4 x 8 in registers, fed by two loads of B and four broadcasts of A for eight multiply-adds. `wide`, for engines that
 * make 256-bit instructions of neighbouring 128-bit ones, it is 6 x 16, and A is packed too, into panels of 6 rows
 * ([k][6]). Every element is the same sum in the same order whatever the tile and the blocks.
 *
 * Arguments: A, B, C, M, N, K, lda, ldb, ldc, transA (A is [K, M]), transB (B is [N, K]), format of B (0 f32, 1 bf16,
 * 2 fp8; the last two with transB), scales, scaleStride, rows (list of rows of A, or 0; not with transA), accumulate,
 * batch, strides of A, B, C in a batch (elements), wide, mb (at most 240), nb (a multiple of 16, at most 192). Units are
 * batch x row blocks x column blocks.
 */
import { decodeBf16, decodeE4m3 } from './formats';
import { arg, argPtr, madd, rowAt, zero } from './simd';
import { SCRATCH_WORK } from './scratch';

const KC: i32 = 256;
const NR: i32 = 8;
const MR: i32 = 6;
/** The largest blocks that the work area holds; `mb` and `nb` are at most these. */
const MB: i32 = 240;
const NB: i32 = 192;
/** Offsets in the work area: packed B, packed A, one panel of decoded rows, one tile at the edge. */
const PACKED_B: usize = SCRATCH_WORK;
const PACKED_A: usize = PACKED_B + <usize>(KC * NB * 4);
const DECODED: usize = PACKED_A + <usize>(KC * MB * 4);
const EDGE: usize = DECODED + <usize>(NR * KC * 4);
const PANEL: usize = <usize>(KC * NR * 4);

export function gemm(args: usize, begin: i32, end: i32, scratch: usize): void {
  const M = arg(args, 3), N = arg(args, 4), K = arg(args, 5);
  const lda = <usize>arg(args, 6) << 2, ldc = <usize>arg(args, 8) << 2, transA = arg(args, 9);
  const rows = argPtr(args, 14), accumulate = arg(args, 15);
  const wide = arg(args, 20), mb = arg(args, 21), nb = arg(args, 22);
  const mBlocks = (M + mb - 1) / mb, nBlocks = (N + nb - 1) / nb;
  const packedA = scratch + PACKED_A, packedB = scratch + PACKED_B;
  const stepM = wide ? MR : 4, stepN = wide ? 2 * NR : NR;
  for (let u = begin; u < end; u++) {
    const batch = <usize>(u / (nBlocks * mBlocks));
    const A = argPtr(args, 0) + (batch * <usize>arg(args, 17) << 2);
    const B = argPtr(args, 1) + (batch * <usize>arg(args, 18) << 2);
    const C = argPtr(args, 2) + (batch * <usize>arg(args, 19) << 2);
    const m0 = ((u / nBlocks) % mBlocks) * mb, mn = min(mb, M - m0), n0 = (u % nBlocks) * nb, nn = min(nb, N - n0);
    if (K == 0 && !accumulate) {
      for (let m = 0; m < mn; m++) memory.fill(C + <usize>(m0 + m) * ldc + (<usize>n0 << 2), 0, <usize>nn << 2);
    }
    for (let k0 = 0; k0 < K; k0 += KC) {
      const kn = min(KC, K - k0);
      packB(args, B, n0, nn, k0, kn, packedB, scratch + DECODED);
      if (wide) {
        if (transA) packColumnsOfA(A + <usize>k0 * lda + (<usize>m0 << 2), lda, mn, kn, packedA);
        else packRowsOfA(A, lda, rows, m0, mn, k0, kn, packedA);
      } else if (transA) {
        packTransposedA(A, lda, m0, mn, k0, kn, packedA);
      }
      const add = accumulate || k0 > 0;
      for (let n = 0; n < nn; n += stepN) {
        const b = packedB + <usize>n * <usize>(KC * 4);
        const cn = min(stepN, nn - n);
        for (let m = 0; m < mn; m += stepM) {
          const cm = min(stepM, mn - m), last = mn - 1;
          const c = C + <usize>(m0 + m) * ldc + (<usize>(n0 + n) << 2);
          const whole = cm == stepM && cn == stepN;
          const to = whole ? c : scratch + EDGE, toStride = whole ? ldc : <usize>(2 * NR * 4);
          const addHere = whole ? add : 0;
          if (wide) {
            // Of an odd panel's neighbour comes what lay there before; it stays in the tile at the edge.
            tile6x16(packedA + <usize>m * <usize>(KC * 4), b, kn, to, toStride, addHere);
          } else {
            const a0 = rowOfA(A, lda, rows, transA, packedA, m0, m, k0);
            const a1 = rowOfA(A, lda, rows, transA, packedA, m0, min(m + 1, last), k0);
            const a2 = rowOfA(A, lda, rows, transA, packedA, m0, min(m + 2, last), k0);
            const a3 = rowOfA(A, lda, rows, transA, packedA, m0, min(m + 3, last), k0);
            tile4x8(a0, a1, a2, a3, b, kn, to, toStride, addHere);
          }
          if (!whole) putEdge(to, toStride, c, ldc, cm, cn, add);
        }
      }
    }
  }
}

/** Where row m of the block begins: in A itself, or in its packed copy. */
// @ts-ignore: decorator
@inline
function rowOfA(A: usize, lda: usize, rows: usize, transA: i32, packed: usize, m0: i32, m: i32, k0: i32): usize {
  if (transA) return packed + (<usize>m * KC << 2);
  return rowAt(A, <i32>(lda >> 2), rows, m0 + m) + (<usize>k0 << 2);
}

/** The part of a tile that lies inside C. */
function putEdge(from: usize, fromStride: usize, c: usize, ldc: usize, cm: i32, cn: i32, add: i32): void {
  for (let i = 0; i < cm; i++) {
    for (let j = 0; j < cn; j++) {
      const at = c + <usize>i * ldc + (<usize>j << 2);
      const v = load<f32>(from + <usize>i * fromStride + (<usize>j << 2));
      store<f32>(at, add ? load<f32>(at) + v : v);
    }
  }
}

/** One 4 x 8 tile: eight vectors of sums, for machines with sixteen registers of 128 bits. */
function tile4x8(a0: usize, a1: usize, a2: usize, a3: usize, b: usize, kn: i32, c: usize, ldc: usize, add: i32): void {
  if (ASC_FEATURE_SIMD) {
    let c00 = zero(), c01 = zero(), c10 = zero(), c11 = zero(), c20 = zero(), c21 = zero(), c30 = zero(), c31 = zero();
    const d1 = a1 - a0, d2 = a2 - a0, d3 = a3 - a0;
    for (const e = a0 + (<usize>kn << 2); a0 < e; a0 += 4, b += 32) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      const x0 = v128.load32_splat(a0);
      c00 = madd(b0, x0, c00), c01 = madd(b1, x0, c01);
      const x1 = v128.load32_splat(a0 + d1);
      c10 = madd(b0, x1, c10), c11 = madd(b1, x1, c11);
      const x2 = v128.load32_splat(a0 + d2);
      c20 = madd(b0, x2, c20), c21 = madd(b1, x2, c21);
      const x3 = v128.load32_splat(a0 + d3);
      c30 = madd(b0, x3, c30), c31 = madd(b1, x3, c31);
    }
    put8(c, c00, c01, add);
    put8(c + ldc, c10, c11, add);
    put8(c + 2 * ldc, c20, c21, add);
    put8(c + 3 * ldc, c30, c31, add);
    return;
  }
  for (let i = 0; i < 4; i++) {
    const a = i == 0 ? a0 : i == 1 ? a1 : i == 2 ? a2 : a3;
    for (let j: usize = 0; j < 8; j += 4) {
      let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0;
      for (let k: usize = 0; k < <usize>kn; k++) {
        const v = load<f32>(a + (k << 2));
        const p = b + (k << 5) + (j << 2);
        s0 += v * load<f32>(p);
        s1 += v * load<f32>(p, 4);
        s2 += v * load<f32>(p, 8);
        s3 += v * load<f32>(p, 12);
      }
      const o = c + <usize>i * ldc + (j << 2);
      store<f32>(o, add ? load<f32>(o) + s0 : s0);
      store<f32>(o, add ? load<f32>(o, 4) + s1 : s1, 4);
      store<f32>(o, add ? load<f32>(o, 8) + s2 : s2, 8);
      store<f32>(o, add ? load<f32>(o, 12) + s3 : s3, 12);
    }
  }
}

/**
 * One 6 x 16 tile, a panel of A by two panels of B beside each other: twelve pairs of sums, each pair one register where
 * the engine joins neighbouring vectors to 256 bits. For that the stores of a row stand together, without a branch
 * between them. A comes packed, for one pointer instead of six leaves the loop to its multiply-adds.
 */
function tile6x16(a: usize, b: usize, kn: i32, c: usize, ldc: usize, add: i32): void {
  if (!ASC_FEATURE_SIMD) return;
  let c00 = zero(), c01 = zero(), c02 = zero(), c03 = zero(), c10 = zero(), c11 = zero(), c12 = zero(), c13 = zero();
  let c20 = zero(), c21 = zero(), c22 = zero(), c23 = zero(), c30 = zero(), c31 = zero(), c32 = zero(), c33 = zero();
  let c40 = zero(), c41 = zero(), c42 = zero(), c43 = zero(), c50 = zero(), c51 = zero(), c52 = zero(), c53 = zero();
  for (const e = b + (<usize>kn << 5); b < e; a += 4 * MR, b += 32) {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, PANEL), b3 = v128.load(b, PANEL + 16);
    const x0 = v128.load32_splat(a);
    c00 = madd(b0, x0, c00), c01 = madd(b1, x0, c01), c02 = madd(b2, x0, c02), c03 = madd(b3, x0, c03);
    const x1 = v128.load32_splat(a, 4);
    c10 = madd(b0, x1, c10), c11 = madd(b1, x1, c11), c12 = madd(b2, x1, c12), c13 = madd(b3, x1, c13);
    const x2 = v128.load32_splat(a, 8);
    c20 = madd(b0, x2, c20), c21 = madd(b1, x2, c21), c22 = madd(b2, x2, c22), c23 = madd(b3, x2, c23);
    const x3 = v128.load32_splat(a, 12);
    c30 = madd(b0, x3, c30), c31 = madd(b1, x3, c31), c32 = madd(b2, x3, c32), c33 = madd(b3, x3, c33);
    const x4 = v128.load32_splat(a, 16);
    c40 = madd(b0, x4, c40), c41 = madd(b1, x4, c41), c42 = madd(b2, x4, c42), c43 = madd(b3, x4, c43);
    const x5 = v128.load32_splat(a, 20);
    c50 = madd(b0, x5, c50), c51 = madd(b1, x5, c51), c52 = madd(b2, x5, c52), c53 = madd(b3, x5, c53);
  }
  put16(c, c00, c01, c02, c03, add);
  put16(c + ldc, c10, c11, c12, c13, add);
  put16(c + 2 * ldc, c20, c21, c22, c23, add);
  put16(c + 3 * ldc, c30, c31, c32, c33, add);
  put16(c + 4 * ldc, c40, c41, c42, c43, add);
  put16(c + 5 * ldc, c50, c51, c52, c53, add);
}

// @ts-ignore: decorator
@inline
function put8(c: usize, a: v128, b: v128, add: i32): void {
  if (add) a = f32x4.add(v128.load(c), a), b = f32x4.add(v128.load(c, 16), b);
  v128.store(c, a), v128.store(c, b, 16);
}

// @ts-ignore: decorator
@inline
function put16(c: usize, s0: v128, s1: v128, s2: v128, s3: v128, add: i32): void {
  put8(c, s0, s1, add);
  put8(c + 32, s2, s3, add);
}

/** Columns n0.. of op(B), rows k0.. of it, as panels of 8 columns: [k][8], the last one filled up with zeros. */
function packB(args: usize, B: usize, n0: i32, nn: i32, k0: i32, kn: i32, dst: usize, decoded: usize): void {
  const ldb = <usize>arg(args, 7), transB = arg(args, 10), format = arg(args, 11);
  const scales = argPtr(args, 12), scaleStride = arg(args, 13);
  if (!transB) {
    packRowsOfB(B + ((<usize>k0 * ldb + <usize>n0) << 2), ldb << 2, nn, kn, dst);
    return;
  }
  for (let n = 0; n < nn; n += NR) {
    const panel = dst + (<usize>n * <usize>KC << 2);
    const width = min(NR, nn - n);
    if (format == 0) {
      const from = B + ((<usize>(n0 + n) * ldb + <usize>k0) << 2);
      transposePanel(from, ldb << 2, width, kn, panel);
      continue;
    }
    for (let j = 0; j < width; j++) {
      const row = n0 + n + j;
      const to = decoded + (<usize>j * KC << 2);
      const at = <usize>row * ldb + <usize>k0;
      if (format == 1) {
        decodeBf16(B + (at << 1), to, kn);
      } else {
        // KC is a multiple of 128, so k0 begins a block.
        const s = scales + (<usize>(row >> 7) * <usize>scaleStride + <usize>(k0 >> 7) << 2);
        for (let k = 0; k < kn; k += 128) {
          decodeE4m3(B + at + <usize>k, to + (<usize>k << 2), min(128, kn - k), load<f32>(s + (<usize>(k >> 7) << 2)));
        }
      }
    }
    transposePanel(decoded, <usize>KC << 2, width, kn, panel);
  }
}

/** A block of B stored as [K, N] to panels, a few rows at a time: they are read in order and fill whole cache lines. */
function packRowsOfB(B: usize, stride: usize, nn: i32, kn: i32, dst: usize): void {
  for (let k0 = 0; k0 < kn; k0 += 4) {
    const end = min(k0 + 4, kn);
    for (let n = 0; n < nn; n += NR) {
      const width = min(NR, nn - n);
      let from = B + <usize>k0 * stride + (<usize>n << 2);
      let to = dst + (<usize>(n * KC + k0 * NR) << 2);
      for (let k = k0; k < end; k++, from += stride, to += 4 * NR) {
        if (ASC_FEATURE_SIMD) {
          if (width == NR) {
            v128.store(to, v128.load(from));
            v128.store(to, v128.load(from, 16), 16);
            continue;
          }
        }
        for (let j = 0; j < NR; j++) {
          store<f32>(to + (<usize>j << 2), j < width ? load<f32>(from + (<usize>j << 2)) : 0);
        }
      }
    }
  }
}

/** `width` <= 8 rows of kn to [k][8]. */
function transposePanel(from: usize, stride: usize, width: i32, kn: i32, panel: usize): void {
  let k = 0;
  if (ASC_FEATURE_SIMD) {
    if (width == NR) {
      for (; k + 4 <= kn; k += 4) {
        const p = from + (<usize>k << 2), to = panel + (<usize>k << 5);
        transpose4(p, stride, to);
        transpose4(p + 4 * stride, stride, to + 16);
      }
    }
  }
  for (; k < kn; k++) {
    const to = panel + (<usize>k << 5);
    for (let j = 0; j < NR; j++) {
      const v: f32 = j < width ? load<f32>(from + <usize>j * stride + (<usize>k << 2)) : 0;
      store<f32>(to + (<usize>j << 2), v);
    }
  }
}

// @ts-ignore: decorator
@inline
function transpose4(p: usize, stride: usize, to: usize): void {
  const a = v128.load(p), b = v128.load(p + stride), c = v128.load(p + 2 * stride), d = v128.load(p + 3 * stride);
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
  v128.store(to, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), 32);
  v128.store(to, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), 64);
  v128.store(to, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), 96);
}

/** A block of A stored as [K, M] to rows of KC. */
function packTransposedA(A: usize, lda: usize, m0: i32, mn: i32, k0: i32, kn: i32, dst: usize): void {
  const from = A + <usize>k0 * lda + (<usize>m0 << 2);
  let m = 0;
  if (ASC_FEATURE_SIMD) {
    for (; m + 4 <= mn; m += 4) {
      const p = from + (<usize>m << 2), to = dst + (<usize>m * KC << 2);
      let k = 0;
      for (; k + 4 <= kn; k += 4) transposeInto(p + <usize>k * lda, lda, to + (<usize>k << 2), <usize>KC << 2);
      for (; k < kn; k++) {
        for (let i: usize = 0; i < 4; i++) {
          store<f32>(to + ((i * KC + <usize>k) << 2), load<f32>(p + <usize>k * lda + (i << 2)));
        }
      }
    }
  }
  for (; m < mn; m++) {
    for (let k = 0; k < kn; k++) {
      store<f32>(dst + (<usize>(m * KC + k) << 2), load<f32>(from + <usize>k * lda + (<usize>m << 2)));
    }
  }
}

/** A block of A stored as [K, M] to panels of six rows, [k][6], as `packRowsOfB`. */
function packColumnsOfA(A: usize, lda: usize, mn: i32, kn: i32, dst: usize): void {
  for (let k0 = 0; k0 < kn; k0 += 8) {
    const end = min(k0 + 8, kn);
    for (let m = 0; m < mn; m += MR) {
      const width = min(MR, mn - m);
      let from = A + <usize>k0 * lda + (<usize>m << 2);
      let to = dst + (<usize>(m * KC + k0 * MR) << 2);
      for (let k = k0; k < end; k++, from += lda, to += 4 * MR) {
        if (ASC_FEATURE_SIMD) {
          if (width == MR) {
            v128.store(to, v128.load(from));
            store<u64>(to, load<u64>(from, 16), 16);
            continue;
          }
        }
        for (let i = 0; i < MR; i++) {
          store<f32>(to + (<usize>i << 2), i < width ? load<f32>(from + (<usize>i << 2)) : 0);
        }
      }
    }
  }
}

/** Rows of A as panels of six, [k][6]. */
function packRowsOfA(A: usize, lda: usize, rows: usize, m0: i32, mn: i32, k0: i32, kn: i32, dst: usize): void {
  if (!ASC_FEATURE_SIMD) return;
  for (let m = 0; m < mn; m += MR) {
    let to = dst + <usize>m * <usize>(KC * 4);
    const last = m0 + mn - 1, stride = <i32>(lda >> 2);
    let a0 = rowAt(A, stride, rows, m0 + m) + (<usize>k0 << 2);
    let a1 = rowAt(A, stride, rows, min(m0 + m + 1, last)) + (<usize>k0 << 2);
    let a2 = rowAt(A, stride, rows, min(m0 + m + 2, last)) + (<usize>k0 << 2);
    let a3 = rowAt(A, stride, rows, min(m0 + m + 3, last)) + (<usize>k0 << 2);
    let a4 = rowAt(A, stride, rows, min(m0 + m + 4, last)) + (<usize>k0 << 2);
    let a5 = rowAt(A, stride, rows, min(m0 + m + 5, last)) + (<usize>k0 << 2);
    let k = 0;
    for (; k + 4 <= kn; k += 4, to += 16 * MR) {
      const r0 = v128.load(a0), r1 = v128.load(a1), r2 = v128.load(a2), r3 = v128.load(a3), r4 = v128.load(a4), r5 = v128.load(a5);
      const r01l = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), r01h = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
      const r23l = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), r23h = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      const r45l = v128.shuffle<f32>(r4, r5, 0, 4, 1, 5), r45h = v128.shuffle<f32>(r4, r5, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f64>(r01l, r23l, 0, 2));
      v128.store64_lane(to, r45l, 0, 16);
      v128.store(to, v128.shuffle<f64>(r01l, r23l, 1, 3), 24);
      v128.store64_lane(to, r45l, 1, 40);
      v128.store(to, v128.shuffle<f64>(r01h, r23h, 0, 2), 48);
      v128.store64_lane(to, r45h, 0, 64);
      v128.store(to, v128.shuffle<f64>(r01h, r23h, 1, 3), 72);
      v128.store64_lane(to, r45h, 1, 88);
      a0 += 16, a1 += 16, a2 += 16, a3 += 16, a4 += 16, a5 += 16;
    }
    for (; k < kn; k++, to += 4 * MR) {
      store<f32>(to, load<f32>(a0));
      store<f32>(to, load<f32>(a1), 4);
      store<f32>(to, load<f32>(a2), 8);
      store<f32>(to, load<f32>(a3), 12);
      store<f32>(to, load<f32>(a4), 16);
      store<f32>(to, load<f32>(a5), 20);
      a0 += 4, a1 += 4, a2 += 4, a3 += 4, a4 += 4, a5 += 4;
    }
  }
}

// @ts-ignore: decorator
@inline
function transposeInto(p: usize, stride: usize, to: usize, toStride: usize): void {
  const a = v128.load(p), b = v128.load(p + stride), c = v128.load(p + 2 * stride), d = v128.load(p + 3 * stride);
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
  v128.store(to + toStride, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7));
  v128.store(to + 2 * toStride, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5));
  v128.store(to + 3 * toStride, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7));
}
