/**
 * The choice of the next token of a session: from the best few where the backend finds them on its device and they are
 * enough for the sampler, else from the whole row of logits. The token is the same.
 */
import { MOST_CANDIDATES } from '@mariana/core';
import type { AppendOptions, Session } from '../session.ts';
import { candidatesWanted, chooseCandidate } from './choose-candidate.ts';
import type { CheckedSamplingOptions } from './options.ts';
import type { Random } from './random.ts';
import { logprobOf, logSoftmax, sample, type TokenLogprob, topTokens } from './sample.ts';

/** Where the best were too few, so many times as many are asked for next time. */
const GROWTH = 4;

export interface ChosenToken extends TokenLogprob {
  /** The most probable tokens in its place, best first. */
  readonly alternatives: readonly TokenLogprob[];
}

export class TokenChoice {
  readonly #session: Session;
  readonly #options: CheckedSamplingOptions;
  readonly #alternatives: number;
  readonly #random: Random;
  /** How many of the best are asked for; null to read the row at once. */
  #count: number | null;

  /** @param alternatives - How many are given with each token. */
  constructor(session: Session, options: CheckedSamplingOptions, alternatives: number, random: Random) {
    this.#session = session;
    this.#options = options;
    this.#alternatives = alternatives;
    this.#random = random;
    this.#count = candidatesWanted(options, alternatives);
  }

  async next(options: Pick<AppendOptions, 'signal'>): Promise<ChosenToken> {
    return (await this.#amongBest(options)) ?? this.#amongAll(await this.#session.nextLogits(options));
  }

  async #amongBest(options: Pick<AppendOptions, 'signal'>): Promise<ChosenToken | null> {
    if (this.#count === null) return null;
    const temperature = this.#options.temperature || 1;
    const best = await this.#session.nextCandidates(this.#count, { ...options, temperature });
    if (best === null) return null;
    const place = chooseCandidate(best, this.#options, this.#random);
    if (place === null) {
      this.#count = Math.max(this.#count, Math.min(GROWTH * this.#count, MOST_CANDIDATES));
      return null;
    }
    const at = (i: number) => ({ id: best.ids[i]!, logprob: best.logits[i]! - best.logSumExp });
    return { ...at(place), alternatives: Array.from({ length: this.#alternatives }, (_, i) => at(i)) };
  }

  #amongAll(logits: Float32Array): ChosenToken {
    const id = sample(logits, this.#session.tokens, this.#options, this.#random);
    if (this.#alternatives === 0) return { id, logprob: logprobOf(logits, id), alternatives: [] };
    const logprobs = logSoftmax(logits);
    return { id, logprob: logprobs[id]!, alternatives: topTokens(logprobs, this.#alternatives) };
  }
}
