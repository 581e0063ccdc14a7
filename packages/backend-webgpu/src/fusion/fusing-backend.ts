/**
 * Fusion across operations. What layers ask for one operation at a time often is one kernel's work: a norm and the
 * products of its result; slices of a row, its norm and rotation and their place in the cache; routed and shared experts
 * and the residual that is added to them. Here operations that usually are part of something larger are put off when a
 * few tokens come (a decode step); what needs their values makes them, and what completes a pattern replaces them all by
 * one dispatch. Whatever fits no pattern is computed as it would have been, only later.
 *
 * A result that is put off holds its operands by handles of its own. Since tensors never change but for the target of
 * `writeRows`, it does not matter when it is made; before a target is written, what was put off of it is made.
 */
import type { TfTensor } from '@mariana/backend-tfjs';
import type {
  BinaryOp,
  ExpertWeights,
  LatentAttentionOptions,
  LatentCacheView,
  MemoryUse,
  Routing,
  RoutingOptions,
  Shape,
  Tensor,
  TensorDType,
  Weight,
} from '@mariana/core';
import { combineLatent, type LatentParts, latentParts } from '../ops/attention.ts';
import { stacksOf } from '../ops/experts.ts';
import { appendLatent, foldLatent, unfoldLatent } from '../ops/latent.ts';
import { linear, matrixIn } from '../ops/linear.ts';
import { gatedFits, gatedInner, mixture, mixtureFits, type ZeroIndices } from '../ops/mixture.ts';
import { type NormOf, normedLinear, normedLinearFits } from '../ops/normed-linear.ts';
import { routePacked, routingPart } from '../ops/route.ts';
import { WebGpuBackend } from '../webgpu-backend.ts';
import { WebGpuWeight } from '../weights/gpu-weight.ts';
import { latentQueries, latentRows } from './latent-patterns.ts';
import { type LinearPlan, operandsOf, type Plan, PutOff, stacksOfPlan } from './put-off.ts';

/** Up to so many rows operations are put off; with more of them dispatches cost little beside what they compute. */
const FEW_ROWS = 8;
/** Most tokens of products that are put off: as many as their kernels take. */
const FEW_TOKENS = 4;
/** Residuals that a product can take along. */
const MOST_RESIDUALS = 2;
const ZEROS = 16;

export class FusingBackend<T extends TfTensor = TfTensor> extends WebGpuBackend<T> implements ZeroIndices {
  readonly #pending = new Set<PutOff>();
  /** A list of zeros: the only page of a pool, the only expert of a feed-forward. */
  #zeros: Tensor | undefined;

  /** Makes what was put off first: handles and bytes are those of the program. */
  override memory(): MemoryUse {
    for (const putOff of [...this.#pending]) if (putOff.storage !== undefined) this.settle(putOff.storage);
    const { tensors, bytes } = super.memory();
    return this.#zeros === undefined ? { tensors, bytes } : { tensors: tensors - 1, bytes: bytes - 4 * ZEROS };
  }

  override slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    const at = axis < 0 ? axis + x.rank : axis;
    const plan = this.#planOf(x);
    if (plan?.kind === 'concat' && plan.axis === at) {
      let from = 0;
      for (const part of plan.parts) {
        const to = from + part.shape[at]!;
        // Under the shape that the result has, since x may be seen under another than the joint was.
        if (from === start && to === end && x.rank === part.rank)
          return this.reshape(part, x.shape.with(at, to - from));
        from = to;
      }
    }
    const fits = Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= x.shape[at]!;
    if (plan?.kind === 'norm' && start === 0 && end === x.shape[at])
      return this.#putOff({ kind: 'whole', x: this.#handle(x) }, x.shape);
    if (!fits || at !== x.rank - 1 || x.rank < 2 || !this.#isFew(x)) return super.slice(x, axis, start, end);
    const shape = x.shape.with(at, end - start);
    return this.#putOff({ kind: 'slice', x: this.#handle(x), axis: at, start, end }, shape);
  }

  override rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    const fits = weight.rank === 1 && weight.dtype === 'f32' && weight.shape[0] === x.shape.at(-1);
    if (!fits || weight.backend !== this || !this.#isFew(x)) return super.rmsNorm(x, weight, epsilon);
    this.own(x, weight);
    return this.#putOff({ kind: 'norm', x: this.#handle(x), weight: this.#handle(weight), epsilon }, x.shape);
  }

  override rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    const [tokens, , width] = x.shape;
    const fits = (angles: Tensor) =>
      angles.backend === this && angles.dtype === 'f32' && `${angles.shape}` === `${[tokens, width! / 2]}`;
    if (x.rank !== 3 || this.#planOf(x)?.kind !== 'slice' || !fits(cos) || !fits(sin)) return super.rotary(x, cos, sin);
    this.own(x, cos, sin);
    const plan = { kind: 'rotary', x: this.#handle(x), cos: this.#handle(cos), sin: this.#handle(sin) } as const;
    return this.#putOff(plan, x.shape);
  }

  override concat(tensors: readonly Tensor[], axis: number): Tensor {
    const [a, b] = tensors;
    if (tensors.length !== 2 || a === undefined || b === undefined) return super.concat(tensors, axis);
    const at = axis < 0 ? axis + a.rank : axis;
    const isPart = (x: Tensor) => ['norm', 'rotary', 'grouped'].includes(this.#planOf(x)?.kind ?? '');
    const fits = at === a.rank - 1 && a.rank === b.rank && a.shape.every((size, i) => i === at || size === b.shape[i]);
    if (!fits || b.backend !== this || b.dtype !== 'f32' || a.dtype !== 'f32' || !isPart(b) || a.size * b.size === 0) {
      return super.concat(tensors, axis);
    }
    this.own(a, b);
    const plan = { kind: 'concat', parts: [this.#handle(a), this.#handle(b)], axis: at } as const;
    return this.#putOff(plan, a.shape.with(at, a.shape[at]! + b.shape[at]!));
  }

  override linear(x: Tensor, weight: Weight): Tensor {
    const [out, inputs] = weight.shape;
    const fits = x.backend === this && x.dtype === 'f32' && x.shape.at(-1) === inputs && x.size > 0 && out > 0;
    const few = x.size <= FEW_TOKENS * inputs;
    if (!fits || !few || weight.backend !== this || !(weight instanceof WebGpuWeight)) return super.linear(x, weight);
    weight.assertAlive();
    const plan = { kind: 'linear', x: this.#handle(x), weight, residuals: [] } as const;
    return this.#putOff(plan, [...x.shape.slice(0, -1), out]);
  }

  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    if (op !== 'add' || a.rank !== b.rank || a.shape.some((size, i) => size !== b.shape[i]))
      return super.binary(op, a, b);
    for (const [product, other] of [
      [b, a],
      [a, b],
    ] as const) {
      const plan = this.#planOf(product);
      if (plan?.kind !== 'linear' || plan.residuals.length === MOST_RESIDUALS) continue;
      if (other.backend !== this || other.dtype !== 'f32' || other === product) continue;
      this.own(other);
      const residuals = [...plan.residuals, other].map((residual) => this.#handle(residual));
      return this.#putOff({ ...plan, x: this.#handle(plan.x), residuals }, a.shape);
    }
    return super.binary(op, a, b);
  }

  override swiglu(gate: Tensor, up: Tensor): Tensor {
    const [g, u] = [this.#planOf(gate), this.#planOf(up)];
    if (g?.kind !== 'linear' || u?.kind !== 'linear' || `${gate.shape}` !== `${up.shape}`)
      return super.swiglu(gate, up);
    const { weight } = g;
    const isOne = g.x.storage === u.x.storage && g.residuals.length + u.residuals.length === 0;
    if (!isOne || !gatedFits(weight.stack, u.weight.stack)) return super.swiglu(gate, up);
    return this.#putOff({ kind: 'gated', x: this.#handle(g.x), gate: weight.stack, up: u.weight.stack }, gate.shape);
  }

  override route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    this.own(logits, ...(bias === null ? [] : [bias]));
    const packed = logits.shape[0]! <= FEW_TOKENS ? routePacked(this, logits, bias, options) : null;
    if (packed === null) return super.route(logits, bias, options);
    const { choice, scores } = packed;
    const shape = choice.shape.slice(0, 2);
    const part = (part: 'indices' | 'weights', dtype: TensorDType) =>
      this.#putOff({ kind: 'picked', choice: this.#handle(choice), part }, shape, dtype);
    const routing = { indices: part('indices', 'i32'), weights: part('weights', 'f32'), scores };
    choice.dispose();
    return routing;
  }

  override async experts(
    x: Tensor,
    routing: Pick<Routing, 'indices' | 'weights'>,
    weights: ExpertWeights,
  ): Promise<Tensor> {
    const result = this.#experts(x, routing, weights);
    // Perhaps within a scope of the caller's, which this promise outlives.
    return result === null ? super.experts(x, routing, weights) : this.keep(result);
  }

  override groupedLinear(x: Tensor, weight: Weight): Tensor {
    const [tokens, groups, inputs] = x.shape;
    const [rows, columns] = weight.shape;
    const plan = this.#planOf(x);
    const fits = x.rank === 3 && inputs === columns && rows > 0 && rows % groups! === 0;
    if (!fits || plan === undefined || weight.backend !== this || !(weight instanceof WebGpuWeight)) {
      return super.groupedLinear(x, weight);
    }
    weight.assertAlive();
    const shape = [tokens!, groups!, rows / groups!] as const;
    if (plan.kind === 'latent') return unfoldLatent(this, plan.parts, weight, shape) ?? super.groupedLinear(x, weight);
    if (plan.kind !== 'slice') return super.groupedLinear(x, weight);
    return this.#putOff({ kind: 'grouped', x: this.#handle(x), weight }, shape);
  }

  override latentAttention(q: Tensor, cache: LatentCacheView, options: LatentAttentionOptions): Tensor {
    this.own(q, cache.pool);
    if (!this.#isFew(q)) return super.latentAttention(q, cache, options);
    const folded = this.#fold(q, options.latentDim);
    const parts = latentParts(this, folded ?? q, cache, options);
    folded?.dispose();
    return parts === null
      ? super.latentAttention(q, cache, options)
      : this.#putOff({ kind: 'latent', parts: this.#keepParts(parts) }, parts.shape);
  }

  override writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    this.own(target);
    for (const putOff of [...this.#pending]) {
      const reads = operandsOf(putOff.plan).some((operand) => operand.storage === target.storage);
      if (reads && putOff.storage !== undefined) this.settle(putOff.storage);
    }
    if (!this.#append(target, rows, values)) super.writeRows(target, rows, values);
  }

  // Patterns ------------------------------------------------------------------------------------------------------

  /** Norm, rotation and place in the cache of new rows, in one dispatch. False if they are not that. */
  #append(target: Tensor, rows: Int32Array, values: Tensor): boolean {
    const found = latentRows((x) => this.#planOf(x), values);
    if (found === null || target.rank !== 2 || !['f32', 'bf16', 'f16'].includes(target.dtype)) return false;
    const [tokens, width] = values.shape as [number, number];
    const isRun = rows.length === tokens && rows.every((row, i) => row === rows[0]! + i);
    const inTarget = rows[0]! >= 0 && rows[0]! + tokens <= target.shape[0]! && target.shape[1] === width;
    if (!isRun || !inTarget) return false;
    this.unshare(target);
    appendLatent(this, target, rows[0]!, found);
    this.written(target);
    return true;
  }

  /** Queries folded into the latent space and rotated, in one dispatch. Null if they are not that. */
  #fold(q: Tensor, latent: number): Tensor | null {
    const found = latentQueries((x) => this.#planOf(x), q, latent);
    return found && foldLatent(this, found, latent, q.shape);
  }

  /** What experts make of tokens whose routing nobody has looked at. Null if it is not that. */
  #experts(x: Tensor, routing: Pick<Routing, 'indices' | 'weights'>, weights: ExpertWeights): Tensor | null {
    const [indices, shares] = [this.#planOf(routing.indices), this.#planOf(routing.weights)];
    if (indices?.kind !== 'picked' || shares?.kind !== 'picked') return null;
    const isRouting = indices.part === 'indices' && shares.part === 'weights';
    if (!isRouting || indices.choice.storage !== shares.choice.storage) return null;
    const { choice } = indices;
    const stacks = stacksOf(weights);
    const fits = x.backend === this && x.rank === 2 && x.dtype === 'f32' && x.shape[0] === choice.shape[0];
    if (!fits || stacks === null || !mixtureFits(stacks) || x.shape[1] !== stacks.config.hidden) return null;
    return this.#putOff({ kind: 'experts', x: this.#handle(x), choice: this.#handle(choice), stacks }, x.shape);
  }

  /** A product with what is added to it. */
  #product(plan: LinearPlan, shape: Shape): Tensor {
    const { x, weight, residuals } = plan;
    const w = matrixIn(weight);
    if (residuals.length > 0) return this.#mixture(plan) ?? linear(this, x, w, 1, shape, residuals);
    // Made before others are looked for, since it may take products of its own along.
    this.buffer(this.#normOf(x, w.shape[1])?.x ?? x);
    const input = this.#normOf(x, w.shape[1]);
    const other = this.#siblingOf(plan);
    if (other !== undefined) {
      const [mine, its] = normedLinear(this, input ?? x, [w, matrixIn(other.plan.weight)], [shape, other.shape]);
      other.putOff.made = this.take(this.keep(its!));
      this.settle(other.putOff.storage!);
      return mine!;
    }
    if (input === undefined || !normedLinearFits([w], w.shape[1])) return linear(this, x, w, 1, shape);
    return normedLinear(this, input, [w], [shape])[0]!;
  }

  /** Another product of the same input that is still to be made, and fits beside this one. */
  #siblingOf({ x, weight }: LinearPlan): { putOff: PutOff; plan: LinearPlan; shape: Shape } | undefined {
    for (const putOff of this.#pending) {
      const { plan } = putOff;
      if (plan.kind !== 'linear' || plan.x.storage !== x.storage || plan.residuals.length > 0) continue;
      if (putOff.storage === undefined || putOff.isEnding) continue;
      const [mine, its] = [matrixIn(weight), matrixIn(plan.weight)];
      const shape = [...plan.x.shape.slice(0, -1), its.shape[0]];
      if (plan.x.shape.at(-1) === mine.shape[1] && normedLinearFits([mine, its], mine.shape[1])) {
        return { putOff, plan, shape };
      }
    }
    return undefined;
  }

  /** Routed and shared experts and the residual, in one dispatch behind their inner values. Null if it is not that. */
  #mixture({ x, weight, residuals }: LinearPlan): Tensor | null {
    const plans = residuals.map((residual) => this.#planOf(residual));
    const at = plans.findIndex((plan) => plan?.kind === 'experts');
    const [gated, chosen] = [this.#planOf(x), plans[at]];
    if (gated?.kind !== 'gated' || chosen?.kind !== 'experts' || !mixtureFits(chosen.stacks, weight.stack)) return null;
    const input = (x: Tensor) => this.#normOf(x, chosen.stacks.config.hidden) ?? x;
    const shared = { ...gated, x: input(gated.x), down: weight.stack };
    return mixture(this, { ...chosen, x: input(chosen.x) }, shared, residuals[1 - at] ?? null);
  }

  /** The norm over rows of some width that x was put off as, if it still is. */
  #normOf(x: Tensor, width: number): NormOf | undefined {
    const plan = this.#planOf(x);
    if (plan?.kind === 'whole') return this.#normOf(plan.x, width);
    return plan?.kind === 'norm' && plan.weight.size === width ? plan : undefined;
  }

  // Putting off ---------------------------------------------------------------------------------------------------

  #planOf(x: Tensor): Plan | undefined {
    if (x.backend !== this) return undefined;
    const deferred = this.deferredOf(x);
    return deferred instanceof PutOff ? deferred.plan : undefined;
  }

  #isFew(x: Tensor): boolean {
    return x.backend === this && x.dtype === 'f32' && x.size > 0 && x.rank >= 2 && x.shape[0]! <= FEW_ROWS;
  }

  /** A handle of our own, in no scope. */
  #handle(x: Tensor): Tensor {
    return this.keep(this.reshape(x, x.shape));
  }

  #keepParts(parts: LatentParts): LatentParts {
    this.keep(parts.partial.tensor);
    this.keep(parts.stats.tensor);
    return parts;
  }

  #putOff(plan: Plan, shape: Shape, dtype: TensorDType = 'f32'): Tensor {
    const stacks = stacksOfPlan(plan);
    for (const stack of stacks) stack.hold();
    const putOff = new PutOff(
      plan,
      ({ plan }) => this.take(this.keep(this.#compute(plan, shape))),
      (ended) => {
        this.#pending.delete(ended);
        for (const stack of stacks) stack.drop();
        for (const operand of operandsOf(ended.plan)) operand.dispose();
      },
    );
    const tensor = this.defer(putOff, shape, dtype);
    putOff.storage = tensor.storage;
    this.#pending.add(putOff);
    return tensor;
  }

  #compute(plan: Plan, shape: Shape): Tensor {
    switch (plan.kind) {
      case 'slice':
        return super.slice(plan.x, plan.axis, plan.start, plan.end);
      case 'norm':
        return super.rmsNorm(plan.x, plan.weight, plan.epsilon);
      case 'rotary':
        return super.rotary(plan.x, plan.cos, plan.sin);
      case 'concat':
        return super.concat(plan.parts, plan.axis);
      case 'linear':
        return this.#product(plan, shape);
      case 'whole':
        return super.slice(plan.x, 0, 0, plan.x.shape[0]!);
      case 'gated': {
        const inner = this.output(shape, 'f32');
        const x = this.#normOf(plan.x, plan.gate.layout.shape[1]) ?? plan.x;
        gatedInner(this, { ...plan, x }, inner.buffer);
        return inner.tensor;
      }
      case 'experts': {
        const x = this.#normOf(plan.x, plan.stacks.config.hidden) ?? plan.x;
        return mixture(this, { ...plan, x }, null, null);
      }
      case 'picked':
        return routingPart(this, plan.choice, plan.part);
      case 'grouped':
        return linear(this, plan.x, matrixIn(plan.weight), shape[1]!, shape);
      case 'latent':
        return combineLatent(this, plan.parts);
    }
  }

  /** For kernels: the only page of a pool, the only expert of a feed-forward. */
  zeros(): GPUBuffer {
    this.#zeros ??= this.keep(this.upload(new Int32Array(ZEROS), [ZEROS]));
    return this.buffer(this.#zeros);
  }
}
