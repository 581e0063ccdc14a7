/** What products with panels of INT8 and INT4 share: where a token's record is, and how sixteen results are stored. */
import { groupsOf } from './quantize';

/** The record of token t, through an optional list of record numbers. */
// @ts-ignore: decorator
@inline
export function recordAt(x: usize, record: usize, rows: usize, t: i32): usize {
  return x + <usize>(rows ? load<i32>(rows + (<usize>t << 2)) : t) * record;
}

/** The bytes of a record before its integers. */
// @ts-ignore: decorator
@inline
export function headBytes(Kp: i32): usize {
  return <usize>(groupsOf(Kp, 128) + (Kp >> 5)) << 2;
}

/** The sum of the integers k0..k0 + len of a record; both multiples of 32. */
// @ts-ignore: decorator
@inline
export function groupSum(sums: usize, k0: i32, len: i32): i32 {
  let sum = 0;
  for (let k = k0; k < k0 + len; k += 32) sum += load<i32>(sums + (<usize>(k >> 5) << 2));
  return sum;
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
