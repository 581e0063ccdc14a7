/**
 * Attention that never holds the scores of a whole context: keys come in blocks of 32, and each query keeps the largest
 * score so far, the sum of its exponentials and its weighted sum of values, rescaled when a larger score turns up.
 *
 * `latentAttention` is the absorbed form of MLA: up to 16 heads of one token share every cache row [latent | rope], of
 * which the latent is key and value at once; the rows lie in pages, in F32 or BF16. A long context can be cut into
 * splits that run in parallel, joined by `combineAttention`. `causalAttention` is the form with keys and values of
 * each head spelled out, for prefill.
 */
import { decodeBf16 } from './formats';
import { exp1, exp4 } from './math';
import { arg, argF, argPtr, joined, largest, madd, sum4, sums4, zero } from './simd';
import { SCRATCH_WORK } from './scratch';

export const HEADS: i32 = 16;
export const QUERIES: i32 = 32;
const BLOCK: i32 = 32;

/** A tile of queries at work. The pointers are into the scratch block; `dk` is padded to 8. */
@unmanaged
class Tile {
  rows: i32 = 0;
  dk: i32 = 0;
  dv: i32 = 0;
  q: usize = 0; // [rows padded to 4, dk], scaled
  o: usize = 0; // [rows padded to 4, dv]
  p: usize = 0; // [32, BLOCK]
  top: usize = 0; // [32]
  sum: usize = 0; // [32]
  limit: usize = 0; // i32 [32]: how many keys of the block at hand each query sees
  block: usize = 0; // [BLOCK, dk]
  lanes: usize = 0; // sums of `scores4x2`
  wide: i32 = 0; // whether the engine joins vectors to 256 bits
}

// @ts-ignore: decorator
@inline
function up4(n: i32): i32 {
  return (n + 3) & ~3;
}

// @ts-ignore: decorator
@inline
function up8(n: i32): i32 {
  return (n + 7) & ~7;
}

function openTile(scratch: usize, rows: i32, dk: i32, dv: i32, wide: i32): Tile {
  const tile = changetype<Tile>(scratch + SCRATCH_WORK);
  const padded = up4(rows);
  tile.rows = rows;
  tile.dk = dk;
  tile.dv = dv;
  tile.wide = wide;
  let at = scratch + SCRATCH_WORK + 64;
  tile.lanes = at;
  at += 256;
  tile.top = at;
  at += QUERIES * 4;
  tile.sum = at;
  at += QUERIES * 4;
  tile.limit = at;
  at += QUERIES * 4;
  tile.p = at;
  at += QUERIES * BLOCK * 4;
  tile.q = at;
  at += <usize>(padded * dk) << 2;
  tile.o = at;
  at += (<usize>(padded * dv) + 3 & ~3) << 2;
  tile.block = at;
  for (let i = 0; i < padded; i++) {
    store<f32>(tile.top + (<usize>i << 2), -Infinity);
    store<f32>(tile.sum + (<usize>i << 2), 0);
    store<i32>(tile.limit + (<usize>i << 2), 0);
  }
  memory.fill(tile.q, 0, <usize>(padded * dk) << 2);
  memory.fill(tile.o, 0, <usize>(padded * dv) << 2);
  // Padding rows of q are zero and their weights stay zero.
  memory.fill(tile.p, 0, QUERIES * BLOCK * 4);
  return tile;
}

/** Copies n elements to row i, column c of q, times scale. */
function setQuery(tile: Tile, i: i32, c: i32, from: usize, n: i32, scale: f32): void {
  const to = tile.q + (<usize>(i * tile.dk + c) << 2);
  for (let k: usize = 0; k < <usize>n << 2; k += 4) store<f32>(to + k, load<f32>(from + k) * scale);
}

/** Takes in n <= 32 keys (rows of `kStride` bytes, dk wide) and values (rows of `vStride` bytes). */
function attend(tile: Tile, k: usize, kStride: usize, v: usize, vStride: usize, n: i32): void {
  scores(tile, k, kStride, n);
  for (let i = 0; i < tile.rows; i++) soften(tile, i, n);
  weigh(tile, v, vStride, n);
}

/**
 * p = q k^T. The elements of a row are summed in eight lanes, then those; two queries by two keys at a time, or four by
 * two where vectors are joined to 256 bits.
 */
function scores(tile: Tile, keys: usize, stride: usize, n: i32): void {
  const bytes = <usize>tile.dk << 2;
  if (ASC_FEATURE_SIMD) {
    const step = tile.wide ? 4 : 2;
    for (let i = 0; i < tile.rows; i += step) {
      const q = tile.q + <usize>i * bytes;
      const p = tile.p + (<usize>(i * BLOCK) << 2);
      for (let j = 0; j < n; j += 2) {
        const k0 = keys + <usize>j * stride;
        // With n odd, the second column of the last pair is beyond n, inside the row of 32, and never read.
        const k1 = keys + <usize>min(j + 1, n - 1) * stride;
        const at = p + (<usize>j << 2);
        if (tile.wide) scores4x2(q, bytes, k0, k1, at, tile.lanes);
        else scores2x2(q, bytes, k0, k1, at);
      }
    }
    return;
  }
  for (let i = 0; i < tile.rows; i++) {
    const q = tile.q + <usize>i * bytes;
    const p = tile.p + (<usize>(i * BLOCK) << 2);
    for (let j = 0; j < n; j++) {
      const k = keys + <usize>j * stride;
      let s: f32 = 0, u: f32 = 0;
      for (let c: usize = 0; c < bytes; c += 8) {
        s += load<f32>(q + c) * load<f32>(k + c);
        u += load<f32>(q + c, 4) * load<f32>(k + c, 4);
      }
      store<f32>(p + (<usize>j << 2), s + u);
    }
  }
}

function scores2x2(q0: usize, bytes: usize, k0: usize, k1: usize, out: usize): void {
  const q1 = q0 + bytes;
  let a0 = zero(), a1 = zero(), b0 = zero(), b1 = zero(), c0 = zero(), c1 = zero(), d0 = zero(), d1 = zero();
  for (let c: usize = 0; c < bytes; c += 32) {
    const u0 = v128.load(k0 + c), u1 = v128.load(k0 + c, 16), w0 = v128.load(k1 + c), w1 = v128.load(k1 + c, 16);
    const x0 = v128.load(q0 + c), x1 = v128.load(q0 + c, 16);
    a0 = madd(x0, u0, a0), a1 = madd(x1, u1, a1), b0 = madd(x0, w0, b0), b1 = madd(x1, w1, b1);
    const y0 = v128.load(q1 + c), y1 = v128.load(q1 + c, 16);
    c0 = madd(y0, u0, c0), c1 = madd(y1, u1, c1), d0 = madd(y0, w0, d0), d1 = madd(y1, w1, d1);
  }
  const s = sums4(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1));
  v128.store64_lane(out, s, 0);
  v128.store64_lane(out, s, 1, BLOCK * 4);
}

/** `lanes` is where the sums are stored, 256 bytes: neighbours together, for the engine to join them. */
function scores4x2(q0: usize, bytes: usize, k0: usize, k1: usize, out: usize, lanes: usize): void {
  const q1 = q0 + bytes, q2 = q1 + bytes, q3 = q2 + bytes;
  let a0 = zero(), a1 = zero(), b0 = zero(), b1 = zero(), c0 = zero(), c1 = zero(), d0 = zero(), d1 = zero();
  let e0 = zero(), e1 = zero(), f0 = zero(), f1 = zero(), g0 = zero(), g1 = zero(), h0 = zero(), h1 = zero();
  for (let c: usize = 0; c < bytes; c += 32) {
    const u0 = v128.load(k0 + c), u1 = v128.load(k0 + c, 16), w0 = v128.load(k1 + c), w1 = v128.load(k1 + c, 16);
    const x0 = v128.load(q0 + c), x1 = v128.load(q0 + c, 16);
    a0 = madd(x0, u0, a0), a1 = madd(x1, u1, a1), b0 = madd(x0, w0, b0), b1 = madd(x1, w1, b1);
    const y0 = v128.load(q1 + c), y1 = v128.load(q1 + c, 16);
    c0 = madd(y0, u0, c0), c1 = madd(y1, u1, c1), d0 = madd(y0, w0, d0), d1 = madd(y1, w1, d1);
    const z0 = v128.load(q2 + c), z1 = v128.load(q2 + c, 16);
    e0 = madd(z0, u0, e0), e1 = madd(z1, u1, e1), f0 = madd(z0, w0, f0), f1 = madd(z1, w1, f1);
    const t0 = v128.load(q3 + c), t1 = v128.load(q3 + c, 16);
    g0 = madd(t0, u0, g0), g1 = madd(t1, u1, g1), h0 = madd(t0, w0, h0), h1 = madd(t1, w1, h1);
  }
  v128.store(lanes, a0), v128.store(lanes, a1, 16), v128.store(lanes, b0, 32), v128.store(lanes, b1, 48);
  v128.store(lanes, c0, 64), v128.store(lanes, c1, 80), v128.store(lanes, d0, 96), v128.store(lanes, d1, 112);
  v128.store(lanes, e0, 128), v128.store(lanes, e1, 144), v128.store(lanes, f0, 160), v128.store(lanes, f1, 176);
  v128.store(lanes, g0, 192), v128.store(lanes, g1, 208), v128.store(lanes, h0, 224), v128.store(lanes, h1, 240);
  for (let half: usize = 0; half < 2; half++) {
    const from = lanes + half * 128, to = out + half * (BLOCK * 8);
    const s = sums4(joined(from), joined(from + 32), joined(from + 64), joined(from + 96));
    v128.store64_lane(to, s, 0);
    v128.store64_lane(to, s, 1, BLOCK * 4);
  }
}

/** The scores of query i to weights, with the rescaling of what it has summed so far. */
function soften(tile: Tile, i: i32, n: i32): void {
  const p = tile.p + (<usize>(i * BLOCK) << 2);
  const limit = max(0, min(n, load<i32>(tile.limit + (<usize>i << 2))));
  if (limit == 0) {
    memory.fill(p, 0, <usize>n << 2);
    return;
  }
  const topAt = tile.top + (<usize>i << 2), sumAt = tile.sum + (<usize>i << 2);
  const before = load<f32>(topAt);
  let top = before;
  let total: f32 = 0;
  if (ASC_FEATURE_SIMD) {
    // A row of p has room for whole pairs of vectors.
    for (let j = limit; j < up8(n); j++) store<f32>(p + (<usize>j << 2), -Infinity);
    const bytes = <usize>up8(n) << 2;
    top = largest(p, bytes, before);
    const base = f32x4.splat(top);
    let s = zero(), t = s;
    for (let j: usize = 0; j < bytes; j += 32) {
      const e = exp4(f32x4.sub(v128.load(p + j), base)), f = exp4(f32x4.sub(v128.load(p + j, 16), base));
      v128.store(p + j, e), v128.store(p + j, f, 16);
    }
    for (let j: usize = 0; j < bytes; j += 32) {
      s = f32x4.add(s, v128.load(p + j)), t = f32x4.add(t, v128.load(p + j, 16));
    }
    total = sum4(f32x4.add(s, t));
  } else {
    for (let j: usize = 0; j < <usize>limit << 2; j += 4) top = max(top, load<f32>(p + j));
    for (let j: usize = 0; j < <usize>n << 2; j += 4) {
      const e: f32 = j < <usize>limit << 2 ? exp1(load<f32>(p + j) - top) : 0;
      store<f32>(p + j, e);
      total += e;
    }
  }
  if (top != before) {
    const shrink = exp1(before - top);
    store<f32>(sumAt, load<f32>(sumAt) * shrink);
    store<f32>(topAt, top);
    const o = tile.o + (<usize>(i * tile.dv) << 2);
    for (let c: usize = 0; c < <usize>tile.dv << 2; c += 4) store<f32>(o + c, load<f32>(o + c) * shrink);
  }
  store<f32>(sumAt, load<f32>(sumAt) + total);
}

/** o += p v: four queries by eight columns at a time. */
function weigh(tile: Tile, values: usize, stride: usize, n: i32): void {
  const dv = tile.dv;
  const row = <usize>dv << 2;
  for (let i = 0; i < tile.rows; i += 4) {
    const p = tile.p + (<usize>(i * BLOCK) << 2);
    const o = tile.o + <usize>i * row;
    let c: usize = 0;
    if (ASC_FEATURE_SIMD) {
      if (tile.wide) for (; c + 64 <= row; c += 64) weigh4x16(p, o + c, row, values + c, stride, n);
      for (; c + 32 <= row; c += 32) {
        const o0 = o + c, o1 = o0 + row, o2 = o1 + row, o3 = o2 + row;
        let a0 = v128.load(o0), b0 = v128.load(o0, 16), a1 = v128.load(o1), b1 = v128.load(o1, 16);
        let a2 = v128.load(o2), b2 = v128.load(o2, 16), a3 = v128.load(o3), b3 = v128.load(o3, 16);
        let v = values + c;
        for (let pj = p, e = p + (<usize>n << 2); pj < e; pj += 4, v += stride) {
          const u = v128.load(v), w = v128.load(v, 16);
          const p0 = v128.load32_splat(pj);
          a0 = madd(u, p0, a0);
          b0 = madd(w, p0, b0);
          const p1 = v128.load32_splat(pj, BLOCK * 4);
          a1 = madd(u, p1, a1);
          b1 = madd(w, p1, b1);
          const p2 = v128.load32_splat(pj, BLOCK * 8);
          a2 = madd(u, p2, a2);
          b2 = madd(w, p2, b2);
          const p3 = v128.load32_splat(pj, BLOCK * 12);
          a3 = madd(u, p3, a3);
          b3 = madd(w, p3, b3);
        }
        v128.store(o0, a0);
        v128.store(o0, b0, 16);
        v128.store(o1, a1);
        v128.store(o1, b1, 16);
        v128.store(o2, a2);
        v128.store(o2, b2, 16);
        v128.store(o3, a3);
        v128.store(o3, b3, 16);
      }
    }
    for (; c < row; c += 4) {
      for (let r = 0; r < min(4, tile.rows - i); r++) {
        const at = o + <usize>r * row + c;
        const pr = p + (<usize>(r * BLOCK) << 2);
        let s = load<f32>(at);
        for (let j = 0; j < n; j++) s += load<f32>(pr + (<usize>j << 2)) * load<f32>(values + <usize>j * stride + c);
        store<f32>(at, s);
      }
    }
  }
}

/** Four queries by sixteen columns, where vectors are joined to 256 bits. */
function weigh4x16(p: usize, o0: usize, row: usize, v: usize, stride: usize, n: i32): void {
  const o1 = o0 + row, o2 = o1 + row, o3 = o2 + row;
  let a0 = v128.load(o0), a1 = v128.load(o0, 16), a2 = v128.load(o0, 32), a3 = v128.load(o0, 48);
  let b0 = v128.load(o1), b1 = v128.load(o1, 16), b2 = v128.load(o1, 32), b3 = v128.load(o1, 48);
  let c0 = v128.load(o2), c1 = v128.load(o2, 16), c2 = v128.load(o2, 32), c3 = v128.load(o2, 48);
  let d0 = v128.load(o3), d1 = v128.load(o3, 16), d2 = v128.load(o3, 32), d3 = v128.load(o3, 48);
  for (const e = p + (<usize>n << 2); p < e; p += 4, v += stride) {
    const v0 = v128.load(v), v1 = v128.load(v, 16), v2 = v128.load(v, 32), v3 = v128.load(v, 48);
    const x = v128.load32_splat(p);
    a0 = madd(v0, x, a0), a1 = madd(v1, x, a1), a2 = madd(v2, x, a2), a3 = madd(v3, x, a3);
    const y = v128.load32_splat(p, BLOCK * 4);
    b0 = madd(v0, y, b0), b1 = madd(v1, y, b1), b2 = madd(v2, y, b2), b3 = madd(v3, y, b3);
    const z = v128.load32_splat(p, BLOCK * 8);
    c0 = madd(v0, z, c0), c1 = madd(v1, z, c1), c2 = madd(v2, z, c2), c3 = madd(v3, z, c3);
    const t = v128.load32_splat(p, BLOCK * 12);
    d0 = madd(v0, t, d0), d1 = madd(v1, t, d1), d2 = madd(v2, t, d2), d3 = madd(v3, t, d3);
  }
  v128.store(o0, a0), v128.store(o0, a1, 16), v128.store(o0, a2, 32), v128.store(o0, a3, 48);
  v128.store(o1, b0), v128.store(o1, b1, 16), v128.store(o1, b2, 32), v128.store(o1, b3, 48);
  v128.store(o2, c0), v128.store(o2, c1, 16), v128.store(o2, c2, 32), v128.store(o2, c3, 48);
  v128.store(o3, d0), v128.store(o3, d1, 16), v128.store(o3, d2, 32), v128.store(o3, d3, 48);
}

/** out = o / sum for query i. */
function finish(tile: Tile, i: i32, out: usize): void {
  const o = tile.o + (<usize>(i * tile.dv) << 2);
  const scale: f32 = 1 / load<f32>(tile.sum + (<usize>i << 2));
  for (let c: usize = 0; c < <usize>tile.dv << 2; c += 4) store<f32>(out + c, load<f32>(o + c) * scale);
}

/** The bytes of one partial result: o [16, C], top [16], sum [16]. */
// @ts-ignore: decorator
@inline
function partialBytes(C: i32): usize {
  return <usize>(HEADS * C + 2 * HEADS) << 2;
}

/**
 * Arguments: qLatent, qRope, T, H, C, R, qLatentStride, qLatentHead, qRopeStride, qRopeHead, pages, pageTable (i32),
 * rowsPerPage, rowBytes, pageBytes, format (0 f32, 1 bf16), scale, start (query t sees start + t + 1 rows), out,
 * outStride, outHead, splits, rowsPerSplit (a multiple of 32), partials, wide. Units are T x ceil(H / 16) x splits.
 */
export function latentAttention(args: usize, begin: i32, end: i32, scratch: usize): void {
  const H = arg(args, 3), C = arg(args, 4), R = arg(args, 5), pages = argPtr(args, 10), table = argPtr(args, 11);
  const pageRows = arg(args, 12), rowBytes = <usize>arg(args, 13), pageBytes = <usize>arg(args, 14), half = arg(args, 15);
  const scale = argF(args, 16), start = arg(args, 17), splits = arg(args, 21), splitRows = arg(args, 22);
  const tiles = (H + HEADS - 1) / HEADS;
  const dk = up8(C + R), wide = arg(args, 24);
  for (let u = begin; u < end; u++) {
    const split = u % splits, h0 = ((u / splits) % tiles) * HEADS, t = u / (splits * tiles);
    const rows = min(HEADS, H - h0);
    const tile = openTile(scratch, rows, dk, C, wide);
    for (let i = 0; i < rows; i++) {
      const h = <usize>(h0 + i), tt = <usize>t;
      const latent = argPtr(args, 0) + ((tt * <usize>arg(args, 6) + h * <usize>arg(args, 7)) << 2);
      const rope = argPtr(args, 1) + ((tt * <usize>arg(args, 8) + h * <usize>arg(args, 9)) << 2);
      setQuery(tile, i, 0, latent, C, scale);
      setQuery(tile, i, C, rope, R, scale);
    }
    const sees = start + t + 1;
    const last = splits == 1 ? sees : min(sees, (split + 1) * splitRows);
    for (let r = split * splitRows; r < last; ) {
      const inPage = r % pageRows;
      const n = min(min(BLOCK, last - r), pageRows - inPage);
      const from = pages + <usize>load<u32>(table + (<usize>(r / pageRows) << 2)) * pageBytes + <usize>inPage * rowBytes;
      for (let i: usize = 0; i < <usize>rows; i++) store<i32>(tile.limit + (i << 2), n);
      if (!half && dk == C + R) {
        attend(tile, from, rowBytes, from, rowBytes, n);
      } else {
        for (let j = 0; j < n; j++) {
          const to = tile.block + (<usize>(j * dk) << 2);
          const row = from + <usize>j * rowBytes;
          if (half) decodeBf16(row, to, C + R);
          else memory.copy(to, row, <usize>(C + R) << 2);
          for (let c = C + R; c < dk; c++) store<f32>(to + (<usize>c << 2), 0);
        }
        attend(tile, tile.block, <usize>dk << 2, tile.block, <usize>dk << 2, n);
      }
      r += n;
    }
    if (splits == 1) {
      for (let i = 0; i < rows; i++) {
        const o = (<usize>t * <usize>arg(args, 19) + <usize>(h0 + i) * <usize>arg(args, 20)) << 2;
        finish(tile, i, argPtr(args, 18) + o);
      }
    } else {
      const to = argPtr(args, 23) + <usize>u * partialBytes(C);
      memory.copy(to, tile.o, <usize>(rows * C) << 2);
      memory.copy(to + (<usize>(HEADS * C) << 2), tile.top, HEADS * 4);
      memory.copy(to + (<usize>(HEADS * C + HEADS) << 2), tile.sum, HEADS * 4);
    }
  }
}

/** Joins the splits. Arguments: partials, H, C, splits, out, outStride, outHead. Units are T x H. */
export function combineAttention(args: usize, begin: i32, end: i32): void {
  const partials = argPtr(args, 0), H = arg(args, 1), C = arg(args, 2), splits = arg(args, 3), out = argPtr(args, 4);
  const outStride = <usize>arg(args, 5), outHead = <usize>arg(args, 6);
  const tiles = (H + HEADS - 1) / HEADS;
  for (let u = begin; u < end; u++) {
    const t = u / H, h = u % H;
    const first = partials + <usize>((t * tiles + h / HEADS) * splits) * partialBytes(C);
    const i = h % HEADS;
    const topAt = <usize>(HEADS * C + i) << 2, sumAt = topAt + HEADS * 4;
    let top: f32 = -Infinity;
    for (let s = 0; s < splits; s++) top = max(top, load<f32>(first + <usize>s * partialBytes(C) + topAt));
    const o = out + ((<usize>t * outStride + <usize>h * outHead) << 2);
    memory.fill(o, 0, <usize>C << 2);
    let sum: f32 = 0;
    for (let s = 0; s < splits; s++) {
      const part = first + <usize>s * partialBytes(C);
      // A split beyond what the query sees has summed nothing.
      if (load<f32>(part + sumAt) == 0) continue;
      const weight = exp1(load<f32>(part + topAt) - top);
      sum += load<f32>(part + sumAt) * weight;
      const from = part + (<usize>(i * C) << 2);
      for (let c: usize = 0; c < <usize>C << 2; c += 4) store<f32>(o + c, load<f32>(o + c) + load<f32>(from + c) * weight);
    }
    // The reciprocal, as `finish` does: with one split that counts the result is the same to the bit.
    const scale: f32 = 1 / sum;
    for (let c: usize = 0; c < <usize>C << 2; c += 4) store<f32>(o + c, load<f32>(o + c) * scale);
  }
}

/**
 * Arguments: q ([T, H, Dn + R]), qStride, qHead, T, H, Dn, R, kNope, kStride, kHead, kRope, kRopeStride, kRopeHead (0:
 * shared by the heads), v, vStride, vHead, Dv, start (query t sees keys 0 .. start + t), scale, out, outStride, outHead, wide.
 * Units are H x ceil(T / 32), the longest first.
 */
export function causalAttention(args: usize, begin: i32, end: i32, scratch: usize): void {
  const q = argPtr(args, 0), T = arg(args, 3), Dn = arg(args, 5), R = arg(args, 6), Dv = arg(args, 16);
  const H = arg(args, 4), start = arg(args, 17), scale = argF(args, 18);
  const kStride = <usize>arg(args, 8) << 2, kRopeStride = <usize>arg(args, 11) << 2, vStride = <usize>arg(args, 14) << 2;
  const tiles = (T + QUERIES - 1) / QUERIES;
  const dk = up8(Dn + R), wide = arg(args, 22);
  for (let u = begin; u < end; u++) {
    const h = <usize>(u % H), t0 = (tiles - 1 - u / H) * QUERIES;
    const rows = min(QUERIES, T - t0);
    const tile = openTile(scratch, rows, dk, Dv, wide);
    for (let i = 0; i < rows; i++) {
      const from = q + ((<usize>(t0 + i) * <usize>arg(args, 1) + h * <usize>arg(args, 2)) << 2);
      setQuery(tile, i, 0, from, Dn + R, scale);
    }
    const kNope = argPtr(args, 7) + (h * <usize>arg(args, 9) << 2);
    const kRope = argPtr(args, 10) + (h * <usize>arg(args, 12) << 2);
    const v = argPtr(args, 13) + (h * <usize>arg(args, 15) << 2);
    const last = start + t0 + rows;
    for (let s = 0; s < last; s += BLOCK) {
      const n = min(BLOCK, last - s);
      for (let j = 0; j < n; j++) {
        const to = tile.block + (<usize>(j * dk) << 2);
        memory.copy(to, kNope + <usize>(s + j) * kStride, <usize>Dn << 2);
        memory.copy(to + (<usize>Dn << 2), kRope + <usize>(s + j) * kRopeStride, <usize>R << 2);
        for (let c = Dn + R; c < dk; c++) store<f32>(to + (<usize>c << 2), 0);
      }
      for (let i = 0; i < rows; i++) store<i32>(tile.limit + (<usize>i << 2), start + t0 + i + 1 - s);
      attend(tile, tile.block, <usize>dk << 2, v + <usize>s * vStride, vStride, n);
    }
    for (let i = 0; i < rows; i++) {
      const o = (<usize>(t0 + i) * <usize>arg(args, 20) + h * <usize>arg(args, 21)) << 2;
      finish(tile, i, argPtr(args, 19) + o);
    }
  }
}
