/** What a caller can ask of the sampler, checked once. */
import { MarianaError } from '@mariana/core';

export interface SamplingOptions {
  /** Divides the logits. 0 takes the most probable token. Default 0.6 (what DeepSeek recommends for R1), with a seed. */
  readonly temperature?: number;
  /** Keep the k most probable tokens; 0 keeps all. Default 0. */
  readonly topK?: number;
  /** Keep the most probable tokens that together have this probability. Default 0.95; 1 keeps all. */
  readonly topP?: number;
  /** Keep tokens with at least this share of the best token's probability. Default 0, which keeps all. */
  readonly minP?: number;
  /** Divides positive logits of tokens that occurred, multiplies negative ones (CTRL paper). Default 1: off. */
  readonly repetitionPenalty?: number;
  /** Added to the logits of single tokens, by id. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Makes the choice repeatable. Default: a new one each time. */
  readonly seed?: number;
}

export type CheckedSamplingOptions = Required<Omit<SamplingOptions, 'seed'>>;

/**
 * Fills in defaults and refuses what makes no sense.
 *
 * @throws MarianaError `INVALID_ARGUMENT`
 */
export function checkSampling(options: SamplingOptions, vocabSize: number): CheckedSamplingOptions {
  const checked = {
    temperature: options.temperature ?? 0.6,
    topK: options.topK ?? 0,
    topP: options.topP ?? 0.95,
    minP: options.minP ?? 0,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    logitBias: options.logitBias ?? {},
  };
  check('temperature', checked.temperature, checked.temperature >= 0, 'a number from 0 up');
  check('topK', checked.topK, Number.isInteger(checked.topK) && checked.topK >= 0, 'a whole number from 0 up');
  check('topP', checked.topP, checked.topP > 0 && checked.topP <= 1, 'above 0 and at most 1');
  check('minP', checked.minP, checked.minP >= 0 && checked.minP <= 1, 'between 0 and 1');
  check('repetitionPenalty', checked.repetitionPenalty, checked.repetitionPenalty > 0, 'above 0');
  if (options.seed !== undefined) check('seed', options.seed, Number.isFinite(options.seed), 'a number');
  for (const [id, bias] of Object.entries(checked.logitBias)) {
    const known = Number.isInteger(Number(id)) && Number(id) >= 0 && Number(id) < vocabSize;
    check(`logitBias[${id}]`, bias, known && !Number.isNaN(bias), `a number, for an id below ${vocabSize}`);
  }
  return checked;
}

function check(name: string, value: number, isGood: boolean, expected: string): void {
  if (isGood && !Number.isNaN(value) && value !== Number.POSITIVE_INFINITY) return;
  throw new MarianaError('INVALID_ARGUMENT', `${name} is ${value}; it must be ${expected}`, {
    details: { name, value },
  });
}
