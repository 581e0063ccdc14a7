/**
 * Elementwise functions of one and two f32 tensors, with broadcasting: what training and the default bodies of the
 * composites spend their time in. A loop for each function, so that none is chosen inside. All are rounded as IEEE 754
 * has it, but `exp` and what is made of it (`wide-exp.ts`).
 */
import { ONE, constant } from './constants';
import { expOf1, expOf4 } from './wide-exp';
import { arg, argPtr, zero } from './simd';

/** Elements in a unit where there are no rows. */
const BLOCK: i32 = 4096;

const ADD: i32 = 0;
const SUB: i32 = 1;
const MUL: i32 = 2;
const DIV: i32 = 3;
const MAX: i32 = 4;
const MIN: i32 = 5;
const EQUAL: i32 = 6;
const LESS: i32 = 7;
const LESS_EQUAL: i32 = 8;

/**
 * y = op(a, b) in three loops: rows of `columns` elements, `middle` rows, and the rest; y is dense. Comparisons give i32
 * zeros and ones. Arguments: op, a, b, y, columns, rows, columns of the last row, middle, then for a and for b what one
 * turn of the inner loop (0 or 1), of the middle and of the outer one adds, in elements. Units are rows.
 */
export function binary(args: usize, begin: i32, end: i32): void {
  switch (arg(args, 0)) {
    case ADD: binaryRows(ADD, args, begin, end); break;
    case SUB: binaryRows(SUB, args, begin, end); break;
    case MUL: binaryRows(MUL, args, begin, end); break;
    case DIV: binaryRows(DIV, args, begin, end); break;
    case MAX: binaryRows(MAX, args, begin, end); break;
    case MIN: binaryRows(MIN, args, begin, end); break;
    case EQUAL: binaryRows(EQUAL, args, begin, end); break;
    case LESS: binaryRows(LESS, args, begin, end); break;
    case LESS_EQUAL: binaryRows(LESS_EQUAL, args, begin, end); break;
    default: unreachable();
  }
}

// @ts-ignore: decorator
@inline
function binaryRows(op: i32, args: usize, begin: i32, end: i32): void {
  const columns = <usize>arg(args, 4) << 2, rows = arg(args, 5), last = <usize>arg(args, 6) << 2, middle = arg(args, 7);
  const aStep = <usize>arg(args, 8), aRow = <usize>arg(args, 9) << 2, aOuter = <usize>arg(args, 10) << 2;
  const bStep = <usize>arg(args, 11), bRow = <usize>arg(args, 12) << 2, bOuter = <usize>arg(args, 13) << 2;
  let m = begin % middle;
  let aFar = argPtr(args, 1) + <usize>(begin / middle) * aOuter;
  let bFar = argPtr(args, 2) + <usize>(begin / middle) * bOuter;
  let a = aFar + <usize>m * aRow, b = bFar + <usize>m * bRow, y = argPtr(args, 3) + <usize>begin * columns;
  for (let t = begin; t < end; t++) {
    const bytes = t == rows - 1 ? last : columns;
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      if (aStep & bStep) {
        for (; k + 16 <= bytes; k += 16) v128.store(y + k, apply4(op, v128.load(a + k), v128.load(b + k)));
      } else if (aStep) {
        const v = v128.load32_splat(b);
        for (; k + 16 <= bytes; k += 16) v128.store(y + k, apply4(op, v128.load(a + k), v));
      } else {
        const v = v128.load32_splat(a);
        for (; k + 16 <= bytes; k += 16) v128.store(y + k, apply4(op, v, v128.load(b + k)));
      }
    }
    for (; k < bytes; k += 4) store<i32>(y + k, apply1(op, load<f32>(a + k * aStep), load<f32>(b + k * bStep)));
    y += columns;
    a += aRow;
    b += bRow;
    if (++m == middle) {
      m = 0;
      aFar += aOuter;
      bFar += bOuter;
      a = aFar;
      b = bFar;
    }
  }
}

// @ts-ignore: decorator
@inline
function apply4(op: i32, a: v128, b: v128): v128 {
  if (op == ADD) return f32x4.add(a, b);
  if (op == SUB) return f32x4.sub(a, b);
  if (op == MUL) return f32x4.mul(a, b);
  if (op == DIV) return f32x4.div(a, b);
  if (op == MAX) return f32x4.max(a, b);
  if (op == MIN) return f32x4.min(a, b);
  if (op == EQUAL) return i32x4.shr_u(f32x4.eq(a, b), 31);
  if (op == LESS) return i32x4.shr_u(f32x4.lt(a, b), 31);
  return i32x4.shr_u(f32x4.le(a, b), 31);
}

/** The bits of the result. */
// @ts-ignore: decorator
@inline
function apply1(op: i32, a: f32, b: f32): i32 {
  if (op == ADD) return reinterpret<i32>(a + b);
  if (op == SUB) return reinterpret<i32>(a - b);
  if (op == MUL) return reinterpret<i32>(a * b);
  if (op == DIV) return reinterpret<i32>(a / b);
  if (op == MAX) return reinterpret<i32>(max(a, b));
  if (op == MIN) return reinterpret<i32>(min(a, b));
  if (op == EQUAL) return i32(a == b);
  if (op == LESS) return i32(a < b);
  return i32(a <= b);
}

/**
 * y = test != 0 ? a : b for words, in three loops as `binary`. Arguments: test, a, b, y, columns, rows, columns of the last
 * row, middle, then the steps of test, of a and of b. Units are rows.
 */
export function choose(args: usize, begin: i32, end: i32): void {
  const columns = <usize>arg(args, 4) << 2, rows = arg(args, 5), last = <usize>arg(args, 6) << 2, middle = arg(args, 7);
  const tStep = <usize>arg(args, 8), tRow = <usize>arg(args, 9) << 2, tOuter = <usize>arg(args, 10) << 2;
  const aStep = <usize>arg(args, 11), aRow = <usize>arg(args, 12) << 2, aOuter = <usize>arg(args, 13) << 2;
  const bStep = <usize>arg(args, 14), bRow = <usize>arg(args, 15) << 2, bOuter = <usize>arg(args, 16) << 2;
  for (let r = begin; r < end; r++) {
    const outer = <usize>(r / middle), m = <usize>(r % middle), bytes = r == rows - 1 ? last : columns;
    const t = argPtr(args, 0) + outer * tOuter + m * tRow, a = argPtr(args, 1) + outer * aOuter + m * aRow;
    const b = argPtr(args, 2) + outer * bOuter + m * bRow, y = argPtr(args, 3) + <usize>r * columns;
    let k: usize = 0;
    if (ASC_FEATURE_SIMD) {
      const none = zero();
      for (; k + 16 <= bytes; k += 16) {
        const isB = i32x4.eq(words4(t, k, tStep), none);
        v128.store(y + k, v128.bitselect(words4(b, k, bStep), words4(a, k, aStep), isB));
      }
    }
    for (; k < bytes; k += 4) {
      store<i32>(y + k, load<i32>(t + k * tStep) ? load<i32>(a + k * aStep) : load<i32>(b + k * bStep));
    }
  }
}

// @ts-ignore: decorator
@inline
function words4(at: usize, k: usize, step: usize): v128 {
  return step ? v128.load(at + k) : v128.load32_splat(at);
}

const NEG: i32 = 0;
const ABS: i32 = 1;
const FLOOR: i32 = 2;
const CEIL: i32 = 3;
const SQRT: i32 = 4;
const RSQRT: i32 = 5;
const EXP: i32 = 6;
const SIGMOID: i32 = 7;

/** y = op(x). Arguments: op, x, y, n. Units are blocks of 4096 elements. */
export function unary(args: usize, begin: i32, end: i32): void {
  switch (arg(args, 0)) {
    case NEG: unaryBlocks(NEG, args, begin, end); break;
    case ABS: unaryBlocks(ABS, args, begin, end); break;
    case FLOOR: unaryBlocks(FLOOR, args, begin, end); break;
    case CEIL: unaryBlocks(CEIL, args, begin, end); break;
    case SQRT: unaryBlocks(SQRT, args, begin, end); break;
    case RSQRT: unaryBlocks(RSQRT, args, begin, end); break;
    case EXP: unaryBlocks(EXP, args, begin, end); break;
    case SIGMOID: unaryBlocks(SIGMOID, args, begin, end); break;
    default: unreachable();
  }
}

// @ts-ignore: decorator
@inline
function unaryBlocks(op: i32, args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 1), y = argPtr(args, 2);
  let k = <usize>(begin * BLOCK) << 2;
  const bytes = <usize>min(end * BLOCK, arg(args, 3)) << 2;
  if (ASC_FEATURE_SIMD) {
    for (; k + 16 <= bytes; k += 16) v128.store(y + k, map4(op, v128.load(x + k)));
    for (; k < bytes; k += 4) v128.store_lane<f32>(y + k, map4(op, v128.load32_splat(x + k)), 0);
  } else {
    for (; k < bytes; k += 4) store<f32>(y + k, map1(op, load<f32>(x + k)));
  }
}

// @ts-ignore: decorator
@inline
function map4(op: i32, x: v128): v128 {
  if (op == NEG) return f32x4.neg(x);
  if (op == ABS) return f32x4.abs(x);
  if (op == FLOOR) return f32x4.floor(x);
  if (op == CEIL) return f32x4.ceil(x);
  if (op == SQRT) return f32x4.sqrt(x);
  const one = constant(ONE);
  if (op == RSQRT) return f32x4.div(one, f32x4.sqrt(x));
  if (op == EXP) return expOf4(x);
  return f32x4.div(one, f32x4.add(one, expOf4(f32x4.neg(x))));
}

// @ts-ignore: decorator
@inline
function map1(op: i32, x: f32): f32 {
  if (op == NEG) return -x;
  if (op == ABS) return abs(x);
  if (op == FLOOR) return floor(x);
  if (op == CEIL) return ceil(x);
  if (op == SQRT) return sqrt(x);
  if (op == RSQRT) return 1 / sqrt(x);
  if (op == EXP) return expOf1(x);
  return 1 / (1 + expOf1(-x));
}

/**
 * One step of AdamW over `n` elements, rounded as the same steps in primitives are. Arguments: parameter, first moment,
 * second moment, gradient, the new values of the first three, n, beta1, 1 - beta1, beta2, 1 - beta2, keep, rootScale,
 * epsilon, stepSize (f32), a factor on the gradient (a pointer, or 0). Units are blocks of 4096 elements.
 */
export function adamw(args: usize, begin: i32, end: i32): void {
  const p = argPtr(args, 0), m = argPtr(args, 1), v = argPtr(args, 2), g = argPtr(args, 3);
  const pOut = argPtr(args, 4), mOut = argPtr(args, 5), vOut = argPtr(args, 6);
  const beta1 = load<f32>(args, 32), rest1 = load<f32>(args, 36), beta2 = load<f32>(args, 40), rest2 = load<f32>(args, 44);
  const keep = load<f32>(args, 48), rootScale = load<f32>(args, 52), epsilon = load<f32>(args, 56), step = load<f32>(args, 60);
  const factorAt = argPtr(args, 16);
  const factor: f32 = factorAt ? load<f32>(factorAt) : 1;
  let k = <usize>begin * <usize>BLOCK << 2;
  const stop = <usize>min(end * BLOCK, arg(args, 7)) << 2;
  if (ASC_FEATURE_SIMD) {
    const b1 = f32x4.splat(beta1), r1 = f32x4.splat(rest1), b2 = f32x4.splat(beta2), r2 = f32x4.splat(rest2);
    const kept = f32x4.splat(keep), scale = f32x4.splat(rootScale), eps = f32x4.splat(epsilon), size = f32x4.splat(step);
    const share = f32x4.splat(factor);
    for (; k + 16 <= stop; k += 16) {
      const gradient = f32x4.mul(v128.load(g + k), share);
      const first = f32x4.add(f32x4.mul(v128.load(m + k), b1), f32x4.mul(gradient, r1));
      const second = f32x4.add(f32x4.mul(v128.load(v + k), b2), f32x4.mul(f32x4.mul(gradient, gradient), r2));
      const root = f32x4.add(f32x4.mul(f32x4.sqrt(second), scale), eps);
      v128.store(pOut + k, f32x4.sub(f32x4.mul(v128.load(p + k), kept), f32x4.mul(f32x4.div(first, root), size)));
      v128.store(mOut + k, first);
      v128.store(vOut + k, second);
    }
  }
  for (; k < stop; k += 4) {
    const gradient = load<f32>(g + k) * factor;
    const first = load<f32>(m + k) * beta1 + gradient * rest1;
    const second = load<f32>(v + k) * beta2 + gradient * gradient * rest2;
    const root = sqrt<f32>(second) * rootScale + epsilon;
    store<f32>(pOut + k, load<f32>(p + k) * keep - first / root * step);
    store<f32>(mOut + k, first);
    store<f32>(vOut + k, second);
  }
}
