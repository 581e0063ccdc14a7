/** Default bodies of what an optimizer does to all parameters of a model: one after the other. */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { AdamWAllOptions, AdamWState } from '../operations.ts';
import { checkDtype } from '../shapes.ts';
import type { Tensor } from '../tensor.ts';

/** @throws MarianaError `DTYPE_MISMATCH` */
export function squaredNorms(backend: Backend, tensors: readonly Tensor[]): Tensor {
  for (const tensor of tensors) checkDtype('squaredNorms', tensor, 'f32');
  if (tensors.length === 0) return backend.upload(new Float32Array(0), [0]);
  return backend.scope(() => {
    const norms = tensors.map((x) => {
      const squares = backend.reshape(backend.binary('mul', x, x), [1, x.size]);
      return backend.reduce('sum', squares, 1);
    });
    return backend.concat(norms, 0);
  });
}

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH` */
export function checkAdamwAll(
  states: readonly AdamWState[],
  gradients: readonly Tensor[],
  { gradientScale }: AdamWAllOptions,
): void {
  if (states.length !== gradients.length) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `adamwAll: ${gradients.length} gradients for ${states.length} parameters; takes one for each`,
    );
  }
  if (gradientScale === undefined) return;
  checkDtype('adamwAll', gradientScale, 'f32');
  if (gradientScale.size !== 1) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `adamwAll: a factor on all gradients is one number, not a ${gradientScale}`,
    );
  }
}

export function adamwAll(
  backend: Backend,
  states: readonly AdamWState[],
  gradients: readonly Tensor[],
  options: AdamWAllOptions,
): AdamWState[] {
  checkAdamwAll(states, gradients, options);
  const { gradientScale } = options;
  return backend.scope(() => {
    const factor = gradientScale && backend.reshape(gradientScale, []);
    return states.map((state, i) =>
      backend.scope(() => {
        const gradient = factor ? backend.binary('mul', gradients[i]!, factor) : gradients[i]!;
        return backend.adamw(state, gradient, options);
      }),
    );
  });
}
