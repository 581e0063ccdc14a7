/**
 * Trains models of a few steps, exports each in every format, and writes beside each export the logits that Mariana
 * computes from it; for `scripts/hf-export.ts`, which has transformers compute them too. Arguments: the folder to write
 * to, and folders of other checkpoints to compute logits from.
 */
import { basename, dirname, join } from 'node:path';
import { cpu } from '@mariana/backend-cpu';
import { type ModelConfig, parseConfig, preset } from '@mariana/core';
import { writeShardedCheckpoint } from '@mariana/core/node';
import { Model, score } from '@mariana/runtime';
import { type ExportDType, extendContext, PackedData, type Precision, train } from '@mariana/train';
import { TRAIN_CONFIG } from '../train-files.ts';

const DTYPES = ['f32', 'bf16', 'fp8'] as const satisfies ExportDType[];
const STEPS = 4;
/** Tokens of the text that logits are computed of. */
const LENGTH = 48;

const short = { ...preset('tiny'), maxPositionEmbeddings: 16 };

/** Groups of experts and latent queries; one group, plain queries and more experts; and a context extended by YaRN. */
const MODELS: readonly [name: string, config: ModelConfig, precision: Precision, sequenceLength: number][] = [
  ['tiny-mtp', preset('tiny-mtp'), 'fp8', 32],
  ['stories', parseConfig(TRAIN_CONFIG, { source: 'stories' }), 'f32', 32],
  ['yarn', extendContext(short, { maxPositionEmbeddings: 64, factor: 4 }), 'bf16', 64],
];

/** Token ids that look random and are the same in every run. */
function ids(count: number, vocabSize: number): Int32Array {
  let state = 1;
  return Int32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // the generator of Numerical Recipes
    return 2 + ((state >>> 8) % (vocabSize - 2));
  });
}

/** Writes the ids and Mariana's logits after each of them. */
async function writeLogits(checkpoint: string, folder: string): Promise<void> {
  // The values of the weights as they are, whatever the format: transformers computes from those, too.
  const backend = await cpu({ weights: 'f32', threads: 1 });
  const model = await Model.load(checkpoint, { backend });
  const { vocabSize } = model.config;
  const tokens = ids(LENGTH, vocabSize);
  const logits = new Float32Array(LENGTH * vocabSize);
  let done = 0;
  await score(model, Array.from(tokens), {
    onLogits(part) {
      logits.set(part, done);
      done += part.length;
    },
  });
  model.dispose();
  await backend.dispose();
  await writeShardedCheckpoint(folder, [
    { name: 'ids', dtype: 'i32', shape: [LENGTH], data: tokens },
    { name: 'logits', dtype: 'f32', shape: [LENGTH, vocabSize], data: logits },
  ]);
  process.stdout.write(`${JSON.stringify({ name: basename(folder), checkpoint, expected: folder })}\n`);
}

const [out = '', ...others] = process.argv.slice(2);
for (const [name, config, precision, sequenceLength] of MODELS) {
  const backend = await cpu({ threads: 1 });
  const data = new PackedData(ids(2000, config.vocabSize), { sequenceLength });
  const options = { precision, batchSize: 2, learningRate: 0.01, balance: { biasUpdateRate: 0.01 } };
  const run = await train(config, { backend, data, steps: STEPS, ...options });
  for await (const _ of run) {
    // What it learns does not matter, only that no weight is what it was.
  }
  for (const dtype of DTYPES) {
    const folder = join(out, `${name}-${dtype}`);
    await run.save(folder, { dtype });
    await writeLogits(folder, join(out, 'logits', `${name}, trained in ${precision}, exported as ${dtype}`));
  }
  run.dispose();
  await backend.dispose();
}
for (const other of others) {
  await writeLogits(other, join(out, 'logits', `${basename(dirname(other))}, folder ${basename(other)}`));
}
