/** Starts a training run, or goes on with one. */
import { MarianaError, type ModelConfig, RandomWeights } from '@mariana/core';
import { AutodiffBackend, autodiff } from '../autodiff/index.ts';
import { TrainableModel } from '../model/trainable-model.ts';
import { Optimizer } from '../optim/optimizer.ts';
import { resolveOptions, type TrainOptions } from './train-options.ts';
import { TrainingRun } from './training-run.ts';

/**
 * Loads or makes the weights and prepares the run; iterating over it trains.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for options that make no sense, for sequences longer than the model's context,
 *   or for a state of another run; what loading weights and state throws.
 */
export async function train(config: ModelConfig, options: TrainOptions): Promise<TrainingRun> {
  const resolved = resolveOptions(options);
  if (options.data.sequenceLength > config.maxPositionEmbeddings) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `train: sequences of ${options.data.sequenceLength} tokens are longer than max_position_embeddings ` +
        `(${config.maxPositionEmbeddings}); shorten them, or extend the context`,
    );
  }
  const { backend, precision = 'f32', fp8, seed = 0, weights = new RandomWeights(config, { seed }) } = options;
  const tape = backend instanceof AutodiffBackend ? backend : autodiff(backend);
  const model = await TrainableModel.load(config, weights, { backend: tape, precision, ...(fp8 && { fp8 }) });
  const run = new TrainingRun(model, new Optimizer(tape.inner, options.optimizer), resolved);
  try {
    if (options.resume) await run.restore(options.resume);
    else await run.restoreFromFolder();
  } catch (error) {
    run.dispose();
    throw error;
  }
  return run;
}
