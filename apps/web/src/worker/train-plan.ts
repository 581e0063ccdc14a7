/** The sizes of model that can be trained in a tab, and what a run may be told. Page and worker both use it. */
import { MarianaError, type ModelConfig, preset } from '@mariana/core';
import { BALANCES, SIZES, type Size, type TrainSettings } from './train-protocol.ts';

/** Sequences in a batch, and tokens in a sequence. */
export const BATCH = 8;
export const SEQUENCE = 64;

/** Tokens of the vocabulary that is learned from the text, at most. */
export const VOCABULARY = 512;

/** Share of the text that is not learned from. */
export const HOLD_OUT = 0.05;

/** Longest text that is taken, in UTF-8 bytes. */
export const LONGEST_TEXT = 4e6;

/** Most steps that a run may have: the metrics of all of them are kept. */
const MOST_STEPS = 20_000;

interface Plan {
  readonly config: ModelConfig;
  /** What a visitor finds filled in. */
  readonly steps: number;
  readonly learningRate: number;
}

const base: ModelConfig = { ...preset('small'), maxPositionEmbeddings: 512 };

/**
 * All have MLA, routed and shared experts and a dense first layer, as DeepSeek-V3 has them. Groups of experts and
 * multi-token prediction are left out: with so few experts the one, and in so short a run the other, shows nothing.
 */
const PLANS: Readonly<Record<Size, Plan>> = {
  small: {
    config: {
      ...base,
      hiddenSize: 64,
      intermediateSize: 192,
      moeIntermediateSize: 48,
      kvLoraRank: 32,
      qLoraRank: 48,
      qkNopeHeadDim: 16,
      qkRopeHeadDim: 8,
      vHeadDim: 16,
      numHiddenLayers: 3,
      nRoutedExperts: 8,
      numExpertsPerTok: 2,
      nGroup: 1,
      topkGroup: 1,
    },
    steps: 600,
    learningRate: 4e-3,
  },
  medium: {
    config: {
      ...base,
      hiddenSize: 128,
      intermediateSize: 384,
      moeIntermediateSize: 64,
      kvLoraRank: 48,
      qLoraRank: 64,
      qkNopeHeadDim: 24,
      qkRopeHeadDim: 8,
      numHiddenLayers: 4,
      nRoutedExperts: 16,
      numExpertsPerTok: 4,
      nGroup: 1,
      topkGroup: 1,
    },
    steps: 800,
    learningRate: 2e-3,
  },
  large: { config: { ...base, nGroup: 1, topkGroup: 1 }, steps: 1000, learningRate: 1e-3 },
};

/** The architecture of a size, with the vocabulary of its tokenizer. */
export function configOfSize(size: Size, vocabSize = VOCABULARY): ModelConfig {
  return { ...PLANS[size].config, vocabSize };
}

/** What a visitor finds filled in for a size. */
export function defaultSettings(size: Size): TrainSettings {
  const { steps, learningRate } = PLANS[size];
  return { size, steps, learningRate, balance: 'bias', seed: 0, prompt: 'Once upon a time' };
}

/**
 * Checks settings, whoever made them: a form, an address, a file of an earlier visit.
 *
 * @throws MarianaError `USAGE`; the message names the setting, its range and what was given.
 */
export function checkSettings(settings: TrainSettings): TrainSettings {
  const { size, steps, learningRate, balance, seed, prompt } = settings;
  const refuse = (name: string, value: unknown, range: string): never => {
    throw new MarianaError('USAGE', `${name} of the run is ${String(value)}: use ${range}`, {
      details: { name, value },
    });
  };
  if (!SIZES.includes(size)) refuse('size', size, SIZES.join(', '));
  if (!BALANCES.includes(balance)) refuse('balance', balance, BALANCES.join(', '));
  if (!(Number.isSafeInteger(steps) && steps >= 1 && steps <= MOST_STEPS)) {
    refuse('steps', steps, `a whole number from 1 to ${MOST_STEPS}`);
  }
  if (!(learningRate > 0 && learningRate <= 0.1))
    refuse('learning rate', learningRate, 'a number above 0, at most 0.1');
  if (!(Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
    refuse('seed', seed, 'a whole number from 0 to 4294967295');
  }
  if (typeof prompt !== 'string' || prompt.length > 500) refuse('prompt', prompt, 'a text of 500 characters at most');
  return settings;
}
