/** Generation: the text is that of the tokens, it ends where it was told to, and says why. */

import { cpu } from '@mariana/backend-cpu';
import type { Backend } from '@mariana/core';
import { Golden } from '@mariana/goldens';
import { openFixture } from '@mariana/goldens/node';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Model } from '../src/index.ts';
import { byteModel, chunksOf, freshLogits, goldenModel } from './support/models.ts';

const bytes = await byteModel();
const golden = await goldenModel();
afterAll(() => {
  bytes.dispose();
  golden.dispose();
});

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const spread = { temperature: 3, topP: 1 }; // random weights prefer some bytes; this brings all of them in

test('greedy tokens are the goldens', async () => {
  const file = await Golden.open('tiny-dense-moe', openFixture);
  for (const prompt of file.prompts) {
    using session = golden.session();
    const ids = [...(await file.integers(`${prompt}.input_ids`))];
    const chunks = await chunksOf(session, ids, { maxTokens: 16, temperature: 0, ignoreEos: true });
    expect(chunks.map(({ id }) => id)).toEqual([...(await file.integers(`${prompt}.greedy_tokens`))]);
    expect(chunks.map(({ finishReason }) => finishReason)).toEqual([...Array(15).fill(null), 'length']);
    expect(chunks.every(({ text }) => text === '')).toBe(true); // it has no tokenizer
  }
  await file.close();
});

describe('text', () => {
  test('the pieces together are the decoding of all tokens, whatever characters they cut', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 1, max: 30 }), async (seed, maxTokens) => {
        using session = bytes.session();
        const chunks = await chunksOf(session, 'héllo', { maxTokens, seed, ...spread });
        const ids = chunks.map(({ id }) => id);
        expect(ids).toHaveLength(maxTokens);
        expect(chunks.map(({ text }) => text).join('')).toBe(bytes.requireTokenizer().decode(ids));
        expect(session.tokens).toEqual([...bytes.requireTokenizer().encode('héllo'), ...ids]);
      }),
      { numRuns: 25 },
    );
  });

  test('no piece has half a character', async () => {
    // The bytes of U+1F600, forced one after the other by a bias on each in turn.
    const tokenizer = bytes.requireTokenizer();
    const ids = tokenizer.encode('😀!');
    using session = bytes.session();
    await session.append([1]);
    const decoder = tokenizer.streamDecoder();
    const pieces: string[] = [];
    for (const id of ids) {
      for await (const chunk of session.generate([], { maxTokens: 1, logitBias: { [id]: 1000 }, temperature: 0 })) {
        expect(chunk.id).toBe(id);
        pieces.push(decoder.push(chunk.id));
      }
    }
    expect(pieces).toEqual(['', '', '', '😀', '!']);
    // A text that ends within a character says so, once.
    const cut = await chunksOf(session, [], { maxTokens: 1, logitBias: { [ids[0]!]: 1000 }, temperature: 0 });
    expect(cut.map(({ text }) => text)).toEqual(['\ufffd']);
  });

  test('a stop text ends it, also across the borders of tokens; nothing of it is shown', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.nat(), fc.integer({ min: 1, max: 6 }), async (seed, place, length) => {
        using whole = bytes.session();
        const text = (await chunksOf(whole, 'a', { maxTokens: 25, seed, ...spread })).map((c) => c.text).join('');
        const from = place % text.length;
        const stop = text.slice(from, from + length);
        using session = bytes.session();
        const chunks = await chunksOf(session, 'a', { maxTokens: 25, seed, stop: ['\0\0never', stop], ...spread });
        const shown = chunks.map((chunk) => chunk.text).join('');
        expect(shown).toBe(text.slice(0, text.indexOf(stop)));
        expect(chunks.at(-1)!.finishReason).toBe('stop');
        expect(chunks.slice(0, -1).every(({ finishReason }) => finishReason === null)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  test('text that only begins like a stop is shown in the end', async () => {
    using whole = bytes.session();
    const text = (await chunksOf(whole, 'a', { maxTokens: 10, seed: 4, ...spread })).map((c) => c.text).join('');
    using session = bytes.session();
    const stop = [`${text.slice(-3)} and more`];
    const chunks = await chunksOf(session, 'a', { maxTokens: 10, seed: 4, stop, ...spread });
    expect(chunks.map((chunk) => chunk.text).join('')).toBe(text);
    expect(chunks.at(-1)!.finishReason).toBe('length');
  });
});

describe('where it ends', () => {
  const prompt = [5, 6, 7];
  const greedy = { temperature: 0, ignoreEos: true };

  test('a stop token ends it, and is the last one', async () => {
    using session = golden.session();
    const ids = (await chunksOf(session, prompt, { ...greedy, maxTokens: 8 })).map(({ id }) => id);
    using again = golden.session();
    const chunks = await chunksOf(again, prompt, { ...greedy, maxTokens: 8, stopTokens: [ids[3]!] });
    const until = ids.slice(0, ids.indexOf(ids[3]!) + 1);
    expect(chunks.map(({ id }) => id)).toEqual(until);
    expect(chunks.at(-1)!.finishReason).toBe('stop');
    expect(again.tokens).toEqual([...prompt, ...until]);
  });

  test("the model's end-of-text token ends it, unless it is ignored", async () => {
    const [eos] = golden.eosTokenIds;
    const bias = { temperature: 0, logitBias: { [eos!]: 1000 }, maxTokens: 3 };
    using session = golden.session();
    const ended = await chunksOf(session, prompt, bias);
    expect(ended.map(({ id, text, finishReason }) => ({ id, text, finishReason }))).toEqual([
      { id: eos, text: '', finishReason: 'eos' },
    ]);
    using other = golden.session();
    const ignored = await chunksOf(other, prompt, { ...bias, ignoreEos: true });
    expect(ignored.map(({ id }) => id)).toEqual([eos, eos, eos]);
    expect(ignored.at(-1)!.finishReason).toBe('length');
    expect(bytes.eosTokenIds).toEqual([]); // the tokens of a preset mean nothing
  });

  test('the context ends it, with every token in the session', async () => {
    for (const contextLength of [4, 5, 9]) {
      using session = golden.session({ contextLength });
      const chunks = await chunksOf(session, prompt, greedy);
      expect(chunks).toHaveLength(contextLength - prompt.length);
      expect(chunks.at(-1)!.finishReason).toBe('context');
      expect(session.tokens).toHaveLength(contextLength);
      expect(session.remaining).toBe(0);
    }
  });

  test('no tokens at all', async () => {
    using session = golden.session();
    expect(await chunksOf(session, prompt, { ...greedy, maxTokens: 0 })).toEqual([]);
    expect(session.tokens).toEqual(prompt);
  });

  test('leaving the loop: what was yielded is in the session, which goes on', async () => {
    using session = golden.session();
    const seen: number[] = [];
    for await (const { id } of session.generate(prompt, greedy)) {
      seen.push(id);
      if (seen.length === 3) break;
    }
    expect(session.tokens).toEqual([...prompt, ...seen]);
    seen.push(...(await chunksOf(session, [], { ...greedy, maxTokens: 3 })).map(({ id }) => id));
    using straight = golden.session();
    expect((await chunksOf(straight, prompt, { ...greedy, maxTokens: 6 })).map(({ id }) => id)).toEqual(seen);
  });
});

describe('choice', () => {
  test('a seed repeats the text; another gives another', async () => {
    const run = async (seed: number) => {
      using session = bytes.session();
      return (await chunksOf(session, 'a', { maxTokens: 20, seed, ...spread })).map(({ id }) => id);
    };
    expect(await run(11)).toEqual(await run(11));
    expect(await run(11)).not.toEqual(await run(12));
  });

  test('without a seed texts differ', async () => {
    const run = async () => {
      using session = bytes.session();
      return (await chunksOf(session, 'a', { maxTokens: 20, ...spread })).map(({ id }) => id).join();
    };
    expect(new Set([await run(), await run(), await run()]).size).toBeGreaterThan(1);
  });

  test('a bias forbids and forces', async () => {
    const forbidden = Object.fromEntries(Array.from({ length: 256 }, (_, id) => [id, Number.NEGATIVE_INFINITY]));
    const { 65: _, 66: __, ...others } = forbidden;
    using session = bytes.session();
    const chunks = await chunksOf(session, 'a', { maxTokens: 30, seed: 1, logitBias: others, ...spread });
    expect(new Set(chunks.map(({ id }) => id))).toEqual(new Set([65, 66]));
  });

  test('log-probabilities are those of the model, whatever the sampling does to them', async () => {
    using session = golden.session();
    const options = { maxTokens: 5, seed: 2, temperature: 2, topK: 3, logitBias: { 9: 4 }, topLogprobs: 256 };
    const chunks = await chunksOf(session, [1, 2], options);
    const past = [1, 2];
    for (const { id, logprob, topLogprobs } of chunks) {
      const logits = await freshLogits(golden, past);
      const sum = logits.reduce((total, value) => total + Math.exp(value), 0);
      expect(logprob).toBeCloseTo(Math.log(Math.exp(logits[id]!) / sum), 4);
      expect(topLogprobs).toHaveLength(256);
      expect(topLogprobs.find((token) => token.id === id)!.logprob).toBe(logprob);
      expect(topLogprobs.reduce((total, token) => total + Math.exp(token.logprob), 0)).toBeCloseTo(1, 6);
      expect(topLogprobs.every((token, i) => i === 0 || token.logprob <= topLogprobs[i - 1]!.logprob)).toBe(true);
      past.push(id);
    }
  });

  test('a repetition penalty keeps a greedy text from going in circles', async () => {
    const run = async (repetitionPenalty: number) => {
      using session = golden.session();
      const chunks = await chunksOf(session, [1], {
        maxTokens: 40,
        temperature: 0,
        ignoreEos: true,
        repetitionPenalty,
      });
      return new Set(chunks.map(({ id }) => id)).size;
    };
    expect(await run(1e6)).toBeGreaterThan(await run(1));
  });
});

test.each<[string, string, Parameters<typeof chunksOf>[2]]>([
  ['maxTokens', 'INVALID_ARGUMENT', { maxTokens: 2.5 }],
  ['maxTokens', 'INVALID_ARGUMENT', { maxTokens: -1 }],
  ['maxTokens', 'INVALID_ARGUMENT', { maxTokens: Number.NaN }],
  ['topLogprobs', 'INVALID_ARGUMENT', { topLogprobs: 0.5 }],
  ['stop', 'INVALID_ARGUMENT', { stop: ['x', ''] }],
  ['stop token', 'TOKEN_OUT_OF_RANGE', { stopTokens: [256] }],
  ['temperature', 'INVALID_ARGUMENT', { temperature: -1 }],
])('a bad %s is refused before anything is read', async (what, code, options) => {
  using session = bytes.session();
  await expect(chunksOf(session, 'a', options)).rejects.toMatchObject({ code, message: expect.stringContaining(what) });
  expect(session.tokens).toEqual([]);
});

test('text takes a tokenizer, tokens do not', async () => {
  using session = golden.session();
  await expect(chunksOf(session, 'a', {})).rejects.toMatchObject({ code: 'TOKENIZER_MISSING' });
  await expect(chunksOf(session, [1], { stop: ['a'] })).rejects.toMatchObject({ code: 'TOKENIZER_MISSING' });
  await expect(chunksOf(session, [], {})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test('2,000 tokens leave no tensor behind, and no memory but the cache', async () => {
  const backend: Backend = await cpu({ threads: 1 });
  const empty = backend.memory();
  const model = await Model.load('tiny', { backend });
  using session = model.session();
  const run = async (maxTokens: number) => {
    for await (const _ of session.generate([1], { maxTokens, seed: 1 }));
    return backend.memory();
  };
  const early = await run(100);
  const late = await run(2000);
  expect(late.tensors).toBe(early.tensors);
  expect(late.bytes - early.bytes).toBe(model.cachePool.byteLength - cacheBytesOf(128, model));
  model.dispose();
  expect(backend.memory()).toEqual(empty);
  backend.dispose();
});

/** Bytes of a cache of so many tokens, in F32. */
function cacheBytesOf(tokens: number, { config }: Model): number {
  return 4 * tokens * config.numHiddenLayers * (config.kvLoraRank + config.qkRopeHeadDim);
}
