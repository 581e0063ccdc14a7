/**
 * Mariana telling stories, with drafts by multi-token prediction or without. Arguments: the model, the format of the
 * weights, the number of threads, and `drafts` or `none`. Drafts need a trained model: of random weights none is right.
 */
import { canWidenVectors, cpu } from '@mariana/backend-cpu';
import { Model } from '@mariana/runtime';
import { timed } from '../machine.ts';
import { serve } from '../serve.ts';

const [location = '', weights = 'native', threads = '1', drafts = 'none'] = process.argv.slice(2);
const speculate = drafts === 'drafts';
const loading = await timed(async () => {
  const backend = await cpu({
    weights: weights as 'native' | 'int8',
    threads: Number(threads),
    wideVectors: canWidenVectors(),
  });
  return { backend, model: await Model.load(location, { backend, mtp: speculate }) };
});
const { backend, model } = loading.result;

/** Goes on from each prompt, greedily, to the end of the story; what is timed is what a user's loop does. */
async function tell({ prompts, most }: { prompts: string[]; most: number }) {
  let [tokens, drafted, accepted] = [0, 0, 0];
  const { ms, otherCores } = await timed(async () => {
    for (const prompt of prompts) {
      using session = model.session({ speculate });
      for await (const _ of session.generate(prompt, { maxTokens: most, temperature: 0 })) tokens++;
      drafted += session.speculation.drafted;
      accepted += session.speculation.accepted;
    }
  });
  return { ms, otherCores, tokens, drafted, accepted };
}

await serve(
  {
    loadMs: loading.ms,
    otherCores: loading.otherCores,
    about: `Mariana, ${backend.engine.kernels.build} kernels`,
  },
  { tell },
);
model.dispose();
await backend.dispose();
