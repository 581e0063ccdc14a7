/**
 * What multi-head latent attention makes of a few tokens, recognised among operations that were put off: the new rows of
 * the cache (slices, a norm, a rotation and a concatenation), and the queries of the absorbed form (slices, a product for
 * each head, a rotation and a concatenation). Pure recognition; what is found here `ops/latent.ts` runs.
 */
import type { Tensor } from '@mariana/core';
import type { WebGpuWeight } from '../weights/gpu-weight.ts';
import type { NormPlan, Plan, RotaryPlan, SlicePlan } from './put-off.ts';

/** What a tensor was put off as, if it still is. */
export type PlanOf = (x: Tensor) => Plan | undefined;

/** New rows for a cache, from one tensor. */
export interface LatentRows {
  /** F32 [tokens, latent + rope]. */
  readonly source: Tensor;
  readonly latent: number;
  readonly normed: NormPlan;
  readonly rotated: RotaryPlan;
}

/** The rows, if that is what `values` [tokens, width] were put off as. */
export function latentRows(planOf: PlanOf, values: Tensor): LatentRows | null {
  const joint = planOf(values);
  if (joint?.kind !== 'concat' || values.rank !== 2) return null;
  const [normed, rotated] = joint.parts.map(planOf);
  if (normed?.kind !== 'norm' || rotated?.kind !== 'rotary') return null;
  const cut = halves(planOf(normed.x), planOf(rotated.x));
  if (cut === null || rotated.x.shape[1] !== 1) return null;
  const { source, at: latent } = cut;
  const [tokens, width] = values.shape;
  const fits = source.rank === 2 && source.shape[0] === tokens && source.shape[1] === width;
  return fits ? { source, latent, normed, rotated } : null;
}

/** Queries for absorbed attention, from one tensor. */
export interface LatentQueries {
  /** F32 [tokens, heads, nope + rope]. */
  readonly source: Tensor;
  readonly nope: number;
  /** [heads * latent, nope], in one buffer. */
  readonly weight: WebGpuWeight;
  readonly rotated: RotaryPlan;
}

/** The queries, if that is what `q` [tokens, heads, latent + rope] was put off as. */
export function latentQueries(planOf: PlanOf, q: Tensor, latent: number): LatentQueries | null {
  const joint = planOf(q);
  if (joint?.kind !== 'concat') return null;
  const [folded, rotated] = joint.parts.map(planOf);
  if (folded?.kind !== 'grouped' || rotated?.kind !== 'rotary') return null;
  const cut = halves(planOf(folded.x), planOf(rotated.x));
  if (cut === null || cut.source.rank !== 3) return null;
  const { source, at: nope } = cut;
  const [, heads, width] = source.shape as [number, number, number];
  const { whole, layout } = folded.weight.stack;
  const isWhole = whole !== undefined && layout.count === 1 && layout.shape[0] === heads * latent;
  const fits = isWhole && q.shape[2] === latent + width - nope;
  return fits ? { source, nope, weight: folded.weight, rotated } : null;
}

/** Two slices that cut the last axis of one tensor in two, and where. */
function halves(first: Plan | undefined, second: Plan | undefined): { source: Tensor; at: number } | null {
  if (first?.kind !== 'slice' || second?.kind !== 'slice') return null;
  const isLast = ({ axis, x }: SlicePlan) => axis === x.rank - 1;
  const meet = first.start === 0 && second.start === first.end && second.end === second.x.shape.at(-1);
  const isOne = first.x.storage === second.x.storage && `${first.x.shape}` === `${second.x.shape}`;
  return isLast(first) && isLast(second) && meet && isOne ? { source: first.x, at: first.end } : null;
}
