/** Training steps of Mariana. Arguments: the folder that train-files.ts wrote, the precision, the number of threads. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canWidenVectors, cpu } from '@mariana/backend-cpu';
import { Checkpoint, parseConfig, readJson, trainingFlopsPerToken } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';
import {
  autodiff,
  modelLoss,
  Optimizer,
  type Precision,
  type TokenBatch,
  TrainableModel,
  trainingStep,
} from '@mariana/train';
import { time, timed } from '../machine.ts';
import { serve } from '../serve.ts';
import { randomNumbers } from './products.ts';

const [folder = '', precision = 'f32', threads = '1'] = process.argv.slice(2);
const files = new DirectoryFiles(folder);
const config = parseConfig(await readJson(files, 'config.json'), { source: folder });
const lists = JSON.parse(await readFile(join(folder, 'batches.json'), 'utf8')) as number[][][];
const batches: TokenBatch[] = lists.map((sequences) => ({
  tokens: Int32Array.from(sequences.flat()),
  sequences: sequences.length,
}));
const sequenceLength = lists[0]![0]!.length - 1;

const loading = await timed(async () => {
  // As the command does.
  const backend = await cpu({ threads: Number(threads), wideVectors: canWidenVectors() });
  const weights = await Checkpoint.open(files);
  try {
    const options = { backend: autodiff(backend), precision: precision as Precision };
    return { backend, model: await TrainableModel.load(config, weights, options) };
  } finally {
    await weights.close();
  }
});
const { backend, model } = loading.result;
// No balancing: its cost is too small to be seen, and the peers would have to be taught it.
const options = { optimizer: new Optimizer(backend), learningRate: 1e-3, mtpWeight: 0.3 };

async function lossOf(batch: TokenBatch): Promise<{ loss: number; mtpLoss: number }> {
  using loss = await modelLoss(model, batch, options);
  return { loss: (await loss.crossEntropy.read())[0]!, mtpLoss: (await loss.mtp[0]!.read())[0]! };
}

async function train({ steps }: { steps: number }) {
  return await time(async () => {
    for (let step = 0; step < steps; step++) await trainingStep(model, batches[step % batches.length]!, options);
  });
}

/** A product of square matrices, again and again. */
async function product({ size, repeats }: { size: number; repeats: number }) {
  using a = backend.upload(randomNumbers(size * size), [size, size]);
  using b = backend.upload(randomNumbers(size * size), [size, size]);
  backend.matmul(a, b).dispose();
  return await time(() => {
    for (let i = 0; i < repeats; i++) backend.matmul(a, b).dispose();
  });
}

await serve(
  {
    loadMs: loading.ms,
    otherCores: loading.otherCores,
    about: `Mariana, ${backend.engine.kernels.build} kernels${backend.engine.kernels.wide ? ', 256-bit vectors' : ''}`,
    parameters: model.size,
    flopsPerToken: trainingFlopsPerToken(config, { sequenceLength }),
    ...(await lossOf(batches[0]!)),
  },
  { train, product },
);
model.dispose();
await backend.dispose();
