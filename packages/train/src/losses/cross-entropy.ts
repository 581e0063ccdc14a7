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
      const places = inner.upload(
        Int32Array.from(targets, (target, token) => token * vocabulary + target),
        [tokens],
      );
      const flat = inner.reshape(x!, [x!.size]);
      const normalizers = logSumExp(inner, x!);
      return {
        output: inner.binary('sub', inner.reshape(normalizers, [tokens]), inner.gather(flat, places)),
        saved: [x!, normalizers, places],
        backward: (gradient, [saved, norms, at]) => [logitsGradient(inner, gradient, saved!, norms!, at!)],
      };
    });
    return { loss: meanAll(backend, perToken), perToken };
  });
}

/** log(sum(exp(x))) over the last axis, [T, 1]. */
function logSumExp(backend: Backend, x: Tensor): Tensor {
  const max = backend.reduce('max', x, -1, { keepDims: true });
  const exp = backend.unary('exp', backend.binary('sub', x, max));
  return backend.binary('add', backend.unary('log', backend.reduce('sum', exp, -1, { keepDims: true })), max);
}

/** (softmax(logits) - one-hot(target)) times the gradient of each token's loss. */
function logitsGradient(backend: Backend, gradient: Tensor, logits: Tensor, normalizers: Tensor, at: Tensor): Tensor {
  const probabilities = backend.unary('exp', backend.binary('sub', logits, normalizers));
  const spread = backend.binary('mul', probabilities, backend.reshape(gradient, normalizers.shape));
  const hits = backend.scatterAdd(at, backend.reshape(gradient, at.shape), logits.size);
  return backend.binary('sub', spread, backend.reshape(hits, logits.shape));
}
