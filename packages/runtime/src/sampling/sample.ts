/**
 * From logits to the next token. Each step is a pure function of a copy of the logits; `sample` applies them in the
 * order of Hugging Face's generate: bias and penalty, temperature, top-k, top-p, min-p, then the draw.
 */
import { MarianaError } from '@mariana/core';
import type { CheckedSamplingOptions } from './options.ts';
import type { Random } from './random.ts';

/** A token with its natural logarithm of probability under the model (temperature 1, nothing cut). */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/**
 * log softmax, in double precision.
 *
 * @throws MarianaError `BACKEND_FAILED` if the logits hold NaN: something before this went wrong, and any choice would be
 *   noise.
 */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (Number.isNaN(logit)) {
      throw new MarianaError('BACKEND_FAILED', `the logit of token ${i} is not a number; are the weights damaged?`);
    }
    if (logit > max) max = logit;
  }
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - max);
  const shift = max + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - shift);
}

/** The `count` most probable tokens, best first. */
export function topTokens(logprobs: Float64Array, count: number): TokenLogprob[] {
  const best: number[] = [];
  for (let id = 0; id < logprobs.length; id++) {
    if (best.length === count && !(logprobs[id]! > logprobs[best[count - 1]!]!)) continue;
    let at = best.length;
    while (at > 0 && logprobs[id]! > logprobs[best[at - 1]!]!) at--;
    best.splice(at, 0, id);
    if (best.length > count) best.pop();
  }
  return best.map((id) => ({ id, logprob: logprobs[id]! }));
}

/** Adds a bias to single tokens. */
export function biasLogits(logits: Float32Array, bias: Readonly<Record<number, number>>): void {
  for (const [id, value] of Object.entries(bias)) logits[Number(id)]! += value;
}

/** Makes tokens that occurred less likely (CTRL, arXiv 1909.05858, section 4.1). */
export function penalizeRepetition(logits: Float32Array, tokens: Iterable<number>, penalty: number): void {
  if (penalty === 1) return;
  for (const id of new Set(tokens)) {
    const logit = logits[id]!;
    logits[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
}

/** Position of the largest logit, the first of equals. */
export function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Tokens still in play, most probable first, with probabilities that sum to 1. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly probabilities: Float64Array;
}

/** What is left of the vocabulary after temperature, top-k, top-p and min-p. Never empty. */
export function candidates(
  logits: Float32Array,
  { temperature, topK, topP, minP }: Pick<CheckedSamplingOptions, 'temperature' | 'topK' | 'topP' | 'minP'>,
): Candidates {
  const logprobs = logSoftmax(Float64Array.from(logits, (logit) => logit / temperature));
  const ids = Int32Array.from(logprobs.keys()).sort((a, b) => logprobs[b]! - logprobs[a]! || a - b);
  let count = topK === 0 ? ids.length : Math.min(topK, ids.length);
  const total = sumOf(ids, logprobs, count);
  if (topP < 1) {
    let mass = 0;
    for (let i = 0; i < count; i++) {
      mass += Math.exp(logprobs[ids[i]!]!) / total;
      if (mass >= topP) count = i + 1;
    }
  }
  const floor = logprobs[ids[0]!]! + Math.log(minP);
  while (count > 1 && logprobs[ids[count - 1]!]! < floor) count--;
  const kept = sumOf(ids, logprobs, count);
  const probabilities = Float64Array.from({ length: count }, (_, i) => Math.exp(logprobs[ids[i]!]!) / kept);
  return { ids: ids.slice(0, count), probabilities };
}

function sumOf(ids: Int32Array, logprobs: Float64Array, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp(logprobs[ids[i]!]!);
  return sum;
}

/** Draws one of the candidates. */
export function draw({ ids, probabilities }: Candidates, random: Random): number {
  let left = random.next();
  for (let i = 0; i < ids.length; i++) {
    left -= probabilities[i]!;
    if (left < 0) return ids[i]!;
  }
  return ids.at(-1)!;
}

/**
 * The next token.
 *
 * @param logits - [vocab_size]; not changed.
 * @param past - Tokens that the repetition penalty applies to.
 */
export function sample(
  logits: Float32Array,
  past: Iterable<number>,
  options: CheckedSamplingOptions,
  random: Random,
): number {
  const adjusted = logits.slice();
  biasLogits(adjusted, options.logitBias);
  penalizeRepetition(adjusted, past, options.repetitionPenalty);
  return options.temperature === 0 ? argmax(adjusted) : draw(candidates(adjusted, options), random);
}
