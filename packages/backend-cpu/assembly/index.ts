/**
 * The entry of the kernel module. A job is a list of segments in memory, each one kernel with its arguments and a
 * number of units (rows, panels, tiles); the units of all segments are cut into chunks, and every thread that runs the
 * job takes chunks from one counter until none is left. So a slow thread never holds up the others, and one hand-over
 * may carry many products.
 *
 *     job      +0 next chunk (atomic)   +64 chunks   +68 segments   +72 key of the first segment
 *     segment  128 bytes from +128: kernel, units, units a chunk, first chunk, then up to 28 argument words
 */
import { causalAttention, combineAttention, latentAttention } from './attention';
import { convert, quantizeTiles } from './convert';
import { adamw, binary, choose, unary } from './elementwise';
import { findFp8Nan as findNan } from './formats';
import { gemm } from './gemm';
import { attentionSlopes, crossEntropyGradients, rmsNormGradients, squaredNorm, sumExponentials, swigluGradients } from './gradients';
import { matmulInt4 } from './int4';
import { matmulInt8 } from './int8';
import { matvecF32 } from './matvec';
import { matvecBf16 } from './matvec-bf16';
import { matvecFp8 } from './matvec-fp8';
import { copyRows, scatterAdd, transpose } from './movement';
import { packInt4Rows, packInt8Rows } from './pack-rows';
import { packInt4, packInt8, quantizeActivations } from './quantize';
import { reduceColumns, reduceRows } from './reduce';
import { route } from './router';
import { addRows, combineRows, gatherRows, rmsNorm, rotary, softmax, swiglu, topK } from './rows';
import { SCRATCH_BYTES } from './scratch';
import { vecmat } from './vecmat';

export const scratchBytes: i32 = <i32>SCRATCH_BYTES;

function call(kernel: i32, args: usize, begin: i32, end: i32, scratch: usize, key: i32): void {
  switch (kernel) {
    case 0: matvecF32(args, begin, end); break;
    case 1: matvecBf16(args, begin, end, scratch, key); break;
    case 2: matvecFp8(args, begin, end, scratch, key); break;
    case 3: matmulInt8(args, begin, end); break;
    case 4: matmulInt4(args, begin, end); break;
    case 5: quantizeActivations(args, begin, end, scratch); break;
    case 6: packInt8(args, begin, end, scratch); break;
    case 7: packInt8Rows(args, begin, end, scratch); break;
    case 8: packInt4(args, begin, end, scratch); break;
    case 9: packInt4Rows(args, begin, end, scratch); break;
    case 10: gemm(args, begin, end, scratch); break;
    case 11: rmsNorm(args, begin, end); break;
    case 12: rotary(args, begin, end); break;
    case 13: swiglu(args, begin, end); break;
    case 14: softmax(args, begin, end); break;
    case 15: topK(args, begin, end); break;
    case 16: route(args, begin, end, scratch); break;
    case 17: latentAttention(args, begin, end, scratch); break;
    case 18: combineAttention(args, begin, end); break;
    case 19: causalAttention(args, begin, end, scratch); break;
    case 20: gatherRows(args, begin, end); break;
    case 21: combineRows(args, begin, end); break;
    case 22: addRows(args, begin, end); break;
    case 23: vecmat(args, begin, end); break;
    case 24: readAll(args, begin, end); break;
    case 25: binary(args, begin, end); break;
    case 26: unary(args, begin, end); break;
    case 27: reduceRows(args, begin, end); break;
    case 28: reduceColumns(args, begin, end); break;
    case 29: convert(args, begin, end); break;
    case 30: quantizeTiles(args, begin, end); break;
    case 31: copyRows(args, begin, end); break;
    case 32: transpose(args, begin, end); break;
    case 33: scatterAdd(args, begin, end); break;
    case 34: choose(args, begin, end); break;
    case 35: adamw(args, begin, end); break;
    case 36: squaredNorm(args, begin, end); break;
    case 37: swigluGradients(args, begin, end); break;
    case 38: rmsNormGradients(args, begin, end); break;
    case 39: sumExponentials(args, begin, end, scratch); break;
    case 40: crossEntropyGradients(args, begin, end); break;
    case 41: attentionSlopes(args, begin, end); break;
    default: unreachable();
  }
}

/** Runs chunks of the job at `job` until none is left, with the scratch block of this thread. */
export function runJob(job: usize, scratch: usize): void {
  const chunks = load<i32>(job, 64);
  const segments = load<i32>(job, 68);
  const firstKey = load<i32>(job, 72);
  let s = 0;
  while (true) {
    const c = atomic.add<i32>(job, 1);
    if (c >= chunks) return;
    while (s + 1 < segments && load<i32>(segmentAt(job, s + 1), 12) <= c) s++;
    const segment = segmentAt(job, s);
    const units = load<i32>(segment, 4);
    const size = load<i32>(segment, 8);
    const begin = (c - load<i32>(segment, 12)) * size;
    call(load<i32>(segment), segment + 16, begin, min(units, begin + size), scratch, firstKey + s);
  }
}

// @ts-ignore: decorator
@inline
function segmentAt(job: usize, s: i32): usize {
  return job + 128 + (<usize>s << 7);
}

/** Spins until the word at `at` differs from `value`, at most `limit` times; whether it does. */
export function spin(at: usize, value: i32, limit: i32): i32 {
  for (let i = 0; i < limit; i++) if (atomic.load<i32>(at) != value) return 1;
  return 0;
}

/**
 * What `i32x4.relaxed_dot_i8x16_i7x16_add_s` makes of a second operand with the top bit set, tried with the bytes at
 * `at` (16 of -128, 127 .. and 16 of 255, 200 .., written by the caller so that no optimiser answers instead):
 * 1 unsigned and exact, 2 signed and exact, 0 neither (saturating or absent).
 */
export function probeDot(at: usize): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return 0;
  let unsigned = 0, signed = 0;
  for (let j: usize = 0; j < 4; j++) {
    unsigned += <i32>load<i8>(at + j) * <i32>load<u8>(at + 16 + j);
    signed += <i32>load<i8>(at + j) * <i32>load<i8>(at + 16 + j);
  }
  const got = relaxedDot(at);
  return got == unsigned ? 1 : got == signed ? 2 : 0;
}

function relaxedDot(at: usize): i32 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const v = i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load(at), v128.load(at + 16), i32x4.splat(0));
    return i32x4.extract_lane(v, 0);
  }
  return 0;
}

/** The index of the first NaN code (0x7F, 0xFF) among n E4M3 bytes, or -1. */
export function findFp8Nan(at: usize, n: i32): i32 {
  return findNan(at, n);
}

/** Arguments: at, bytes a unit, sums out (a word a unit). Reads memory and does nothing else: the limit of the machine. */
function readAll(args: usize, begin: i32, end: i32): void {
  const at = <usize>load<u32>(args);
  const bytes = <usize>load<i32>(args, 4);
  const out = <usize>load<u32>(args, 8);
  for (let u = begin; u < end; u++) {
    let p = at + <usize>u * bytes;
    const e = p + bytes;
    if (ASC_FEATURE_SIMD) {
      let a = i32x4.splat(0), b = a, c = a, d = a;
      for (; p < e; p += 64) {
        a = i32x4.add(a, v128.load(p));
        b = i32x4.add(b, v128.load(p, 16));
        c = i32x4.add(c, v128.load(p, 32));
        d = i32x4.add(d, v128.load(p, 48));
      }
      const s = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
      store<i32>(out + (<usize>u << 2), i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1) + i32x4.extract_lane(s, 2) + i32x4.extract_lane(s, 3));
    } else {
      let s: i64 = 0;
      for (; p < e; p += 8) s += load<i64>(p);
      store<i32>(out + (<usize>u << 2), <i32>s);
    }
  }
}
