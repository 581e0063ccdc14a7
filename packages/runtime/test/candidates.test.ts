/** On a backend that says that a device computes, sessions leave logits there, give the same text, and leave nothing. */
import { reference } from '@mariana/backend-reference';
import { type Backend, type Capabilities, preset, type Tensor, type TokenCandidates } from '@mariana/core';
import { afterAll, expect, test, vi } from 'vitest';
import { type GenerateOptions, Model } from '../src/index.ts';
import { chunksOf } from './support/models.ts';

/** The reference backend, as if it were far away: it counts what was read. */
function remote(): { backend: Backend; rows: () => number; candidates: () => number } {
  const backend = reference();
  const capabilities: Capabilities = { ...backend.capabilities, threads: 0 };
  Object.defineProperty(backend, 'capabilities', { value: capabilities });
  const { vocabSize } = preset('tiny');
  const read = vi.spyOn(backend, 'read');
  const candidates = vi.spyOn(backend, 'candidates');
  const ofRows = () => read.mock.calls.filter(([tensor]: [Tensor]) => tensor.size === vocabSize).length;
  // The default body reads the row itself.
  return {
    backend,
    rows: () => ofRows() - candidates.mock.calls.length,
    candidates: () => candidates.mock.calls.length,
  };
}

const far = remote();
const there = await Model.load('tiny', { backend: far.backend });
const here = await Model.load('tiny', { backend: reference() });
afterAll(() => {
  there.dispose();
  here.dispose();
});

const prompt = [5, 80, 200];

test.each<GenerateOptions>([
  { temperature: 0 },
  { temperature: 0, topLogprobs: 4 },
  { temperature: 0.005, seed: 3 }, // random weights prefer little; this leaves few
  { temperature: 1, topK: 9, topP: 0.8, seed: 4 },
  { temperature: 0.01, topP: 1, minP: 0.5, seed: 5 },
])('with %o no row of logits is read, and the text is that of the rows', async (options) => {
  using near = here.session();
  using session = there.session();
  const [rows, asked] = [far.rows(), far.candidates()];
  const length = { maxTokens: 12, ignoreEos: true };
  const chunks = await chunksOf(session, prompt, { ...options, ...length });
  expect(far.rows() - rows).toBe(0);
  expect(far.candidates() - asked).toBe(12);
  for (const [i, chunk] of (await chunksOf(near, prompt, { ...options, ...length })).entries()) {
    expect(chunks[i]!.id).toBe(chunk.id);
    expect(chunks[i]!.logprob).toBeCloseTo(chunk.logprob, 9);
    expect(chunks[i]!.topLogprobs.map(({ id }) => id)).toEqual(chunk.topLogprobs.map(({ id }) => id));
  }
});

test.each<GenerateOptions>([
  { temperature: 3, topP: 0.999, seed: 6 },
  { temperature: 1, topP: 1, seed: 7 },
  { temperature: 0, repetitionPenalty: 1.3 },
  { temperature: 0, logitBias: { 65: 20 } },
])('with %o the rows are read, and the text is theirs', async (options) => {
  using near = here.session();
  using session = there.session();
  const rows = far.rows();
  const length = { maxTokens: 8, ignoreEos: true };
  const ids = (await chunksOf(session, prompt, { ...options, ...length })).map(({ id }) => id);
  expect(far.rows() - rows).toBe(8);
  expect(ids).toEqual((await chunksOf(near, prompt, { ...options, ...length })).map(({ id }) => id));
});

test('forks, cuts and looks at all logits agree, and nothing is held when sessions end', async () => {
  const before = far.backend.memory().tensors;
  {
    using session = there.session();
    await session.append(prompt);
    using fork = session.fork();
    const best = (await session.nextCandidates(3)) as TokenCandidates;
    const logits = await session.nextLogits();
    expect([...best.logits]).toEqual([...best.ids].map((id) => logits[id]));
    expect(await session.nextCandidates(3)).toBeNull();
    expect(await fork.nextCandidates(3)).toEqual(best);
    session.truncate(2);
    await session.append(prompt.slice(2));
    expect([...(await session.nextCandidates(3))!.ids]).toEqual([...best.ids]);
  }
  // Pages of the cache stay with the model.
  expect(far.backend.memory().tensors).toBe(before);
});

test('a session that waits for the device is busy', async () => {
  using session = there.session();
  await session.append(prompt);
  const waiting = session.nextLogits();
  await Promise.resolve();
  expect(() => session.push(1)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  await waiting;
  session.push(1);
});
