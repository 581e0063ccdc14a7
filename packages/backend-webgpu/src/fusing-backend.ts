/**
 * Fusion across operations. What layers ask for one operation at a time often is one kernel's work: slices of a row,
 * its norm and rotation and their place in the cache; a product and the residual that is added to it. Here operations
 * that usually are part of something larger are put off when a few tokens come (a decode step); what needs their values
 * makes them, and what completes a pattern replaces them all by one dispatch. Whatever fits no pattern is computed as it
 * would have been, only later.
 *
 * A result that is put off holds its operands by handles of its own. Since tensors never change but for the target of
 * `writeRows`, it does not matter when it is made; before a target is written, what was put off of it is made.
 */
import type { TfTensor } from '@mariana/backend-tfjs';
import type {
  BinaryOp,
  LatentAttentionOptions,
  LatentCacheView,
  MemoryUse,
  Shape,
  Tensor,
  TensorDType,
  Weight,
} from '@mariana/core';
import { expertsGateUpKernel } from './kernels/experts-decode.ts';
import { latentAppendKernel } from './kernels/latent-attention-append.ts';
import { latentFoldKernel } from './kernels/latent-attention-fold.ts';
import { latentUnfoldKernel } from './kernels/latent-attention-unfold.ts';
import { combineLatent, type LatentParts, latentParts } from './ops/attention.ts';
import { linear, matrixIn } from './ops/linear.ts';
import { operandsOf, type Plan, PutOff } from './put-off.ts';
import { WebGpuBackend } from './webgpu-backend.ts';
import { WebGpuWeight } from './weights/gpu-weight.ts';

/** Up to so many rows operations are put off; with more of them dispatches cost little beside what they compute. */
const FEW_ROWS = 8;
/** Residuals that a product can take along. */
const MOST_RESIDUALS = 2;

export class FusingBackend<T extends TfTensor = TfTensor> extends WebGpuBackend<T> {
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
    if (!fits || at !== x.rank - 1 || x.rank < 2 || !this.#isFew(x)) return super.slice(x, axis, start, end);
    const shape = x.shape.with(at, end - start);
    return this.#putOff({ kind: 'slice', x: this.#handle(x), axis: at, start, end }, shape);
  }

  override rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    const fits = weight.rank === 1 && weight.dtype === 'f32' && weight.shape[0] === x.shape.at(-1);
    if (!fits || this.#planOf(x)?.kind !== 'slice' || weight.backend !== this) return super.rmsNorm(x, weight, epsilon);
    return this.#putOff({ kind: 'norm', x: this.#handle(x), weight: this.#handle(weight), epsilon }, x.shape);
  }

  override rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    const [tokens, , width] = x.shape;
    const fits = (angles: Tensor) =>
      angles.backend === this && angles.dtype === 'f32' && `${angles.shape}` === `${[tokens, width! / 2]}`;
    if (x.rank !== 3 || this.#planOf(x)?.kind !== 'slice' || !fits(cos) || !fits(sin)) return super.rotary(x, cos, sin);
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
    const plan = { kind: 'concat', parts: [this.#handle(a), this.#handle(b)], axis: at } as const;
    return this.#putOff(plan, a.shape.with(at, a.shape[at]! + b.shape[at]!));
  }

  override linear(x: Tensor, weight: Weight): Tensor {
    const [out, inputs] = weight.shape;
    const fits = x.backend === this && x.dtype === 'f32' && x.shape.at(-1) === inputs && x.size > 0 && out > 0;
    const few = x.size <= MOST_LINEAR_TOKENS * inputs;
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
      const residuals = [...plan.residuals, other].map((residual) => this.#handle(residual));
      return this.#putOff({ ...plan, x: this.#handle(plan.x), residuals }, a.shape);
    }
    return super.binary(op, a, b);
  }

  override swiglu(gate: Tensor, up: Tensor): Tensor {
    const [g, u] = [this.#planOf(gate), this.#planOf(up)];
    if (g?.kind !== 'linear' || u?.kind !== 'linear' || `${gate.shape}` !== `${up.shape}`)
      return super.swiglu(gate, up);
    if (g.x.storage !== u.x.storage || g.residuals.length + u.residuals.length > 0) return super.swiglu(gate, up);
    const [first, second] = [g.weight.stack, u.weight.stack];
    const { format, scaleBlock, shape } = first.layout;
    const isAlone = first.layout.count === 1 && second.layout.count === 1;
    const isAlike = second.layout.format === format && `${second.layout.scaleBlock}` === `${scaleBlock}`;
    if (!isAlone || !isAlike || first.whole === undefined || second.whole === undefined) return super.swiglu(gate, up);
    const [width, hidden] = shape;
    const tokens = gate.size / width;
    const result = this.output(gate.shape, 'f32');
    // A feed-forward is an expert that everybody takes.
    this.run(expertsGateUpKernel({ weights: { format, scaleBlock }, hidden, width }), {
      shape: { tokens, perToken: 1 },
      buffers: {
        ...named('gate', first.whole),
        ...named('up', second.whole),
        x: this.buffer(g.x),
        indices: this.#zerosBuffer(),
        inner: result.buffer,
      },
      uniforms: { per_token: 1, first_expert: 0, experts: 1 },
    });
    return result.tensor;
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
    if (plan.kind === 'latent') return this.#unfold(plan.parts, weight, shape) ?? super.groupedLinear(x, weight);
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
    const joint = this.#planOf(values);
    if (joint?.kind !== 'concat' || target.rank !== 2 || values.rank !== 2) return false;
    const [normed, rotated] = joint.parts.map((part) => this.#planOf(part));
    if (normed?.kind !== 'norm' || rotated?.kind !== 'rotary') return false;
    const [latentSlice, ropeSlice] = [this.#planOf(normed.x), this.#planOf(rotated.x)];
    if (latentSlice?.kind !== 'slice' || ropeSlice?.kind !== 'slice') return false;
    const source = latentSlice.x;
    const [tokens, width] = values.shape as [number, number];
    const latent = latentSlice.end;
    const cut = source.rank === 2 && source.shape[1] === width && source.shape[0] === tokens;
    const halves =
      latentSlice.start === 0 && ropeSlice.start === latent && ropeSlice.end === width && rotated.x.shape[1] === 1;
    const isRun = rows.length === tokens && rows.every((row, i) => row === rows[0]! + i);
    const inTarget = rows[0]! >= 0 && rows[0]! + tokens <= target.shape[0]! && target.shape[1] === width;
    if (ropeSlice.x.storage !== source.storage || !cut || !halves || !isRun || !inTarget) return false;
    const { dtype } = target;
    if (dtype !== 'f32' && dtype !== 'bf16' && dtype !== 'f16') return false;
    this.unshare(target);
    this.run(latentAppendKernel({ latent, rope: width - latent, dtype }), {
      shape: { tokens },
      buffers: {
        rows: this.buffer(source),
        norm: this.buffer(normed.weight),
        cosines: this.buffer(rotated.cos),
        sines: this.buffer(rotated.sin),
        // The pool as one page, so that tokens are rows.
        pages: this.#zerosBuffer(),
        pool: this.buffer(target),
      },
      uniforms: { start: rows[0]!, page_size: target.shape[0]!, epsilon: normed.epsilon },
    });
    this.written(target);
    return true;
  }

  /** Queries folded into the latent space and rotated, in one dispatch. Null if they are not that. */
  #fold(q: Tensor, latent: number): Tensor | null {
    const joint = this.#planOf(q);
    if (joint?.kind !== 'concat') return null;
    const [folded, rotated] = joint.parts.map((part) => this.#planOf(part));
    if (folded?.kind !== 'grouped' || rotated?.kind !== 'rotary') return null;
    const [nopeSlice, ropeSlice] = [this.#planOf(folded.x), this.#planOf(rotated.x)];
    if (nopeSlice?.kind !== 'slice' || ropeSlice?.kind !== 'slice') return null;
    const source = nopeSlice.x;
    const [tokens, heads, width] = source.shape;
    const nope = nopeSlice.end;
    const rope = ropeSlice.end - ropeSlice.start;
    const { whole, layout } = folded.weight.stack;
    const fits =
      source.rank === 3 &&
      ropeSlice.x.storage === source.storage &&
      nopeSlice.start === 0 &&
      ropeSlice.start === nope &&
      ropeSlice.end === width &&
      layout.count === 1 &&
      layout.shape[0] === heads! * latent &&
      q.shape[2] === latent + rope;
    if (!fits || whole === undefined) return null;
    const { format, scaleBlock } = layout;
    const result = this.output(q.shape, 'f32');
    this.run(latentFoldKernel({ nope, rope, latent, weights: { format, scaleBlock } }), {
      shape: { tokens: tokens!, heads: heads! },
      buffers: {
        ...named('key', whole),
        query: this.buffer(source),
        cosines: this.buffer(rotated.cos),
        sines: this.buffer(rotated.sin),
        folded: result.buffer,
      },
      uniforms: { heads: heads! },
    });
    return result.tensor;
  }

  /** Splits put together and taken out of the latent space, in one dispatch. Null if the weight does not fit. */
  #unfold(
    { partial, stats, splits, shape: [tokens, heads, latent] }: LatentParts,
    weight: WebGpuWeight,
    shape: readonly [number, number, number],
  ): Tensor | null {
    const { whole, layout } = weight.stack;
    if (whole === undefined || layout.count !== 1 || latent > MOST_UNFOLDED) return null;
    const { format, scaleBlock } = layout;
    const result = this.output(shape, 'f32');
    this.run(latentUnfoldKernel({ latent, value: shape[2], weights: { format, scaleBlock } }), {
      shape: { tokens, heads },
      buffers: {
        ...named('value', whole),
        partial: partial.buffer,
        stats: stats.buffer,
        result: result.buffer,
      },
      uniforms: { heads, rows: tokens * heads, splits },
    });
    return result.tensor;
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
    // The weight may be disposed before the values are needed; its buffers then outlive it.
    const stack = plan.kind === 'linear' || plan.kind === 'grouped' ? plan.weight.stack : undefined;
    stack?.hold();
    const putOff = new PutOff(
      plan,
      ({ plan }) => this.take(this.keep(this.#compute(plan, shape))),
      (ended) => {
        this.#pending.delete(ended);
        stack?.drop();
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
        return linear(this, plan.x, matrixIn(plan.weight), 1, shape, plan.residuals);
      case 'grouped':
        return linear(this, plan.x, matrixIn(plan.weight), shape[1]!, shape);
      case 'latent':
        return combineLatent(this, plan.parts);
    }
  }

  #zerosBuffer(): GPUBuffer {
    this.#zeros ??= this.keep(this.upload(new Int32Array(ZEROS), [ZEROS]));
    return this.buffer(this.#zeros);
  }
}

/** Most tokens of products that are put off: as many as the kernel for few takes. */
const MOST_LINEAR_TOKENS = 4;
const ZEROS = 16;
/** Numbers of a latent that a workgroup holds. */
const MOST_UNFOLDED = 3072;

function named(name: string, { codes, scales }: { codes: GPUBuffer; scales?: GPUBuffer }): Record<string, GPUBuffer> {
  return { [name]: codes, ...(scales === undefined ? {} : { [`${name}_scales`]: scales }) };
}
