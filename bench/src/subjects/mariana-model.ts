/**
 * Mariana as a program uses it: `Model.load`, a session, tokens in, logits out. Arguments: the model, the format of the
 * weights, the number of threads, and the bits of vectors (256, the default where they can be had, or 128).
 */
import { canWidenVectors, cpu } from '@mariana/backend-cpu';
import { Model } from '@mariana/runtime';
import { time, timed } from '../machine.ts';
import { peakMemory, serve } from '../serve.ts';
import { weightBytesPerToken } from './weight-bytes.ts';

const [location = '', weights = 'native', threads = '1', bits = '256'] = process.argv.slice(2);
const loading = await timed(async () => {
  const backend = await cpu({
    weights: weights as 'native' | 'fp8' | 'int8' | 'int4',
    threads: Number(threads),
    wideVectors: bits === '256' && canWidenVectors(),
  });
  return { backend, model: await Model.load(location, { backend }) };
});
const { backend, model } = loading.result;

async function prefill({ ids }: { ids: number[] }) {
  using session = model.session();
  return await time(async () => {
    await session.append(ids);
    await session.nextLogits();
  });
}

/** Runs given tokens one by one, so that every subject computes the same. */
async function decode({ prompt, ids }: { prompt: number[]; ids: number[] }) {
  using session = model.session();
  await session.append(prompt);
  await session.nextLogits();
  return await time(async () => {
    for (const id of ids) {
      session.push(id);
      await session.nextLogits();
    }
  });
}

/** What a user's loop does: sampling and text besides. */
async function generate({ prompt, tokens }: { prompt: number[]; tokens: number }) {
  using session = model.session();
  await session.append(prompt);
  await session.nextLogits();
  return await time(async () => {
    for await (const _ of session.generate([], { maxTokens: tokens, temperature: 0, ignoreEos: true })) {
      // The tokens themselves are of no interest.
    }
  });
}

async function logits({ ids, size }: { ids: number[]; size: number }) {
  using session = model.session();
  await session.append(ids);
  return { logits: Array.from((await session.nextLogits()).subarray(0, size)) };
}

await serve(
  {
    loadMs: loading.ms,
    otherCores: loading.otherCores,
    about: `Mariana, ${backend.engine.kernels.build} kernels`,
    weightBytes: weightBytesPerToken(model),
    heldBytes: backend.memory().bytes,
  },
  { prefill, decode, generate, logits, memory: peakMemory },
);
model.dispose();
await backend.dispose();
