/** The load of the experts over time, put together for a picture, and the fullest of them, for a sentence. */
import type { RunFacts, StepMetrics } from '../../worker/train-protocol.ts';

/** Most columns of a picture. */
export const COLUMNS = 240;

/** Steps that the sentence speaks of. */
export const RECENT_STEPS = 20;

/**
 * Shares of the choices of one layer, relative to an even share (1 is even), for each column and expert. Each column puts
 * as many steps together as it takes to have at most `columns`.
 */
export function relativeLoads(metrics: readonly StepMetrics[], layer: number, columns = COLUMNS): number[][] {
  const size = Math.max(1, Math.ceil(metrics.length / columns));
  const pictures: number[][] = [];
  for (let from = 0; from < metrics.length; from += size) {
    pictures.push(relative(sums(metrics.slice(from, from + size), layer)));
  }
  return pictures;
}

/** Shares of the choices of one layer over some steps; they add up to 1. */
export function shares(metrics: readonly StepMetrics[], layer: number): number[] {
  const counts = sums(metrics, layer);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (all === 0 ? 0 : count / all));
}

export interface Fullest {
  /** Number of the layer in the model, and of the expert. */
  readonly layer: number;
  readonly expert: number;
  readonly share: number;
}

/** The expert that got the largest share over some steps; null without steps or experts. */
export function fullest(metrics: readonly StepMetrics[], { moeLayers }: Pick<RunFacts, 'moeLayers'>): Fullest | null {
  let found: Fullest | null = null;
  if (metrics.length === 0) return null;
  moeLayers.forEach((layer, index) => {
    shares(metrics, index).forEach((share, expert) => {
      if (found === null || share > found.share) found = { layer, expert, share };
    });
  });
  return found;
}

function sums(metrics: readonly StepMetrics[], layer: number): number[] {
  const counts = [...(metrics[0]?.load[layer] ?? [])];
  for (const { load } of metrics.slice(1)) {
    load[layer]?.forEach((count, expert) => {
      counts[expert] = (counts[expert] ?? 0) + count;
    });
  }
  return counts;
}

function relative(counts: readonly number[]): number[] {
  const mean = counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length);
  return counts.map((count) => (mean === 0 ? 0 : count / mean));
}
