/**
 * Attention as a recorded operation. It keeps queries, keys, values and the result, and no scores: what a layer keeps
 * grows with the length of a sequence and not with its square.
 */
import type { AttentionOptions, Tensor } from '@mariana/core';
import type { RecordingBackend } from '../recording-backend.ts';

export function attention(
  backend: RecordingBackend,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions,
): Tensor {
  return backend.custom('attention', [q, k, v], (inner, [queries, keys, values]) => {
    const output = inner.attention(queries!, keys!, values!, options);
    return {
      output,
      saved: [queries!, keys!, values!, output],
      backward(gradient, [q, k, v, output]) {
        const pass = { q: q!, k: k!, v: v!, output: output! };
        const gradients = inner.attentionGradients(gradient, pass, options);
        return [gradients.q, gradients.k, gradients.v];
      },
    };
  });
}
