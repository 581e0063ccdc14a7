/**
 * The router, token by token, as TRAPS and DeepSeek's `Gate.forward` have it: scores, choice with the bias, groups, the
 * rest out of the running, weights without the bias.
 */
import type { RoutingOptions } from '@mariana/core';
import { divisionError, SMALLEST_NORMAL, type Tolerance, U, unaryBound } from '../tolerance.ts';
import { type Approximate, exactly, softmax } from './approximate.ts';
import { sigmoid } from './elementwise.ts';

/** What the router should decide for one token. */
export interface RoutedToken {
  readonly indices: number[];
  readonly weights: Approximate;
  readonly scores: Approximate;
  /** Whether every comparison that decided was clear of rounding errors. */
  readonly isClear: boolean;
}

export function routeToken(
  logits: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  options: RoutingOptions,
  tolerance: Tolerance,
): RoutedToken {
  const scores = scoresOf(logits, options, tolerance);
  const choice = scores.values.map((score, expert) => score + (bias?.[expert] ?? 0));
  // A comparison is clear if its sides differ by more than twice the error of either, and then some.
  const error = Math.max(...scores.errors) + U * Math.max(...choice.map(Math.abs));
  const margin = 16 * error;

  const size = choice.length / options.groups;
  const groups = Array.from({ length: options.groups }, (_, g) => {
    const members = [...choice.slice(g * size, (g + 1) * size)].sort((a, b) => b - a);
    return members.slice(0, options.groupScore === 'top2' ? 2 : 1).reduce((a, b) => a + b, 0);
  });
  const kept = best(groups, options.topGroups);
  const candidates = choice.map((value, expert) =>
    options.groups === 1 || kept.chosen.includes(Math.floor(expert / size)) ? value : Number.NEGATIVE_INFINITY,
  );
  const { chosen, gap } = best([...candidates], options.topK);
  const isClear = gap > margin && (options.groups === 1 || kept.gapToRest > margin);
  return { indices: chosen, weights: weightsOf(chosen, scores, options, tolerance), scores, isClear };
}

function scoresOf(logits: ArrayLike<number>, { scoring }: RoutingOptions, tolerance: Tolerance): Approximate {
  if (scoring === 'softmax') return softmax(exactly(logits), tolerance);
  const values = Float64Array.from(logits, sigmoid);
  return { values, errors: values.map((score, i) => unaryBound('sigmoid', logits[i]!, score, tolerance)) };
}

/** The k largest, in order; the smallest gap between neighbours of that order, and the gap to the best of the rest. */
function best(values: readonly number[], k: number): { chosen: number[]; gap: number; gapToRest: number } {
  const order = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]!);
  const gaps = order.slice(1).map((i, rank) => values[order[rank]!]! - values[i]!);
  return {
    chosen: order.slice(0, k),
    gap: Math.min(Number.POSITIVE_INFINITY, ...gaps.slice(0, k)),
    gapToRest: gaps[k - 1] ?? Number.POSITIVE_INFINITY,
  };
}

function weightsOf(
  chosen: readonly number[],
  scores: Approximate,
  { normalize, scale, topK }: RoutingOptions,
  tolerance: Tolerance,
): Approximate {
  const sum = chosen.reduce((total, i) => total + scores.values[i]!, 1e-20);
  const ofSum = chosen.reduce((total, i) => total + scores.errors[i]!, 0) / sum + topK * U + divisionError(tolerance);
  const values = chosen.map((i) => (normalize ? scores.values[i]! / sum : scores.values[i]!) * scale);
  const errors = chosen.map((i, rank) => {
    const inherited = ((normalize ? 1 / sum : 1) * scores.errors[i]! + SMALLEST_NORMAL) * Math.abs(scale);
    return inherited + Math.abs(values[rank]!) * ((normalize ? ofSum : 0) + 2 * U);
  });
  return { values: Float64Array.from(values), errors: Float64Array.from(errors) };
}
