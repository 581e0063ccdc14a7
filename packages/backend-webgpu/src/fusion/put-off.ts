/** An operation that was put off, and how it ends: made when its values are needed, or dropped. See `fusing-backend.ts`. */
import type { Deferred, TfTensor } from '@mariana/backend-tfjs';
import type { Tensor } from '@mariana/core';
import type { LatentParts } from '../ops/attention.ts';
import type { Stacks } from '../ops/experts.ts';
import type { WebGpuWeight, WeightStack } from '../weights/gpu-weight.ts';

export interface SlicePlan {
  readonly kind: 'slice';
  readonly x: Tensor;
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

export interface NormPlan {
  readonly kind: 'norm';
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly epsilon: number;
}

export interface RotaryPlan {
  readonly kind: 'rotary';
  readonly x: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export interface LinearPlan {
  readonly kind: 'linear';
  readonly x: Tensor;
  readonly weight: WebGpuWeight;
  readonly residuals: readonly Tensor[];
}

/** silu(gate x) * (up x). */
interface GatedPlan {
  readonly kind: 'gated';
  readonly x: Tensor;
  readonly gate: WeightStack;
  readonly up: WeightStack;
}

/** What the chosen experts make of x. */
interface ExpertsPlan {
  readonly kind: 'experts';
  readonly x: Tensor;
  readonly choice: Tensor;
  readonly stacks: Stacks;
}

/** What an operation that was put off is. Operands are handles of its own. */
export type Plan =
  | SlicePlan
  | NormPlan
  | RotaryPlan
  | LinearPlan
  | GatedPlan
  | ExpertsPlan
  /** A slice that takes all there is. */
  | { readonly kind: 'whole'; readonly x: Tensor }
  | { readonly kind: 'concat'; readonly parts: readonly Tensor[]; readonly axis: number }
  | { readonly kind: 'grouped'; readonly x: Tensor; readonly weight: WebGpuWeight }
  | { readonly kind: 'latent'; readonly parts: LatentParts }
  /** Experts, or their weights, of a packed choice. */
  | { readonly kind: 'picked'; readonly choice: Tensor; readonly part: 'indices' | 'weights' };

export class PutOff implements Deferred {
  readonly plan: Plan;
  /** The storage whose values these will be. */
  storage: Tensor['storage'] | undefined;
  /** The values, if what made those of another made them along. */
  made: TfTensor | undefined;
  #isEnding = false;
  readonly #compute: (putOff: PutOff) => TfTensor;
  readonly #ended: (putOff: PutOff) => void;

  constructor(plan: Plan, compute: (putOff: PutOff) => TfTensor, ended: (putOff: PutOff) => void) {
    this.plan = plan;
    this.#compute = compute;
    this.#ended = ended;
  }

  /** Whether its values are being made. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  make(): TfTensor {
    this.#isEnding = true;
    try {
      return this.made ?? this.#compute(this);
    } finally {
      this.#ended(this);
    }
  }

  drop(): void {
    this.#ended(this);
  }
}

/** The operands of a plan. */
export function operandsOf(plan: Plan): readonly Tensor[] {
  switch (plan.kind) {
    case 'norm':
      return [plan.x, plan.weight];
    case 'rotary':
      return [plan.x, plan.cos, plan.sin];
    case 'concat':
      return plan.parts;
    case 'linear':
      return [plan.x, ...plan.residuals];
    case 'experts':
      return [plan.x, plan.choice];
    case 'picked':
      return [plan.choice];
    case 'latent':
      return [plan.parts.partial.tensor, plan.parts.stats.tensor];
    default:
      return [plan.x];
  }
}

/** The weights of a plan. They may be disposed before its values are needed; their buffers then outlive them. */
export function stacksOfPlan(plan: Plan): readonly WeightStack[] {
  switch (plan.kind) {
    case 'linear':
    case 'grouped':
      return [plan.weight.stack];
    case 'gated':
      return [plan.gate, plan.up];
    case 'experts':
      return [plan.stacks.gate, plan.stacks.up, plan.stacks.down];
    default:
      return [];
  }
}
