/**
 * A backend that wraps a backend and remembers what it did, so that every layer trains on every backend without knowing
 * it. Its tensors are tensors of the wrapped one, with a note of how they depend on parameters. Operations on constants
 * pass straight through; operations on anything that depends on a parameter are recorded. Composites fall to their
 * default bodies in primitives, so none of them needs a gradient of its own; those that a model spends its time in have
 * one here all the same, which runs the wrapped backend's kernel and keeps less.
 *
 * Gradients are F32, of the shape of what they belong to. They stop at integers: comparisons, indices, casts to integer
 * dtypes, and at `sign`, `floor` and `ceil`. Casts between float dtypes hand the gradient through unchanged (the
 * straight-through estimate), which is what training in BF16 or FP8 wants: rounding counts as the identity.
 */
import {
  type AttentionOptions,
  type Backend,
  type BinaryOp,
  COMPARISON_OPS,
  type ComparisonOp,
  DenseWeight,
  type ExpertWeights,
  FLOAT_DTYPES,
  type MatmulOptions,
  type ReduceOp,
  type ReduceOptions,
  type Routing,
  resolveAxis,
  type Shape,
  type Tensor,
  type TensorDType,
  type UnaryOp,
  type Weight,
} from '@mariana/core';
import { attention } from './composites/attention.ts';
import { rmsNorm, rotary, softmax, swiglu } from './composites/elementary.ts';
import { experts, expertTensors } from './composites/experts.ts';
import { BINARY_RULES, type Save, UNARY_RULES } from './elementwise-rules.ts';
import { matmulRuleA, matmulRuleB } from './matmul-rule.ts';
import {
  concatRule,
  gatherRule,
  maxRule,
  scatterAddRule,
  sliceRule,
  sumRule,
  topKRule,
  transposeRule,
  whereRule,
} from './movement-rules.ts';
import { RecordingBackend } from './recording-backend.ts';

export class AutodiffBackend extends RecordingBackend {
  // ---------------------------------------------------------------------------------------------------------------
  // Mathematics
  // ---------------------------------------------------------------------------------------------------------------

  unary(op: UnaryOp, x: Tensor): Tensor {
    const operand = this.unwrap(x);
    const y = this.inner.unary(op, operand);
    const rule = UNARY_RULES[op];
    return rule ? this.recordEach(op, y, [[x, (save) => rule(this.inner, save, operand, y)]]) : this.adopt(y);
  }

  binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    const [left, right] = [this.unwrap(a), this.unwrap(b)];
    const y = this.inner.binary(op, left, right);
    if (isComparison(op)) return this.adopt(y);
    const rules = BINARY_RULES[op];
    return this.recordEach(op, y, [
      [a, (save) => this.summedTo(a.shape, rules.a(this.inner, save, left, right, y))],
      [b, (save) => this.summedTo(b.shape, rules.b(this.inner, save, left, right, y))],
    ]);
  }

  where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    const test = this.unwrap(condition);
    return this.recordEach('where', this.inner.where(test, this.unwrap(a), this.unwrap(b)), [
      [a, (save) => this.summedTo(a.shape, whereRule(this.inner, save, test, 'a'))],
      [b, (save) => this.summedTo(b.shape, whereRule(this.inner, save, test, 'b'))],
    ]);
  }

  reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    const operand = this.unwrap(x);
    const y = this.inner.reduce(op, operand, axis, options);
    const at = resolveAxis(op, axis, x.rank);
    return this.recordEach(op, y, [
      [x, (save) => (op === 'sum' ? sumRule(this.inner, x.shape, at) : maxRule(this.inner, save, operand, y, at))],
    ]);
  }

  matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    const [left, right] = [this.unwrap(a), this.unwrap(b)];
    return this.recordEach('matmul', this.inner.matmul(left, right, options), [
      [a, (save) => matmulRuleA(this.inner, save, a.shape, right, options)],
      [b, (save) => matmulRuleB(this.inner, save, left, b.shape, options)],
    ]);
  }

  gather(data: Tensor, indices: Tensor): Tensor {
    const rows = this.unwrap(indices);
    return this.recordEach('gather', this.inner.gather(this.unwrap(data), rows), [
      [data, (save) => gatherRule(this.inner, save, data.shape, rows)],
    ]);
  }

  scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor {
    const places = this.unwrap(indices);
    return this.recordEach('scatterAdd', this.inner.scatterAdd(places, this.unwrap(updates), rows), [
      [updates, (save) => scatterAddRule(this.inner, save, places)],
    ]);
  }

  topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    const { values, indices } = this.inner.topK(this.unwrap(x), k);
    const rule = (save: Save) => topKRule(this.inner, save, x.shape, indices);
    return { values: this.recordEach('topK', values, [[x, rule]]), indices: this.adopt(indices) };
  }

  slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    const y = this.inner.slice(this.unwrap(x), axis, start, end);
    const at = resolveAxis('slice', axis, x.rank);
    return this.recordEach('slice', y, [[x, () => sliceRule(at, start, end)]]);
  }

  concat(tensors: readonly Tensor[], axis: number): Tensor {
    const y = this.inner.concat(
      tensors.map((tensor) => this.unwrap(tensor)),
      axis,
    );
    const at = resolveAxis('concat', axis, y.rank);
    let end = 0;
    return this.recordEach(
      'concat',
      y,
      tensors.map((tensor) => {
        const start = end;
        end += tensor.shape[at]!;
        const rule = concatRule(this.inner, at, start, end);
        return [tensor, () => rule];
      }),
    );
  }

  transpose(x: Tensor, permutation: readonly number[]): Tensor {
    return this.recordEach('transpose', this.inner.transpose(this.unwrap(x), permutation), [
      [x, () => transposeRule(this.inner, permutation)],
    ]);
  }

  cast(x: Tensor, dtype: TensorDType): Tensor {
    const y = this.inner.cast(this.unwrap(x), dtype);
    if (!isFloat(dtype)) return this.adopt(y);
    return this.recordEach('cast', y, [[x, () => (gradient) => gradient]]);
  }

  override reshape(x: Tensor, shape: Shape): Tensor {
    const y = this.inner.reshape(this.unwrap(x), shape);
    // The graph gives every gradient the shape of its variable.
    return this.recordEach('reshape', y, [[x, () => (gradient) => gradient]]);
  }

  override linear(x: Tensor, weight: Weight): Tensor {
    const product = weight instanceof DenseWeight ? this.productOf(weight.tensor) : undefined;
    if (!product || !(weight instanceof DenseWeight)) return super.linear(x, weight);
    return product.linear(this, x, weight.tensor);
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Composites with gradients of their own
  // ---------------------------------------------------------------------------------------------------------------

  override rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    return rmsNorm(this, x, weight, epsilon);
  }

  override rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    // Tables are constants in every model; where they are not, the primitives know what to do.
    return this.isTracked(cos) || this.isTracked(sin) ? super.rotary(x, cos, sin) : rotary(this, x, cos, sin);
  }

  override swiglu(gate: Tensor, up: Tensor): Tensor {
    return gate.shape.join() === up.shape.join() ? swiglu(this, gate, up) : super.swiglu(gate, up);
  }

  override softmax(x: Tensor): Tensor {
    return softmax(this, x);
  }

  override async experts(
    x: Tensor,
    routing: Pick<Routing, 'indices' | 'weights'>,
    weights: ExpertWeights,
  ): Promise<Tensor> {
    const tensors = expertTensors(weights);
    const all = tensors && [...tensors.gate, ...tensors.up, ...tensors.down];
    // Products of their own (as in FP8) are linear layers of their own.
    if (!all || all.some((tensor) => this.productOf(tensor))) return super.experts(x, routing, weights);
    return experts(this, x, routing, weights, tensors);
  }

  override attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    return attention(this, q, k, v, options);
  }
}

const isFloat = (dtype: TensorDType) => (FLOAT_DTYPES as readonly TensorDType[]).includes(dtype);

const isComparison = (op: BinaryOp): op is ComparisonOp => (COMPARISON_OPS as readonly BinaryOp[]).includes(op);

/** Wraps a backend for training. */
export function autodiff(inner: Backend): AutodiffBackend {
  return new AutodiffBackend(inner);
}
