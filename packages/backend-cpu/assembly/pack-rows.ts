/**
 * Weights that a file holds as integers, row by row, to the panels of `quantize.ts`, as loading does with every weight
 * of a converted checkpoint. Sixteen bytes of sixteen rows are turned in registers, by units of two bytes (PAIR) or four
 * (QUAD): written unit by unit, a panel takes longer than reading it from the file.
 *
 * Arguments of both kernels: src, srcScales [N, groups], N, K, Kp, group, dst, scaleDst, layout, offset (INT8 only).
 * Units are panels. A row of INT4 has ceil(K / 2) bytes, the low nibble first.
 */
import { PAIR, PANEL, groupsOf, putInt4, putInt8 } from './quantize';
import { arg, argPtr } from './simd';
import { SCRATCH_WORK } from './scratch';

export function packInt8Rows(args: usize, begin: i32, end: i32, scratch: usize): void {
  const src = argPtr(args, 0), N = arg(args, 2), K = arg(args, 3), Kp = arg(args, 4), dst = argPtr(args, 6);
  const layout = arg(args, 8), offset = arg(args, 9);
  for (let p = begin; p < end; p++) {
    const panel = dst + <usize>p * <usize>Kp * PANEL;
    if (ASC_FEATURE_SIMD) turnPanel(src, N, K, p, panel, Kp, layout, offset ? 0x80 : 0, 0, 0);
    else {
      const buffer = scratch + SCRATCH_WORK;
      for (let i = 0; i < PANEL; i++) {
        const row = paddedRow(src, N, K, p * PANEL + i, Kp, 0, buffer);
        for (let k = 0; k < Kp; k += 4) putInt8(panel, i, k, load<u32>(row + k), layout, offset);
      }
    }
    copyScales(args, p, N, groupsOf(Kp, arg(args, 5)));
  }
}

export function packInt4Rows(args: usize, begin: i32, end: i32, scratch: usize): void {
  const src = argPtr(args, 0), N = arg(args, 2), K = arg(args, 3), Kp = arg(args, 4), dst = argPtr(args, 6);
  const layout = arg(args, 8), rowBytes = (K + 1) >> 1;
  for (let p = begin; p < end; p++) {
    const panel = dst + <usize>p * (<usize>Kp * PANEL >> 1);
    if (ASC_FEATURE_SIMD) turnPanel(src, N, rowBytes, p, panel, Kp >> 1, layout, 0, 0x88, 1);
    else {
      const buffer = scratch + SCRATCH_WORK;
      for (let i = 0; i < PANEL; i++) {
        const row = paddedRow(src, N, rowBytes, p * PANEL + i, Kp >> 1, 0x88, buffer);
        for (let k = 0; k < Kp; k += 8) {
          const word = load<u32>(row + <usize>(k >> 1));
          putInt4(panel, i, k, <u64>spreadNibbles(word & 0xffff) | (<u64>spreadNibbles(word >> 16) << 32), layout);
        }
      }
    }
    copyScales(args, p, N, groupsOf(Kp, arg(args, 5)));
  }
}

/** Row r, in `buffer` with `fill` behind it if it is shorter than `bytes` or beyond N. */
function paddedRow(src: usize, N: i32, rowBytes: i32, r: i32, bytes: i32, fill: u8, buffer: usize): usize {
  const row = src + <usize>r * <usize>rowBytes;
  const have = r < N ? rowBytes : 0;
  if (have == bytes) return row;
  memory.copy(buffer, row, have);
  memory.fill(buffer + have, fill, bytes - have);
  return buffer;
}

function copyScales(args: usize, p: i32, N: i32, groups: i32): void {
  const src = argPtr(args, 1), dst = argPtr(args, 7) + <usize>p * <usize>groups * (PANEL * 4);
  for (let i = 0; i < PANEL; i++) {
    const r = p * PANEL + i;
    for (let g = 0; g < groups; g++) {
      const s = r < N ? load<f32>(src + (<usize>r * groups + g << 2)) : <f32>0;
      store<f32>(dst + (<usize>(g * PANEL + i) << 2), s);
    }
  }
}

/** Nibbles 0 1 2 3 to the low halves of four bytes. */
// @ts-ignore: decorator
@inline
function spreadNibbles(n: u32): u32 {
  return (n & 0xf) | ((n & 0xf0) << 4) | ((n & 0xf00) << 8) | ((n & 0xf000) << 12);
}

/** Rows of `rowBytes` bytes to a panel of rows of `bytes`, a multiple of 16. */
function turnPanel(
  src: usize, N: i32, rowBytes: i32, p: i32, panel: usize, bytes: i32, layout: i32, flip: u8, fill: u8, nibbles: i32,
): void {
  const step = layout == PAIR ? 8 : 4;
  for (let i = 0; i < PANEL; i += step) {
    const r = p * PANEL + i;
    const row = src + <usize>r * <usize>rowBytes;
    const to = panel + <usize>i * (layout == PAIR ? 2 : 4);
    for (let c = 0; c < bytes; c += 16) {
      const at = row + c, out = to + <usize>c * PANEL;
      const whole = r + step <= N && c + 16 <= rowBytes;
      if (layout == PAIR) turnPairs(at, rowBytes, out, whole ? 8 : N - r, whole ? 16 : rowBytes - c, flip, fill, nibbles);
      else turnQuads(at, rowBytes, out, whole ? 4 : N - r, whole ? 16 : rowBytes - c, flip, fill, nibbles);
    }
  }
}

/**
 * 16 bytes of a row, of which `have` are there. What lies beyond is read with them, inside the memory, and left out.
 */
// @ts-ignore: decorator
@inline
function piece(at: usize, isRow: bool, have: i32, flip: u8, fill: u8): v128 {
  let v = i8x16.splat(fill);
  if (isRow && have > 0) {
    v = v128.load(at);
    if (have < 16) {
      const count = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      v = v128.bitselect(v, i8x16.splat(fill), i8x16.lt_u(count, i8x16.splat(<i8>have)));
    }
  }
  return v128.xor(v, i8x16.splat(flip));
}

/** Nibbles 0 1 2 3 of each half word to 0 2 1 3. */
// @ts-ignore: decorator
@inline
function swapInner(v: v128): v128 {
  const outer = v128.and(v, i16x8.splat(<i16>0xf00f));
  const up = i16x8.shl(v128.and(v, i16x8.splat(0x00f0)), 4);
  return v128.or(outer, v128.or(up, v128.and(i16x8.shr_u(v, 4), i16x8.splat(0x00f0))));
}

/** Nibbles 0 .. 7 of each word to 0 4 1 5 2 6 3 7. */
// @ts-ignore: decorator
@inline
function halves(v: v128): v128 {
  return swapInner(v128.shuffle<i8>(v, v, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
}

/** Eight rows of eight half words, turned: column j goes to out + 32 j. */
function turnPairs(at: usize, stride: usize, out: usize, rows: i32, have: i32, flip: u8, fill: u8, nibbles: i32): void {
  let a = piece(at, rows > 0, have, flip, fill), b = piece(at + stride, rows > 1, have, flip, fill);
  let c = piece(at + 2 * stride, rows > 2, have, flip, fill), d = piece(at + 3 * stride, rows > 3, have, flip, fill);
  let e = piece(at + 4 * stride, rows > 4, have, flip, fill), f = piece(at + 5 * stride, rows > 5, have, flip, fill);
  let g = piece(at + 6 * stride, rows > 6, have, flip, fill), h = piece(at + 7 * stride, rows > 7, have, flip, fill);
  if (nibbles) {
    a = swapInner(a), b = swapInner(b), c = swapInner(c), d = swapInner(d);
    e = swapInner(e), f = swapInner(f), g = swapInner(g), h = swapInner(h);
  }
  const ab0 = v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11), ab1 = v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  const cd0 = v128.shuffle<i16>(c, d, 0, 8, 1, 9, 2, 10, 3, 11), cd1 = v128.shuffle<i16>(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
  const ef0 = v128.shuffle<i16>(e, f, 0, 8, 1, 9, 2, 10, 3, 11), ef1 = v128.shuffle<i16>(e, f, 4, 12, 5, 13, 6, 14, 7, 15);
  const gh0 = v128.shuffle<i16>(g, h, 0, 8, 1, 9, 2, 10, 3, 11), gh1 = v128.shuffle<i16>(g, h, 4, 12, 5, 13, 6, 14, 7, 15);
  putPairs(ab0, cd0, ef0, gh0, out);
  putPairs(ab1, cd1, ef1, gh1, out + 128);
}

/** Four columns. */
// @ts-ignore: decorator
@inline
function putPairs(ab: v128, cd: v128, ef: v128, gh: v128, out: usize): void {
  const p = v128.shuffle<i32>(ab, cd, 0, 4, 1, 5), q = v128.shuffle<i32>(ef, gh, 0, 4, 1, 5);
  const s = v128.shuffle<i32>(ab, cd, 2, 6, 3, 7), t = v128.shuffle<i32>(ef, gh, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(p, q, 0, 2));
  v128.store(out, v128.shuffle<i64>(p, q, 1, 3), 32);
  v128.store(out, v128.shuffle<i64>(s, t, 0, 2), 64);
  v128.store(out, v128.shuffle<i64>(s, t, 1, 3), 96);
}

/** Four rows of four words, turned: column j goes to out + 64 j. */
function turnQuads(at: usize, stride: usize, out: usize, rows: i32, have: i32, flip: u8, fill: u8, nibbles: i32): void {
  let a = piece(at, rows > 0, have, flip, fill), b = piece(at + stride, rows > 1, have, flip, fill);
  let c = piece(at + 2 * stride, rows > 2, have, flip, fill), d = piece(at + 3 * stride, rows > 3, have, flip, fill);
  if (nibbles) a = halves(a), b = halves(b), c = halves(c), d = halves(d);
  const p = v128.shuffle<i32>(a, b, 0, 4, 1, 5), q = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const s = v128.shuffle<i32>(a, b, 2, 6, 3, 7), t = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(p, q, 0, 2));
  v128.store(out, v128.shuffle<i64>(p, q, 1, 3), 64);
  v128.store(out, v128.shuffle<i64>(s, t, 0, 2), 128);
  v128.store(out, v128.shuffle<i64>(s, t, 1, 3), 192);
}
