/** The training run that tests share: small enough for seconds, with every part of a model in it. */
import { preset } from '@mariana/core';
import { PackedData, type TrainingRun, type TrainOptions, train } from '../../src/index.ts';

export const smallConfig = {
  ...preset('tiny'),
  numHiddenLayers: 2,
  vocabSize: 48,
  hiddenSize: 32,
  numNextnPredictLayers: 1,
};

/** A text with something to learn in it: counting up in steps that change now and then. */
export const smallData = new PackedData(
  Int32Array.from({ length: 1200 }, (_, i) => (i * (1 + (Math.floor(i / 100) % 3))) % 48),
  { sequenceLength: 12, seed: 3 },
);

export type SmallRun = Pick<TrainOptions, 'backend' | 'checkpoint' | 'resume' | 'signal' | 'steps' | 'data'> & {
  readonly precision?: TrainOptions['precision'] | undefined;
  readonly optimizer?: NonNullable<TrainOptions['optimizer']>;
};

export const STEPS = 12;

export function smallRun(options: Partial<SmallRun> & Pick<SmallRun, 'backend'>): Promise<TrainingRun> {
  const { precision = 'f32', ...rest } = options;
  return train(smallConfig, {
    data: smallData,
    steps: STEPS,
    batchSize: 2,
    accumulate: 2,
    learningRate: 5e-3,
    optimizer: { moments: 'bf16' },
    seed: 5,
    precision,
    ...rest,
  });
}
