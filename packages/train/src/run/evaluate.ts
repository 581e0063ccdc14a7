/** How well a model predicts text that it does not learn from. */
import { crossEntropy } from '../losses/cross-entropy.ts';
import { shift, type TokenBatch } from '../model/model-loss.ts';
import type { TrainableModel } from '../model/trainable-model.ts';

/**
 * Mean cross-entropy of the main model over all positions of some batches, in nats; nothing is recorded meanwhile.
 *
 * @throws MarianaError as `modelLoss`.
 */
export async function evaluate(model: TrainableModel, batches: Iterable<TokenBatch>): Promise<number> {
  const { backend, transformer } = model;
  let [sum, positions] = [0, 0];
  for (const batch of batches) {
    const { inputs, targets } = shift(batch);
    await backend.untracked(async () => {
      using output = await transformer.forward(inputs, { batch: batch.sequences });
      using loss = backend.scope(() => crossEntropy(backend, output.logits!, targets).loss);
      sum += (await loss.read())[0]! * targets.length;
    });
    positions += targets.length;
  }
  return sum / positions;
}
