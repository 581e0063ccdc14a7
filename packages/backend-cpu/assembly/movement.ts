/** Words from one place to another: strided copies, transposition in squares of 16 by 16, and rows added at places. */
import { arg, argPtr } from './simd';

/** Side of a square: a cache line of words. */
const SQUARE: i32 = 16;

/** Columns of a unit of `scatterAdd`. */
const STRIP: i32 = 64;

/** Copies rows of words. Arguments: x, y, columns, and the words from row to row of x and of y. Units are rows. */
export function copyRows(args: usize, begin: i32, end: i32): void {
  const bytes = <usize>arg(args, 2) << 2, xRow = <usize>arg(args, 3) << 2, yRow = <usize>arg(args, 4) << 2;
  let x = argPtr(args, 0) + <usize>begin * xRow, y = argPtr(args, 1) + <usize>begin * yRow;
  for (let t = begin; t < end; t++) {
    if (bytes > 2048) memory.copy(y, x, bytes);
    else {
      let k: usize = 0;
      if (ASC_FEATURE_SIMD) for (; k + 16 <= bytes; k += 16) v128.store(y + k, v128.load(x + k));
      for (; k < bytes; k += 4) store<u32>(y + k, load<u32>(x + k));
    }
    x += xRow;
    y += yRow;
  }
}

/** y[c, r] = x[r, c] for words. Arguments: x, y, rows and columns of x, and the words from row to row of x and of y. Units are 16 rows of y. */
export function transpose(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), y = argPtr(args, 1), rows = arg(args, 2), columns = arg(args, 3);
  const xRow = <usize>arg(args, 4) << 2, yRow = <usize>arg(args, 5) << 2;
  for (let u = begin; u < end; u++) {
    const c0 = u * SQUARE, c1 = min(columns, c0 + SQUARE);
    for (let r0 = 0; r0 < rows; r0 += SQUARE) {
      square(x + <usize>r0 * xRow, y + (<usize>r0 << 2), min(SQUARE, rows - r0), c0, c1, xRow, yRow);
    }
  }
}

function square(x: usize, y: usize, rows: i32, c0: i32, c1: i32, xRow: usize, yRow: usize): void {
  let c = c0;
  if (ASC_FEATURE_SIMD) {
    for (; c + 4 <= c1; c += 4) {
      const to = y + <usize>c * yRow;
      let from = x + (<usize>c << 2);
      let r = 0;
      for (; r + 4 <= rows; r += 4, from += 4 * xRow) {
        const a = v128.load(from), b = v128.load(from + xRow), d = v128.load(from + 2 * xRow), e = v128.load(from + 3 * xRow);
        const p = v128.shuffle<i32>(a, b, 0, 4, 1, 5), q = v128.shuffle<i32>(d, e, 0, 4, 1, 5);
        const s = v128.shuffle<i32>(a, b, 2, 6, 3, 7), t = v128.shuffle<i32>(d, e, 2, 6, 3, 7);
        const o = to + (<usize>r << 2);
        v128.store(o, v128.shuffle<i32>(p, q, 0, 1, 4, 5));
        v128.store(o + yRow, v128.shuffle<i32>(p, q, 2, 3, 6, 7));
        v128.store(o + 2 * yRow, v128.shuffle<i32>(s, t, 0, 1, 4, 5));
        v128.store(o + 3 * yRow, v128.shuffle<i32>(s, t, 2, 3, 6, 7));
      }
      for (; r < rows; r++) for (let j = 0; j < 4; j++) move(x, y, r, c + j, xRow, yRow);
    }
  }
  for (; c < c1; c++) for (let r = 0; r < rows; r++) move(x, y, r, c, xRow, yRow);
}

// @ts-ignore: decorator
@inline
function move(x: usize, y: usize, r: i32, c: i32, xRow: usize, yRow: usize): void {
  store<u32>(y + <usize>c * yRow + (<usize>r << 2), load<u32>(x + <usize>r * xRow + (<usize>c << 2)));
}

/**
 * y[rows[i]] += x[i] in the order of i, on zeros. Arguments: x, rows (i32), how many, y, rows of y, width. Units are strips
 * of 64 columns: whatever the threads, each sum has its terms in their order.
 */
export function scatterAdd(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), list = argPtr(args, 1), count = arg(args, 2), y = argPtr(args, 3), rows = arg(args, 4);
  const width = arg(args, 5), stride = <usize>width << 2;
  const from = <usize>(begin * STRIP) << 2, bytes = (<usize>min(end * STRIP, width) << 2) - from;
  if (bytes == stride) memory.fill(y, 0, <usize>rows * stride);
  else for (let r: usize = 0; r < <usize>rows; r++) memory.fill(y + r * stride + from, 0, bytes);
  for (let i: usize = 0; i < <usize>count; i++) {
    const to = y + <usize>load<i32>(list + (i << 2)) * stride + from, source = x + i * stride + from;
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      for (; k + 16 <= bytes; k += 16) v128.store(to + k, f32x4.add(v128.load(to + k), v128.load(source + k)));
    }
    for (; k < bytes; k += 4) store<f32>(to + k, load<f32>(to + k) + load<f32>(source + k));
  }
}
