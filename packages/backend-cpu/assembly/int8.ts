/**
 * y[T, N] = x[T, K] W[N, K]^T for INT8 weights in panels of 16 rows and quantised activations (`quantize.ts`).
 * The sum over a group of K is an exact integer, whichever dot instruction a build has; the groups are then added
 * in f32. Token blocks are walked outside of panels, so that both stay in the caches in a prefill.
 *
 * Arguments of both kernels: x (first record), recordBytes, w, scales, y, T, N, Kp, group, yStride, rows (list of
 * record numbers or 0), planes (1 or 2, QUAD only), offset (QUAD only), accumulate, wide (the engine joins vectors to
 * 256 bits). Units are panels.
 */
import { pair16x1, pair16x2, pair16x4, pair8x4 } from './int8-pair';
import { quad16x1, quad16x2, quad8x4 } from './int8-quad';
import { headBytes, recordAt } from './panels';
import { PANEL, groupsOf } from './quantize';
import { arg, argPtr } from './simd';

const TOKEN_BLOCK: i32 = 32;

export function matmulInt8(args: usize, begin: i32, end: i32): void {
  const x = argPtr(args, 0), record = <usize>arg(args, 1), w = argPtr(args, 2), scales = argPtr(args, 3);
  const y = argPtr(args, 4), T = arg(args, 5), N = arg(args, 6), Kp = arg(args, 7), group = arg(args, 8);
  const yStride = <usize>arg(args, 9) << 2, rows = argPtr(args, 10), planes = arg(args, 11), offset = arg(args, 12);
  const accumulate = arg(args, 13), wide = arg(args, 14);
  const panelBytes = <usize>Kp * PANEL;
  const scaleBytes = <usize>groupsOf(Kp, group) * (PANEL * 4);
  for (let t0 = 0; t0 < T; t0 += TOKEN_BLOCK) {
    const tEnd = min(T, t0 + TOKEN_BLOCK);
    for (let p = begin; p < end; p++) {
      const wp = w + <usize>p * panelBytes;
      const sp = scales + <usize>p * scaleBytes;
      const n = min(PANEL, N - p * PANEL);
      const out = y + (<usize>p * PANEL << 2);
      let t = t0;
      if (ASC_FEATURE_SIMD) {
        for (; t + 4 <= tEnd; t += 4) {
          const r0 = recordAt(x, record, rows, t), r1 = recordAt(x, record, rows, t + 1);
          const r2 = recordAt(x, record, rows, t + 2), r3 = recordAt(x, record, rows, t + 3);
          if (wide && planes == 0) {
            pair16x4(r0, r1, r2, r3, wp, sp, out + <usize>t * yStride, yStride, n, Kp, group, accumulate);
            continue;
          }
          for (let half: usize = 0; half < 2; half++) {
            const o = out + <usize>t * yStride + half * 32;
            const m = n - <i32>half * 8;
            if (m <= 0) break;
            if (ASC_FEATURE_RELAXED_SIMD) {
              if (planes == 0) pair8x4(r0, r1, r2, r3, wp + half * 16, sp + half * 32, o, yStride, m, Kp, group, accumulate);
              else quad8x4(r0, r1, r2, r3, wp + half * 32, sp + half * 32, o, yStride, m, Kp, group, planes, offset, accumulate);
            } else {
              pair8x4(r0, r1, r2, r3, wp + half * 16, sp + half * 32, o, yStride, m, Kp, group, accumulate);
            }
          }
        }
      }
      if (ASC_FEATURE_SIMD) {
        for (; t + 2 <= tEnd; t += 2) {
          const r0 = recordAt(x, record, rows, t), r1 = recordAt(x, record, rows, t + 1);
          const o = out + <usize>t * yStride;
          if (ASC_FEATURE_RELAXED_SIMD) {
            if (planes == 0) pair16x2(r0, r1, wp, sp, o, yStride, n, Kp, group, accumulate);
            else quad16x2(r0, r1, wp, sp, o, yStride, n, Kp, group, planes, offset, accumulate);
          } else {
            pair16x2(r0, r1, wp, sp, o, yStride, n, Kp, group, accumulate);
          }
        }
      }
      for (; t < tEnd; t++) {
        const r = recordAt(x, record, rows, t);
        const o = out + <usize>t * yStride;
        if (ASC_FEATURE_RELAXED_SIMD) {
          if (planes == 0) pair16x1(r, wp, sp, o, n, Kp, group, accumulate);
          else quad16x1(r, wp, sp, o, n, Kp, group, planes, offset, accumulate);
        } else if (ASC_FEATURE_SIMD) {
          pair16x1(r, wp, sp, o, n, Kp, group, accumulate);
        } else {
          scalar16x1(r, wp, sp, o, n, Kp, group, accumulate);
        }
      }
    }
  }
}

function scalar16x1(r: usize, w: usize, s: usize, out: usize, n: i32, Kp: i32, group: i32, accumulate: i32): void {
  const q = r + headBytes(Kp);
  for (let i = 0; i < n; i++) {
    let total: f32 = 0;
    for (let k0 = 0, g = 0; k0 < Kp; k0 += group, g++) {
      const kEnd = min(Kp, k0 + group);
      let a = 0;
      for (let k = k0; k < kEnd; k += 2) {
        const at = w + <usize>k * PANEL + (<usize>i << 1);
        a += <i32>load<i8>(at) * <i32>load<i16>(q + (<usize>k << 1));
        a += <i32>load<i8>(at, 1) * <i32>load<i16>(q + (<usize>k << 1), 2);
      }
      const scale = load<f32>(s + (<usize>(g * PANEL + i) << 2)) * load<f32>(r + (<usize>(k0 >> 7) << 2));
      total += <f32>a * scale;
    }
    const o = out + (<usize>i << 2);
    store<f32>(o, accumulate ? total + load<f32>(o) : total);
  }
}
