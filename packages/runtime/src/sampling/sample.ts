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
 * @throws MarianaError `BACKEND_FAILED` if the logits hold NaN or infinity, or are all minus infinity: something before
 *   this went wrong, and any choice would be noise.
 */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  return shiftedLogSoftmax(logits, 1);
}

/** One element of `logSoftmax`, which has the same digits and takes no array. */
export function logprobOf(logits: ArrayLike<number>, id: number): number {
  const max = finiteMax(logits);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - max);
  return logits[id]! - max - Math.log(sum);
}

/** log softmax of logits / temperature. The largest is taken off before the division, which may overflow. */
function shiftedLogSoftmax(logits: ArrayLike<number>, temperature: number): Float64Array {
  const max = finiteMax(logits);
  const logprobs = new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < logprobs.length; i++) {
    const scaled = (logits[i]! - max) / temperature;
    logprobs[i] = scaled;
    sum += Math.exp(scaled);
  }
  const shift = Math.log(sum);
  for (let i = 0; i < logprobs.length; i++) logprobs[i]! -= shift;
  return logprobs;
}

/** The largest logit. @throws MarianaError as `logSoftmax` does */
function finiteMax(logits: ArrayLike<number>): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (!(logit < Number.POSITIVE_INFINITY)) {
      throw new MarianaError('BACKEND_FAILED', `the logit of token ${i} is ${logit}; are the weights damaged?`);
    }
    if (logit > max) max = logit;
  }
  if (max > Number.NEGATIVE_INFINITY) return max;
  throw new MarianaError('BACKEND_FAILED', 'no token is possible: every logit is minus infinity; is a bias on all?');
}

/** The `count` most probable tokens, best first. */
export function topTokens(logprobs: Float64Array, count: number): TokenLogprob[] {
  const best: number[] = [];
  if (count === 0) return [];
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

type Cuts = Pick<CheckedSamplingOptions, 'topK' | 'topP' | 'minP'>;

/** What is left of the vocabulary after temperature, top-k, top-p and min-p. Never empty. */
export function candidates(
  logits: Float32Array,
  { temperature, ...cuts }: Cuts & Pick<CheckedSamplingOptions, 'temperature'>,
): Candidates {
  const { topK, topP, minP } = cuts;
  const logprobs = shiftedLogSoftmax(logits, temperature);
  const ids = ranked(logits, logprobs, cuts);
  let count = ids.length;
  if (topP < 1) {
    const total = topK === 0 ? 1 : sumOf(ids, logprobs, count);
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

/**
 * Token ids, most probable first (of equals the lower id): the `topK` best, or those that top-p and min-p could keep. To
 * sort a whole vocabulary takes as long as to decode a token, so most of it is passed over.
 */
function ranked(logits: Float32Array, logprobs: Float64Array, { topK, topP, minP }: Cuts): Int32Array {
  // What has no probability in double precision must not be drawn, not even by a rounding error.
  const least = Math.max(UNDERFLOW, topK === 0 ? leastKept(logprobs, topP, minP) : boundOfBest(logprobs, topK));
  const ids: number[] = [];
  for (let id = 0; id < logprobs.length; id++) if (logprobs[id]! >= least) ids.push(id);
  const sorted = sortByLogit(ids, logits);
  return topK === 0 ? sorted : sorted.subarray(0, topK);
}

/** exp of less is 0. */
const UNDERFLOW = -745;

/**
 * A bound that no kept token is below. Tokens less probable than (1 - topP) / vocab_size together have less than
 * 1 - topP, and so are never among the first topP.
 */
function leastKept(logprobs: Float64Array, topP: number, minP: number): number {
  let best = Number.NEGATIVE_INFINITY;
  for (const logprob of logprobs) if (logprob > best) best = logprob;
  const margin = 1e-6; // min-p is decided in full precision later
  return Math.max(best + Math.log(minP) - margin, Math.log((1 - topP) / logprobs.length / 2));
}

/** A bound that the `k` best are not below and few others reach: counted in steps of 1/32 below the best. */
function boundOfBest(logprobs: Float64Array, k: number): number {
  let best = Number.NEGATIVE_INFINITY;
  for (const logprob of logprobs) if (logprob > best) best = logprob;
  const counts = new Int32Array(1024);
  const last = counts.length - 1;
  for (const logprob of logprobs) counts[Math.min(last, Math.floor((best - logprob) * 32))]!++;
  let step = 0;
  for (let above = counts[0]!; above < k && step < last; above += counts[step]!) step++;
  return step === last ? Number.NEGATIVE_INFINITY : best - (step + 1) / 32;
}

/** Sorts ids by logit, largest first, then by id. The two are packed into one integer, which sorts without callbacks. */
function sortByLogit(ids: readonly number[], logits: Float32Array): Int32Array {
  const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
  const keys = new BigUint64Array(ids.length);
  const words = new Uint32Array(keys.buffer);
  for (const [i, id] of ids.entries()) {
    // Negative floats sort by their bits as they are, others before them, by their bits turned round.
    const word = logits[id] === 0 ? 0 : bits[id]!;
    words[2 * i + HIGH] = word < 0 ? word : ~word & 0x7fffffff;
    words[2 * i + 1 - HIGH] = id;
  }
  keys.sort();
  return Int32Array.from(ids, (_, i) => words[2 * i + 1 - HIGH]!);
}

/** Which half of a 64-bit integer is the high one here. */
const HIGH = new Uint32Array(BigUint64Array.of(1n).buffer)[0] === 1 ? 1 : 0;

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
