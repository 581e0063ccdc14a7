/**
 * Default body of the gradient of attention, in primitives: scores are computed anew, so that what a layer keeps grows
 * with the length of a sequence and not with its square.
 *
 * With P = softmax(scale q k^T + mask) and o = P v, for each head: dv = P^T do; dS = P (do v^T - rowsum(do o));
 * dq = scale dS k; dk = scale dS^T q.
 *
 * Source: FlashAttention-2 (arXiv 2307.08691), section 2.3.2.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { AttentionGradients, AttentionOptions, AttentionPass } from '../operations.ts';
import { scalar } from '../scalar.ts';
import type { Tensor } from '../tensor.ts';
import { checkGradient } from './gradients.ts';

export interface AttentionSizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly width: number;
  readonly value: number;
}

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH` */
export function attentionGradientSizes(gradient: Tensor, { q, k, v, output }: AttentionPass): AttentionSizes {
  const [batch, queries, heads, width] = q.shape as [number, number, number, number];
  const [, keys, , value] = v.shape as [number, number, number, number];
  if (q.rank !== 4 || k.rank !== 4 || v.rank !== 4) {
    throw new MarianaError('SHAPE_MISMATCH', `attentionGradients: ${q}, ${k} and ${v} are no heads of one attention`);
  }
  checkGradient('attentionGradients', q, [batch, queries, heads, width]);
  checkGradient('attentionGradients', k, [batch, keys, heads, width]);
  checkGradient('attentionGradients', v, [batch, keys, heads, value]);
  for (const tensor of [output, gradient]) {
    checkGradient('attentionGradients', tensor, [batch, queries, heads, value]);
  }
  return { batch, queries, keys, heads, width, value };
}

export function attentionGradients(
  backend: Backend,
  gradient: Tensor,
  pass: AttentionPass,
  { scale, queryStart = 0 }: AttentionOptions,
): AttentionGradients {
  const { queries, keys } = attentionGradientSizes(gradient, pass);
  return backend.scope(() => {
    const headsFirst = (x: Tensor) => backend.transpose(x, [0, 2, 1, 3]);
    const [q, k, v] = [headsFirst(pass.q), headsFirst(pass.k), headsFirst(pass.v)];
    const [output, dy] = [headsFirst(pass.output), headsFirst(gradient)];
    const factor = scalar(backend, scale);
    const scaled = backend.binary('mul', q, factor);
    const mask = causalMask(backend, queries, keys, queryStart);
    const scores = backend.binary('add', backend.matmul(scaled, k, { transposeB: true }), mask);
    const probabilities = backend.softmax(scores);
    const dv = backend.matmul(probabilities, dy, { transposeA: true });
    const sums = backend.reduce('sum', backend.binary('mul', dy, output), -1, { keepDims: true });
    const slopes = backend.binary('sub', backend.matmul(dy, v, { transposeB: true }), sums);
    const dScores = backend.binary('mul', probabilities, slopes);
    const dq = backend.binary('mul', backend.matmul(dScores, k), factor);
    const dk = backend.matmul(dScores, scaled, { transposeA: true });
    return { q: headsFirst(dq), k: headsFirst(dk), v: headsFirst(dv) };
  });
}

/** F32 [queries, keys]: zero where query i may see key j (j <= queryStart + i), else minus infinity. */
function causalMask(backend: Backend, queries: number, keys: number, queryStart: number): Tensor {
  const mask = new Float32Array(queries * keys);
  for (let i = 0; i < queries; i++) {
    mask.fill(Number.NEGATIVE_INFINITY, Math.min(i * keys + queryStart + i + 1, (i + 1) * keys), (i + 1) * keys);
  }
  return backend.upload(mask, [queries, keys]);
}
