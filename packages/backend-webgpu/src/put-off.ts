/** An operation that was put off, and how it ends: made when its values are needed, or dropped. See `fusing-backend.ts`. */
import type { Deferred, TfTensor } from '@mariana/backend-tfjs';
import type { Tensor } from '@mariana/core';
import type { LatentParts } from './ops/attention.ts';
import type { WebGpuWeight } from './weights/gpu-weight.ts';

/** What an operation that was put off is. Operands are handles of its own. */
export type Plan =
  | { readonly kind: 'slice'; readonly x: Tensor; readonly axis: number; readonly start: number; readonly end: number }
  | { readonly kind: 'norm'; readonly x: Tensor; readonly weight: Tensor; readonly epsilon: number }
  | { readonly kind: 'rotary'; readonly x: Tensor; readonly cos: Tensor; readonly sin: Tensor }
  | { readonly kind: 'concat'; readonly parts: readonly Tensor[]; readonly axis: number }
  | {
      readonly kind: 'linear';
      readonly x: Tensor;
      readonly weight: WebGpuWeight;
      readonly residuals: readonly Tensor[];
    }
  | { readonly kind: 'grouped'; readonly x: Tensor; readonly weight: WebGpuWeight }
  | { readonly kind: 'latent'; readonly parts: LatentParts };

export class PutOff implements Deferred {
  readonly plan: Plan;
  /** The storage whose values these will be. */
  storage: Tensor['storage'] | undefined;
  readonly #compute: (putOff: PutOff) => TfTensor;
  readonly #ended: (putOff: PutOff) => void;

  constructor(plan: Plan, compute: (putOff: PutOff) => TfTensor, ended: (putOff: PutOff) => void) {
    this.plan = plan;
    this.#compute = compute;
    this.#ended = ended;
  }

  make(): TfTensor {
    try {
      return this.#compute(this);
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
    case 'slice':
      return [plan.x];
    case 'norm':
      return [plan.x, plan.weight];
    case 'rotary':
      return [plan.x, plan.cos, plan.sin];
    case 'concat':
      return plan.parts;
    case 'linear':
      return [plan.x, ...plan.residuals];
    case 'grouped':
      return [plan.x];
    case 'latent':
      return [plan.parts.partial.tensor, plan.parts.stats.tensor];
  }
}
