/**
 * Next-token cross-entropy. Its gradient is written out, softmax minus one-hot, instead of being left to the primitives:
 * those would keep several copies of the logits, the largest tensor of a training step.
 */
import { type Backend, checkDtype, MarianaError, type Tensor } from '@mariana/core';
import { checkTokens } from '@mariana/layers';
import { differentiable } from '../autodiff/differentiable.ts';
import { meanAll } from '../math.ts';

export interface CrossEntropy {
  /** F32 scalar: the mean over all tokens, in nats. */
  readonly loss: Tensor;
  /** F32 [T]: -log p(target) of each token. */
  readonly perToken: Tensor;
}

/**
 * -log softmax(logits)[target], for each token and on average.
 *
 * @param logits - F32 [T, vocab_size].
 * @param targets - T token ids below vocab_size.
 * @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `TOKEN_OUT_OF_RANGE`.
 */
export function crossEntropy(backend: Backend, logits: Tensor, targets: ArrayLike<number>): CrossEntropy {
  const [tokens, vocabulary] = logits.shape;
  checkDtype('crossEntropy', logits, 'f32');
  if (logits.rank !== 2 || tokens === undefined || vocabulary === undefined || targets.length !== tokens || !tokens) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `crossEntropy: ${targets.length} targets do not fit a ${logits}; pass logits [T, vocab_size], T at least 1`,
    );
  }
  checkTokens(targets, vocabulary);
  return backend.scope(() => {
    const perToken = differentiable(backend, 'crossEntropy', [logits], (inner, [x]) => {
      const places = inner.upload(Int32Array.from(targets), [tokens]);
      const { losses, normalizers } = inner.crossEntropy(x!, places);
      return {
        output: losses,
        saved: [x!, places, normalizers],
        backward: (gradient, [saved, at, norms]) => [inner.crossEntropyGradients(gradient, saved!, at!, norms!)],
      };
    });
    return { loss: meanAll(backend, perToken), perToken };
  });
}
