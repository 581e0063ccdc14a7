/**
 * The choice of experts, from the logits of the gate: scores (sigmoid or softmax over all experts), a bias that counts
 * for the choice alone, the best groups, the top k of what is left, and their weights.
 *
 * Arguments: logits [T, E], E, stride, sigmoid (0 softmax), bias (f32 [E] or 0), groups, keptGroups, groupByTop2 (1: a
 * group counts by the sum of its two best, 0: by its best), k, normalize, floor (added to the sum that divides),
 * factor, indices (i32 [T, k]), weights (f32 [T, k]), scores out (f32 [T, E] or 0). Units are tokens.
 *
 * Experts of dropped groups are at -infinity and never at 0: a biased score may be negative. The indices are always k
 * different experts, also for NaN logits.
 */
import { exp1 } from './math';
import { softmaxRow, topKRow } from './rows';
import { arg, argF, argPtr } from './simd';
import { SCRATCH_WORK } from './scratch';

export function route(args: usize, begin: i32, end: i32, scratch: usize): void {
  const logits = argPtr(args, 0), E = arg(args, 1), stride = <usize>arg(args, 2) << 2, sigmoid = arg(args, 3);
  const bias = argPtr(args, 4), groups = arg(args, 5), kept = arg(args, 6), top2 = arg(args, 7), k = arg(args, 8);
  const normalize = arg(args, 9), floor = argF(args, 10), factor = argF(args, 11);
  const indices = argPtr(args, 12), weights = argPtr(args, 13), scoresOut = argPtr(args, 14);
  const eBytes = <usize>E << 2;
  const own = scratch + SCRATCH_WORK;
  const choice = own + eBytes;
  const groupScores = choice + eBytes;
  const bestGroups = groupScores + (<usize>groups << 2);
  const values = bestGroups + (<usize>groups << 2);
  for (let t = <usize>begin; t < <usize>end; t++) {
    const x = logits + t * stride;
    const scores = scoresOut ? scoresOut + t * eBytes : own;
    if (sigmoid) {
      for (let e: usize = 0; e < eBytes; e += 4) store<f32>(scores + e, 1 / (1 + exp1(-load<f32>(x + e))));
    } else {
      softmaxRow(x, scores, E);
    }
    for (let e: usize = 0; e < eBytes; e += 4) {
      store<f32>(choice + e, load<f32>(scores + e) + (bias ? load<f32>(bias + e) : 0));
    }
    if (groups > 1) dropGroups(choice, E / groups, groups, kept, top2, groupScores, bestGroups, values);
    const chosen = indices + (t * <usize>k << 2), out = weights + (t * <usize>k << 2);
    topKRow(choice, E, k, values, chosen);
    let sum: f32 = 0;
    for (let j: usize = 0; j < <usize>k; j++) {
      const w = load<f32>(scores + (<usize>load<i32>(chosen + (j << 2)) << 2));
      store<f32>(out + (j << 2), w);
      sum += w;
    }
    const divisor: f32 = normalize ? sum + floor : 1;
    for (let j: usize = 0; j < <usize>k; j++) store<f32>(out + (j << 2), (load<f32>(out + (j << 2)) / divisor) * factor);
  }
}

function dropGroups(
  choice: usize, size: i32, groups: i32, kept: i32, top2: i32, groupScores: usize, best: usize, values: usize,
): void {
  for (let g = 0; g < groups; g++) {
    let first: f32 = -Infinity, second: f32 = -Infinity;
    for (let e = g * size; e < (g + 1) * size; e++) {
      const v = load<f32>(choice + (<usize>e << 2));
      if (v > first) {
        second = first;
        first = v;
      } else if (v > second) {
        second = v;
      }
    }
    store<f32>(groupScores + (<usize>g << 2), top2 && size > 1 ? first + second : first);
  }
  topKRow(groupScores, groups, kept, values, best);
  for (let g = 0; g < groups; g++) {
    let keep = false;
    for (let j = 0; j < kept; j++) if (load<i32>(best + (<usize>j << 2)) == g) keep = true;
    if (keep) continue;
    for (let e = g * size; e < (g + 1) * size; e++) store<f32>(choice + (<usize>e << 2), -Infinity);
  }
}
