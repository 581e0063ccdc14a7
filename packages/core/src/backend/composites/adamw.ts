/**
 * Default body of an AdamW update, in primitives.
 *
 * Source: "Decoupled Weight Decay Regularization" (arXiv 1711.05101); DeepSeek-V3 report, sections 3.3.3 and 4.2.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { AdamWOptions, AdamWState } from '../operations.ts';
import { scalar } from '../scalar.ts';
import type { Tensor } from '../tensor.ts';

/** The numbers of one update, every default filled in. */
export interface AdamWFactors {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** What is left of the parameter: 1 - learningRate * weightDecay, or 1 for tensors that do not decay. */
  readonly keep: number;
  /** Corrects the bias of the root of the second moment. */
  readonly rootScale: number;
  /** The learning rate, with the correction of the first moment's bias. */
  readonly stepSize: number;
}

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for a step below 1 */
export function adamwFactors(
  { parameter, firstMoment, secondMoment }: AdamWState,
  gradient: Tensor,
  { step, learningRate, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0.1 }: AdamWOptions,
): AdamWFactors {
  for (const other of [gradient, firstMoment, secondMoment]) {
    if (other.shape.join() === parameter.shape.join()) continue;
    throw new MarianaError('SHAPE_MISMATCH', `adamw: a ${other} does not belong to a parameter ${parameter}`);
  }
  for (const tensor of [parameter, gradient]) {
    if (tensor.dtype !== 'f32') throw new MarianaError('DTYPE_MISMATCH', `adamw: takes F32, not a ${tensor}`);
  }
  if (!Number.isInteger(step) || step < 1) {
    throw new MarianaError('INVALID_ARGUMENT', `adamw: steps count from 1, not ${step}`);
  }
  return {
    beta1,
    beta2,
    epsilon,
    keep: parameter.rank >= 2 ? 1 - learningRate * weightDecay : 1,
    rootScale: 1 / Math.sqrt(1 - beta2 ** step),
    stepSize: learningRate / (1 - beta1 ** step),
  };
}

export function adamw(backend: Backend, state: AdamWState, gradient: Tensor, options: AdamWOptions): AdamWState {
  const { beta1, beta2, epsilon, keep, rootScale, stepSize } = adamwFactors(state, gradient, options);
  const { parameter, firstMoment, secondMoment } = state;
  return backend.scope(() => {
    const scaled = (x: Tensor, factor: number) => backend.binary('mul', x, scalar(backend, factor));
    const average = (old: Tensor, now: Tensor, beta: number) =>
      backend.binary('add', scaled(backend.cast(old, 'f32'), beta), scaled(now, 1 - beta));
    const m = average(firstMoment, gradient, beta1);
    const v = average(secondMoment, backend.binary('mul', gradient, gradient), beta2);
    const root = backend.binary('add', scaled(backend.unary('sqrt', v), rootScale), scalar(backend, epsilon));
    const move = scaled(backend.binary('div', m, root), stepSize);
    return {
      parameter: backend.binary('sub', scaled(parameter, keep), move),
      firstMoment: backend.cast(m, firstMoment.dtype),
      secondMoment: backend.cast(v, secondMoment.dtype),
    };
  });
}
