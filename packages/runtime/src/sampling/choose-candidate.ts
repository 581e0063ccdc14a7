/**
 * From the best logits of a row to the next token, without the rest of the row: what `sample` does, for as long as the
 * best are all that could be drawn. Where they are not, this says so and draws nothing.
 *
 * Top-k and min-p look at logits relative to the best one, which are known exactly. Top-p needs each token's share of the
 * whole row, whose sum the device made in F32; where the cut lies so close to its bound that this could matter, the row
 * must decide.
 */
import { MarianaError, type TokenCandidates } from '@mariana/core';
import type { CheckedSamplingOptions } from './options.ts';
import type { Random } from './random.ts';

/** By how much of itself the device's sum over a row may be wrong, at most: see `candidates` in the contract. */
const SUM_ERROR = 2 ** -11;

/** The same of a sum over the list, which is made here. */
const ROUNDING = 2 ** -40;

/** exp of less is 0, and what has no probability must not be drawn. */
const UNDERFLOW = -745;

/** How many of the best are asked for where top-p or min-p decide. */
const USUAL = 32;

type Cuts = Pick<CheckedSamplingOptions, 'temperature' | 'topK' | 'topP' | 'minP'>;

/** How many of the best tokens a sampler may do with; null if it needs the row: biases, penalties, or nothing cut. */
export function candidatesWanted(options: CheckedSamplingOptions, topLogprobs: number): number | null {
  const { temperature, topK, topP, minP, repetitionPenalty, logitBias } = options;
  if (repetitionPenalty !== 1 || Object.keys(logitBias).length > 0) return null;
  if (temperature === 0) return Math.max(1, topLogprobs);
  if (topK > 0) return Math.max(topK, topLogprobs);
  return topP === 1 && minP === 0 ? null : Math.max(USUAL, topLogprobs);
}

/**
 * The place of the next token among the best, or null if the row must decide; then no random number was taken.
 *
 * @param best - Of the same temperature (1 for temperature 0).
 * @throws MarianaError `BACKEND_FAILED` if the best logit is NaN or infinity: something before this went wrong.
 */
export function chooseCandidate(best: TokenCandidates, options: Cuts, random: Random): number | null {
  const [first] = best.logits;
  if (first === undefined || !Number.isFinite(first)) {
    throw new MarianaError('BACKEND_FAILED', `the logit of token ${best.ids[0]} is ${first}; are the weights damaged?`);
  }
  if (options.temperature === 0) return 0;
  const weights = weightsOfKept(best, options);
  if (weights === null) return null;
  let left = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return i;
  }
  return weights.length - 1;
}

/** exp((logit - best) / temperature) of the tokens that the cuts leave; null if there could be more of them. */
function weightsOfKept({ logits, scaledLogSumExp }: TokenCandidates, { temperature, topK, topP, minP }: Cuts) {
  const scaled = Array.from(logits, (logit) => (logit - logits[0]!) / temperature);
  if (topK > scaled.length) return null;
  const listed = topK === 0 ? scaled.length : topK;
  const floor = Math.max(Math.log(minP), UNDERFLOW);
  const below = scaled.findIndex((value) => value < floor);
  const aboveFloor = below < 0 ? listed : Math.min(listed, below);
  const weights = scaled.slice(0, aboveFloor).map(Math.exp);
  // Nothing behind the list could be kept if it holds the top k, or ends below the floor.
  const isAll = topK > 0 || below >= 0;
  if (topP === 1) return isAll ? weights : null;

  const ofTopK = () => scaled.slice(0, listed).reduce((sum, value) => sum + Math.exp(value), 0);
  const total = topK > 0 ? ofTopK() : Math.exp(scaledLogSumExp - logits[0]! / temperature);
  const error = topK > 0 ? ROUNDING : SUM_ERROR;
  let mass = 0;
  for (const [i, weight] of weights.entries()) {
    mass += weight / total;
    if (mass * (1 - error) >= topP) return weights.slice(0, i + 1);
    // Whether the next one is kept is within the error, unless a floor cuts it anyway.
    if (mass * (1 + error) >= topP && !(isAll && i === weights.length - 1)) return null;
  }
  return isAll ? weights : null;
}
