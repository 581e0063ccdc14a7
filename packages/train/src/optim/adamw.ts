/**
 * AdamW: one update of one tensor, in primitives, so that parameters never leave the device.
 *
 * Readings where the DeepSeek-V3 report is silent: epsilon 1e-8, outside the square root and after bias correction; only
 * tensors of two or more axes decay (as Megatron); BF16 moments are rounded for storage, after the update was computed
 * from the unrounded ones (as TransformerEngine).
 *
 * Source: "Decoupled Weight Decay Regularization" (arXiv 1711.05101); DeepSeek-V3 report, sections 3.3.3 and 4.2.
 */
import { type Backend, MarianaError, scalar, type Tensor } from '@mariana/core';
import { scaled } from '../math.ts';

/** How parameters move. */
export interface AdamWOptions {
  /** Number of this update, from 1: bias correction divides by 1 - beta^step. */
  readonly step: number;
  readonly learningRate: number;
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.95. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decay a step is learningRate * weightDecay, of tensors with two or more axes. Default 0.1. */
  readonly weightDecay?: number;
}

/** A parameter with its moments. */
export interface AdamWState {
  /** F32. */
  readonly parameter: Tensor;
  /** F32 or BF16, of the shape of the parameter; zeros before the first step. */
  readonly firstMoment: Tensor;
  /** F32 or BF16. */
  readonly secondMoment: Tensor;
}

/**
 * The state after one step, in new tensors; moments keep their dtypes. All in F32:
 *
 * 1. p <- p * (1 - lr * decay), for two or more axes.
 * 2. m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2.
 * 3. p <- p - lr / (1 - beta1^n) * m / (sqrt(v) / sqrt(1 - beta2^n) + epsilon).
 *
 * A zero gradient is a gradient: the tensor decays and its moments fade.
 *
 * @param gradient - F32, of the shape of the parameter.
 * @throws MarianaError `SHAPE_MISMATCH`, `INVALID_ARGUMENT` for a step below 1.
 */
export function adamwStep(
  backend: Backend,
  { parameter, firstMoment, secondMoment }: AdamWState,
  gradient: Tensor,
  { step, learningRate, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0.1 }: AdamWOptions,
): AdamWState {
  check(parameter, [gradient, firstMoment, secondMoment], step);
  return backend.scope(() => {
    const average = (old: Tensor, now: Tensor, beta: number) =>
      backend.binary('add', scaled(backend, backend.cast(old, 'f32'), beta), scaled(backend, now, 1 - beta));
    const m = average(firstMoment, gradient, beta1);
    const v = average(secondMoment, backend.binary('mul', gradient, gradient), beta2);
    const decay = parameter.rank >= 2 ? learningRate * weightDecay : 0;
    const decayed = decay === 0 ? parameter : scaled(backend, parameter, 1 - decay);
    const root = scaled(backend, backend.unary('sqrt', v), 1 / Math.sqrt(1 - beta2 ** step));
    const direction = backend.binary('div', m, backend.binary('add', root, scalar(backend, epsilon)));
    const move = scaled(backend, direction, learningRate / (1 - beta1 ** step));
    return {
      parameter: backend.binary('sub', decayed, move),
      firstMoment: backend.cast(m, firstMoment.dtype),
      secondMoment: backend.cast(v, secondMoment.dtype),
    };
  });
}

function check(parameter: Tensor, others: readonly Tensor[], step: number): void {
  for (const other of others) {
    if (other.shape.join() !== parameter.shape.join()) {
      throw new MarianaError('SHAPE_MISMATCH', `adamwStep: a ${other} does not belong to a parameter ${parameter}`);
    }
  }
  if (!Number.isInteger(step) || step < 1) {
    throw new MarianaError('INVALID_ARGUMENT', `adamwStep: steps count from 1, not ${step}`);
  }
}
