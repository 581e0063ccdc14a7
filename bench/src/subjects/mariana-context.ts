/**
 * Mariana's decoding behind long pasts. Reading 128K tokens would take hours, and what is in the rows does not change
 * how long it takes to read them: the cache is filled with random numbers. One long past is made, and a fork of it cut
 * to each length. Arguments: the model, the format of the weights, the number of threads, the format of the cache, the
 * longest past.
 */
import { canWidenVectors, cpu } from '@mariana/backend-cpu';
import { LatentCache, PagePool } from '@mariana/layers';
import { Model } from '@mariana/runtime';
import { time } from '../machine.ts';
import { serve } from '../serve.ts';

const [location = '', weights = 'int8', threads = '1', dtype = 'bf16', longest = '0'] = process.argv.slice(2);
/** Rows that are made at once. */
const CHUNK = 4096;

const started = performance.now();
const backend = await cpu({
  weights: weights as 'native' | 'fp8' | 'int8' | 'int4',
  threads: Number(threads),
  wideVectors: canWidenVectors(),
});
const model = await Model.load(location, { backend });
const { config, transformer } = model;
const width = config.kvLoraRank + config.qkRopeHeadDim;
const spare = 4096;
const pool = new PagePool({
  backend,
  layers: config.numHiddenLayers,
  width,
  maxTokens: Number(longest) + spare,
  dtype: dtype as 'f32' | 'bf16',
  initialTokens: Number(longest) + spare,
});
const past = new LatentCache(pool);
while (past.length < Number(longest)) grow(Math.min(CHUNK, Number(longest) - past.length));

function grow(tokens: number): void {
  // Normed latents are about as large as a normal number.
  const values = Float32Array.from({ length: tokens * width }, () => (Math.random() - 0.5) * 3);
  using rows = backend.upload(values, [tokens, width]);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) past.layer(layer).append(rows);
  past.advance(tokens);
}

async function step(cache: LatentCache, id: number): Promise<void> {
  using output = await transformer.forward([id], { cache, logits: 'last' });
  await output.logits!.floats();
}

async function decode({ past: length, ids }: { past: number; ids: number[] }) {
  using cache = past.fork();
  cache.truncate(length);
  await step(cache, ids[0]!); // takes the page that it needs, and prepares what is prepared once
  return await time(async () => {
    for (const id of ids) await step(cache, id);
  });
}

await serve(
  {
    loadMs: performance.now() - started,
    about: `Mariana, ${backend.engine.kernels.build} kernels`,
    // Absorbed attention: each head meets each row with a query of all its numbers, and sums its latent part.
    multiplyAddsPerToken: config.numHiddenLayers * config.numAttentionHeads * (width + config.kvLoraRank),
    cacheBytesPerToken: config.numHiddenLayers * width * (dtype === 'f32' ? 4 : 2),
  },
  { decode },
);
past.dispose();
pool.dispose();
model.dispose();
await backend.dispose();
