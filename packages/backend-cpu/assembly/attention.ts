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
import { arg, argF, argPtr, madd, max4, sum4, sums4, zero } from './simd';
import { SCRATCH_WORK } from './scratch';

export const HEADS: i32 = 16;
export const QUERIES: i32 = 32;
const BLOCK: i32 = 32;

/** A tile of queries at work. The pointers are into the scratch block; `dk` is padded to 4. */
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
}

// @ts-ignore: decorator
@inline
function up4(n: i32): i32 {
  return (n + 3) & ~3;
}

function openTile(scratch: usize, rows: i32, dk: i32, dv: i32): Tile {
  const tile = changetype<Tile>(scratch + SCRATCH_WORK);
  const padded = up4(rows);
  tile.rows = rows;
  tile.dk = dk;
  tile.dv = dv;
  let at = scratch + SCRATCH_WORK + 64;
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

/** p = q k^T: four queries by two keys at a time. */
function scores(tile: Tile, keys: usize, stride: usize, n: i32): void {
  const bytes = <usize>tile.dk << 2;
  for (let i = 0; i < tile.rows; i += 4) {
    const q = tile.q + <usize>i * bytes;
    const p = tile.p + (<usize>(i * BLOCK) << 2);
    if (ASC_FEATURE_SIMD) {
      for (let j = 0; j < n; j += 2) {
        const k0 = keys + <usize>j * stride;
        const k1 = keys + <usize>min(j + 1, n - 1) * stride;
        let a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero(), b0 = zero(), b1 = zero(), b2 = zero(), b3 = zero();
        const q1 = q + bytes, q2 = q1 + bytes, q3 = q2 + bytes;
        for (let c: usize = 0; c < bytes; c += 16) {
          const u = v128.load(k0 + c), w = v128.load(k1 + c);
          const x0 = v128.load(q + c);
          a0 = madd(x0, u, a0);
          b0 = madd(x0, w, b0);
          const x1 = v128.load(q1 + c);
          a1 = madd(x1, u, a1);
          b1 = madd(x1, w, b1);
          const x2 = v128.load(q2 + c);
          a2 = madd(x2, u, a2);
          b2 = madd(x2, w, b2);
          const x3 = v128.load(q3 + c);
          a3 = madd(x3, u, a3);
          b3 = madd(x3, w, b3);
        }
        const s = sums4(a0, a1, a2, a3), r = sums4(b0, b1, b2, b3);
        const at = p + (<usize>j << 2);
        // With n odd, the second column of the last pair is beyond n, inside the row of 32, and never read.
        store<f32>(at, f32x4.extract_lane(s, 0));
        store<f32>(at, f32x4.extract_lane(s, 1), BLOCK * 4);
        store<f32>(at, f32x4.extract_lane(s, 2), BLOCK * 8);
        store<f32>(at, f32x4.extract_lane(s, 3), BLOCK * 12);
        store<f32>(at, f32x4.extract_lane(r, 0), 4);
        store<f32>(at, f32x4.extract_lane(r, 1), BLOCK * 4 + 4);
        store<f32>(at, f32x4.extract_lane(r, 2), BLOCK * 8 + 4);
        store<f32>(at, f32x4.extract_lane(r, 3), BLOCK * 12 + 4);
      }
    } else {
      for (let r = 0; r < 4; r++) {
        const qr = q + <usize>r * bytes;
        for (let j = 0; j < n; j++) {
          const kj = keys + <usize>j * stride;
          let s: f32 = 0, u: f32 = 0;
          for (let c: usize = 0; c < bytes; c += 8) {
            s += load<f32>(qr + c) * load<f32>(kj + c);
            u += load<f32>(qr + c, 4) * load<f32>(kj + c, 4);
          }
          store<f32>(p + (<usize>(r * BLOCK + j) << 2), s + u);
        }
      }
    }
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
    for (let j = limit; j < up4(n); j++) store<f32>(p + (<usize>j << 2), -Infinity);
    const bytes = <usize>up4(n) << 2;
    let m = f32x4.splat(before);
    for (let j: usize = 0; j < bytes; j += 16) m = f32x4.max(m, v128.load(p + j));
    top = max4(m);
    const base = f32x4.splat(top);
    let s = zero();
    for (let j: usize = 0; j < bytes; j += 16) {
      const e = exp4(f32x4.sub(v128.load(p + j), base));
      v128.store(p + j, e);
      s = f32x4.add(s, e);
    }
    total = sum4(s);
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
 * outStride, outHead, splits, rowsPerSplit (a multiple of 32), partials. Units are T x ceil(H / 16) x splits.
 */
export function latentAttention(args: usize, begin: i32, end: i32, scratch: usize): void {
  const H = arg(args, 3), C = arg(args, 4), R = arg(args, 5), pages = argPtr(args, 10), table = argPtr(args, 11);
  const pageRows = arg(args, 12), rowBytes = <usize>arg(args, 13), pageBytes = <usize>arg(args, 14), half = arg(args, 15);
  const scale = argF(args, 16), start = arg(args, 17), splits = arg(args, 21), splitRows = arg(args, 22);
  const tiles = (H + HEADS - 1) / HEADS;
  const dk = up4(C + R);
  for (let u = begin; u < end; u++) {
    const split = u % splits, h0 = ((u / splits) % tiles) * HEADS, t = u / (splits * tiles);
    const rows = min(HEADS, H - h0);
    const tile = openTile(scratch, rows, dk, C);
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
 * shared by the heads), v, vStride, vHead, Dv, start (query t sees keys 0 .. start + t), scale, out, outStride, outHead.
 * Units are H x ceil(T / 32), the longest first.
 */
export function causalAttention(args: usize, begin: i32, end: i32, scratch: usize): void {
  const q = argPtr(args, 0), T = arg(args, 3), Dn = arg(args, 5), R = arg(args, 6), Dv = arg(args, 16);
  const H = arg(args, 4), start = arg(args, 17), scale = argF(args, 18);
  const kStride = <usize>arg(args, 8) << 2, kRopeStride = <usize>arg(args, 11) << 2, vStride = <usize>arg(args, 14) << 2;
  const tiles = (T + QUERIES - 1) / QUERIES;
  const dk = up4(Dn + R);
  for (let u = begin; u < end; u++) {
    const h = <usize>(u % H), t0 = (tiles - 1 - u / H) * QUERIES;
    const rows = min(QUERIES, T - t0);
    const tile = openTile(scratch, rows, dk, Dv);
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
