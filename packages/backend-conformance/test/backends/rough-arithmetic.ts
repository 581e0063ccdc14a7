/**
 * A backend as rough as a tolerance allows: sums one after the other in float32, functions off by nearly all of their
 * ulps, up or down as a hash of the operand has it, subnormals flushed if they may be. It must pass, or the bounds would
 * refuse honest hardware.
 */
import { ReferenceBackend } from '@mariana/backend-reference';
import type { BinaryOp, MatmulOptions, ReduceOp, ReduceOptions, Tensor, UnaryOp } from '@mariana/core';
import { SMALLEST_NORMAL, type Tolerance, ulp, ulpsOf } from '../../src/tolerance.ts';

export class RoughBackend extends ReferenceBackend {
  override readonly name: string = 'rough';
  readonly #tolerance: Tolerance;

  constructor(tolerance: Tolerance) {
    super();
    this.#tolerance = tolerance;
  }

  override unary(op: UnaryOp, x: Tensor): Tensor {
    const y = super.unary(op, x);
    const [from, to] = [this.floats(x), this.floats(y)];
    to.forEach((value, i) => {
      if (isExact(op, from[i]!, value)) return;
      to[i] = this.#flushed(off(value, ulpsOf(op, from[i]!, this.#tolerance), from[i]!));
    });
    return y;
  }

  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    const y = super.binary(op, a, b);
    if (y.dtype !== 'f32' || op === 'max' || op === 'min') return y;
    const to = this.floats(y);
    to.forEach((value, i) => {
      to[i] = this.#flushed(op === 'div' && value !== 0 ? off(value, this.#tolerance.div, value) : value);
    });
    return y;
  }

  override reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    const y = super.reduce(op, x, axis, options);
    if (op !== 'sum') return y;
    const [from, to] = [this.floats(x), this.floats(y)];
    const at = axis < 0 ? axis + x.rank : axis;
    const inner = x.shape.slice(at + 1).reduce((a, b) => a * b, 1);
    to.fill(0);
    from.forEach((value, i) => {
      to[Math.floor(i / (inner * x.shape[at]!)) * inner + (i % inner)]! += value;
    });
    return y;
  }

  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    const y = super.matmul(a, b, options);
    const lead = (x: Tensor) => x.shape.slice(0, -2);
    if (`${lead(a)}` !== `${lead(b)}`) return y; // broadcast batches stay as precise as they are
    const [m, n] = [y.shape.at(-2)!, y.shape.at(-1)!];
    const k = a.shape.at(options.transposeA ? -2 : -1)!;
    const [left, right, sums] = [this.floats(a), this.floats(b), this.floats(y)];
    const sum = new Float32Array(1);
    for (let i = 0; i < sums.length; i++) {
      const [matrix, row, column] = [Math.floor(i / (m * n)), Math.floor(i / n) % m, i % n];
      sum[0] = 0;
      for (let j = 0; j < k; j++) {
        const x = left[matrix * m * k + (options.transposeA ? j * m + row : row * k + j)]!;
        const w = right[matrix * k * n + (options.transposeB ? column * k + j : j * n + column)]!;
        sum[0] += Math.fround(x * w);
      }
      sums[i] = sum[0];
    }
    return y;
  }

  #flushed(value: number): number {
    return this.#tolerance.subnormals === 'flushed' && Math.abs(value) < SMALLEST_NORMAL ? 0 : value;
  }
}

/** Results that the contract wants exact, or that an ulp does not measure. */
function isExact(op: UnaryOp, x: number, y: number): boolean {
  if (op === 'exp2') return Number.isInteger(x) || !isOrdinary(y);
  if (op === 'log2') return Number.isInteger(y) || !isOrdinary(y);
  return ['neg', 'abs', 'sign', 'floor', 'ceil'].includes(op) || !isOrdinary(y);
}

const isOrdinary = (y: number) => Math.abs(y) >= SMALLEST_NORMAL && Math.abs(y) < 1e38;

/** A value that is off by up to so many ulps, and correctly rounded if that is half of one. */
function off(value: number, ulps: number, x: number): number {
  const spare = 0.9 * (ulps - 1); // it was rounded before, and will be again
  if (spare <= 0 || !isOrdinary(value)) return value;
  return value + (Math.sin(1e4 * x) < 0 ? -1 : 1) * spare * ulp(value * (1 - 2 ** -24));
}
