/**
 * Gradient of attention. The forward pass keeps queries, keys, values and the result, and no scores: the backward pass
 * computes them anew, so that what a layer keeps grows with the length of a sequence and not with its square.
 *
 * With P = softmax(scale q k^T + mask) and o = P v, for each head: dv = P^T do; dS = P (do v^T - rowsum(do o));
 * dq = scale dS k; dk = scale dS^T q.
 *
 * Source: FlashAttention-2 (arXiv 2307.08691), section 2.3.2.
 */
import { type AttentionOptions, type Backend, scalar, type Tensor } from '@mariana/core';
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
      backward: (gradient, saved) => attentionGradients(inner, gradient, saved, options),
    };
  });
}

function attentionGradients(
  backend: Backend,
  gradient: Tensor,
  saved: readonly Tensor[],
  { scale, queryStart = 0 }: AttentionOptions,
): Tensor[] {
  const headsFirst = (x: Tensor) => backend.transpose(x, [0, 2, 1, 3]);
  const [q, k, v, output, dy] = [...saved, gradient].map(headsFirst) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const scaled = backend.binary('mul', q, scalar(backend, scale));
  const mask = causalMask(backend, q.shape.at(-2)!, k.shape.at(-2)!, queryStart);
  const scores = backend.binary('add', backend.matmul(scaled, k, { transposeB: true }), mask);
  const probabilities = backend.softmax(scores);
  const dv = backend.matmul(probabilities, dy, { transposeA: true });
  const sums = backend.reduce('sum', backend.binary('mul', dy, output), -1, { keepDims: true });
  const slopes = backend.binary('sub', backend.matmul(dy, v, { transposeB: true }), sums);
  const dScores = backend.binary('mul', probabilities, slopes);
  const dq = backend.binary('mul', backend.matmul(dScores, k), scalar(backend, scale));
  const dk = backend.matmul(dScores, scaled, { transposeA: true });
  return [dq, dk, dv].map(headsFirst);
}

/** F32 [queries, keys]: zero where query i may see key j (j <= queryStart + i), else minus infinity. */
function causalMask(backend: Backend, queries: number, keys: number, queryStart: number): Tensor {
  const mask = new Float32Array(queries * keys);
  for (let i = 0; i < queries; i++) {
    mask.fill(Number.NEGATIVE_INFINITY, Math.min(i * keys + queryStart + i + 1, (i + 1) * keys), (i + 1) * keys);
  }
  return backend.upload(mask, [queries, keys]);
}
