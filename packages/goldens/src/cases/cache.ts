/** Cached, chunked and absorbed computation must give what one naive pass gives. */
import { type AttentionForm, LatentCache } from '@mariana/layers';
import { FOLDERS, type GoldenCheck, type GoldenContext, poolFor } from '../check.ts';
import { expectClose } from '../compare.ts';

/** Logits of a prompt fed in chunks of the given size, all chunks in one form of attention. */
async function logitsInChunks(
  { golden, model, backend }: GoldenContext,
  prompt: string,
  size: number,
  form: AttentionForm,
): Promise<Float32Array> {
  const ids = await golden.integers(`${prompt}.input_ids`);
  const logits = new Float32Array(ids.length * golden.config.vocabSize);
  using pool = poolFor(model, 256);
  using cache = new LatentCache(pool);
  for (let start = 0; start < ids.length; start += size) {
    using output = await model.forward(ids.subarray(start, start + size), { cache, form });
    logits.set((await backend.read(output.logits!)) as Float32Array, start * golden.config.vocabSize);
  }
  return logits;
}

const compare = (form: AttentionForm, size: number) => async (context: GoldenContext) => {
  for (const prompt of context.golden.prompts) {
    const logits = await logitsInChunks(context, prompt, size, form);
    expectClose(`${prompt}.logits`, logits, await context.golden.floats(`${prompt}.logits`));
  }
};

export const cacheCases: GoldenCheck[] = [
  { name: 'absorbed attention over the whole prompt', folders: FOLDERS, check: compare('absorbed', 1024) },
  { name: 'naive attention in chunks of 5 against the cache', folders: FOLDERS, check: compare('naive', 5) },
  { name: 'absorbed attention, token by token', folders: FOLDERS, check: compare('absorbed', 1) },
];
