/** Scoring: log-probabilities are those of the logits, the logits those of the goldens, in chunks of any size. */
import { reference } from '@mariana/backend-reference';
import { Golden } from '@mariana/goldens';
import { fixturePath, openFixture } from '@mariana/goldens/node';
import { expect, test } from 'vitest';
import { logSoftmax, Model, type ScoreOptions, score } from '../src/index.ts';
import { expectClose, goldenModel } from './support/models.ts';

/** Scores and collects the logits. */
async function scoreWithLogits(model: Model, ids: readonly number[], options: ScoreOptions = {}) {
  const logits: Float32Array[] = [];
  const mtpLogits: Float32Array[] = [];
  const result = await score(model, ids, {
    ...options,
    onLogits: (chunk) => void logits.push(chunk),
    onMtpLogits: (chunk) => void mtpLogits.push(chunk),
  });
  return { ...result, logits: join(logits), mtpLogits: join(mtpLogits) };
}

function join(chunks: readonly Float32Array[]): Float32Array {
  return Float32Array.from(chunks.flatMap((chunk) => [...chunk]));
}

test('logits and drafts are the goldens, in chunks of any size', async () => {
  const golden = await Golden.open('tiny-mtp', openFixture);
  const ids = [...(await golden.integers('p1.input_ids'))];
  const backend = reference();
  const model = await Model.load(fixturePath('tiny-mtp'), { backend, mtp: true });
  await scoreWithLogits(model, ids, { chunk: 1, mtp: true }); // makes the cache, and the matrices that reading it takes
  const before = backend.memory().tensors;
  for (const chunk of [1, 5, 32, ids.length, 1000]) {
    const result = await scoreWithLogits(model, ids, { chunk, mtp: true });
    expectClose(result.logits, await golden.floats('p1.logits'));
    // The goldens' last row is fed the first greedy token, which is what the last row of logits says.
    expectClose(result.mtpLogits, await golden.floats('p1.mtp_logits'));
  }
  expect(backend.memory().tensors).toBe(before);
  model.dispose();
  expect(backend.memory().tensors).toBe(0);
  await golden.close();
});

test('log-probabilities, their sum and perplexity follow from the logits', async () => {
  using model = await goldenModel();
  const ids = [7, 3, 250, 3, 3, 90];
  const { logits, logprobs, totalLogprob, perplexity } = await scoreWithLogits(model, ids, { chunk: 4 });
  const { vocabSize } = model.config;
  const expected = ids.map((id, i) =>
    i === 0 ? null : logSoftmax(logits.subarray((i - 1) * vocabSize, i * vocabSize))[id]!,
  );
  expect(logprobs).toEqual(expected);
  const total = expected.reduce((sum: number, value) => sum + (value ?? 0), 0);
  expect(totalLogprob).toBe(total);
  expect(perplexity).toBeCloseTo(Math.exp(-total / 5), 9);
});

test('one token has no score', async () => {
  using model = await goldenModel();
  expect(await score(model, [4])).toEqual({ logprobs: [null], totalLogprob: 0, perplexity: null });
});

test('refused before anything is computed', async () => {
  using model = await goldenModel();
  let computed = 0;
  const onLogits = () => void computed++;
  const many = Array.from({ length: model.config.maxPositionEmbeddings + 1 }, () => 1);
  for (const [ids, options, code] of [
    [[], {}, 'INVALID_ARGUMENT'],
    [[1, 2], { chunk: 0 }, 'INVALID_ARGUMENT'],
    [[1, 2], { chunk: 1.5 }, 'INVALID_ARGUMENT'],
    [[1, 2, 256], { chunk: 1 }, 'TOKEN_OUT_OF_RANGE'],
    [many, {}, 'CONTEXT_EXCEEDED'],
    [[1, 2], { mtp: true }, 'INVALID_ARGUMENT'],
  ] as const) {
    await expect(score(model, ids, { ...options, onLogits })).rejects.toMatchObject({ code });
  }
  expect(computed).toBe(0);
});

test('an abort, or a failing consumer, leaves nothing behind', async () => {
  const backend = reference();
  using model = await Model.load(fixturePath('tiny-dense-moe'), { backend });
  await score(model, [1, 2]);
  const before = backend.memory();
  const controller = new AbortController();
  const onLogits = () => controller.abort();
  const ids = Array.from({ length: 40 }, (_, i) => i);
  await expect(score(model, ids, { chunk: 8, onLogits, signal: controller.signal })).rejects.toMatchObject({
    name: 'AbortError',
  });
  await expect(score(model, ids, { onLogits: () => Promise.reject(new Error('full')) })).rejects.toThrow('full');
  expect(backend.memory()).toEqual(before);
});
