/**
 * The handful of vector idioms that every kernel is built from, so that the kernels read as what they compute.
 * Everything here is inlined; nothing touches memory that it was not given.
 */

/** a * b + c; one rounding where the build has relaxed SIMD and the machine has FMA, two otherwise. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c - a * b, as `madd`. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

// @ts-ignore: decorator
@inline
export function zero(): v128 {
  return i32x4.splat(0);
}

/** The sum of the four lanes. */
// @ts-ignore: decorator
@inline
export function sum4(a: v128): f32 {
  const b = f32x4.add(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
  return f32x4.extract_lane(b, 0) + f32x4.extract_lane(b, 1);
}

/** [sum(a), sum(b), sum(c), sum(d)]: the end of four dot products. */
// @ts-ignore: decorator
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** The sum of two neighbouring vectors in memory, where an engine that joins vectors has put them as one. */
// @ts-ignore: decorator
@inline
export function joined(at: usize): v128 {
  return f32x4.add(v128.load(at), v128.load(at, 16));
}

/** The largest lane, as signed integers; the bits of floats without their sign are ordered like them, NaN above all. */
// @ts-ignore: decorator
@inline
export function max4i(a: v128): i32 {
  const b = i32x4.max_s(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1));
  return max(i32x4.extract_lane(b, 0), i32x4.extract_lane(b, 1));
}

/** The largest lane. */
// @ts-ignore: decorator
@inline
export function max4(a: v128): f32 {
  const b = f32x4.max(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
  return max(f32x4.extract_lane(b, 0), f32x4.extract_lane(b, 1));
}

/**
 * The largest of `start` and the f32 vectors in `bytes` (a multiple of 16) from x on. It passes over NaN, which costs a
 * fraction of minding it: for those who take exponentials next, where a NaN shows anyway.
 */
export function largest(x: usize, bytes: usize, start: f32): f32 {
  let a = f32x4.splat(start), b = a;
  const end = x + bytes;
  for (; x + 32 <= end; x += 32) a = f32x4.pmax(a, v128.load(x)), b = f32x4.pmax(b, v128.load(x, 16));
  if (x < end) a = f32x4.pmax(a, v128.load(x));
  return max4(f32x4.pmax(a, b));
}

// @ts-ignore: decorator
@inline
export function arg(args: usize, index: i32): i32 {
  return load<i32>(args + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline
export function argPtr(args: usize, index: i32): usize {
  return <usize>load<u32>(args + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline
export function argF(args: usize, index: i32): f32 {
  return load<f32>(args + (<usize>index << 2));
}

/** Row `t` of a [T, stride] f32 matrix, through an optional list of row numbers. */
// @ts-ignore: decorator
@inline
export function rowAt(base: usize, stride: i32, rows: usize, t: i32): usize {
  const r = rows ? load<i32>(rows + (<usize>t << 2)) : t;
  return base + (<usize>r * <usize>stride << 2);
}
