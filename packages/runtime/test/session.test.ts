/** A session is its list of tokens: however it came to that list, its logits are those of a session that just read it. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Model, Session } from '../src/index.ts';
import { chunksOf, expectClose, freshLogits, goldenModel } from './support/models.ts';

const model = await goldenModel();
afterAll(() => model.dispose());

const token = fc.integer({ min: 0, max: 255 });

/** One thing that can be done to one of several sessions; `at` says to which, and where, as shares of what there is. */
type Edit =
  | { readonly kind: 'append' | 'sync'; readonly at: number; readonly ids: readonly number[] }
  | { readonly kind: 'push'; readonly at: number; readonly id: number }
  | { readonly kind: 'truncate'; readonly at: number; readonly share: number }
  | { readonly kind: 'fork' | 'look' | 'dispose'; readonly at: number };

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), at: share, ids: fc.array(token, { maxLength: 90 }) }),
  fc.record({ kind: fc.constant('sync' as const), at: share, ids: fc.array(token, { maxLength: 40 }) }),
  fc.record({ kind: fc.constant('push' as const), at: share, id: token }),
  fc.record({ kind: fc.constant('truncate' as const), at: share, share }),
  fc.record({ kind: fc.constantFrom('fork' as const, 'look' as const, 'dispose' as const), at: share }),
);

/** A session beside the list that it should be. */
interface Pair {
  readonly session: Session;
  tokens: number[];
}

async function apply(pairs: Pair[], edit: Edit): Promise<void> {
  const index = Math.floor(edit.at * pairs.length);
  const pair = pairs[index]!;
  const { session, tokens } = pair;
  switch (edit.kind) {
    case 'append':
      await session.append(edit.ids);
      tokens.push(...edit.ids);
      break;
    case 'push':
      session.push(edit.id);
      tokens.push(edit.id);
      break;
    case 'truncate': {
      const length = Math.floor(edit.share * (tokens.length + 1));
      session.truncate(length);
      tokens.length = length;
      break;
    }
    case 'sync': {
      // A list that begins as the session does, since others have nothing in common with it.
      const goal = [...tokens.slice(0, Math.ceil(tokens.length / 2)), ...edit.ids];
      const common = goal.findIndex((id, i) => id !== tokens[i]);
      expect(await session.sync(goal)).toBe(common === -1 ? goal.length : common);
      pair.tokens = goal;
      break;
    }
    case 'fork':
      pairs.push({ session: session.fork(), tokens: [...tokens] });
      break;
    case 'look':
      if (tokens.length > 0) await session.nextLogits();
      break;
    case 'dispose':
      if (pairs.length === 1) break;
      session.dispose();
      pairs.splice(index, 1);
  }
  expect(pairs.map((one) => [...one.session.tokens])).toEqual(pairs.map((one) => one.tokens));
}

test('any edits: append, push, truncate, sync, fork', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { maxLength: 14 }), fc.integer({ min: 1, max: 70 }), async (edits, chunk) => {
      const pairs: Pair[] = [{ session: model.session({ prefillChunk: chunk }), tokens: [] }];
      for (const one of edits) await apply(pairs, one);
      for (const { session, tokens } of pairs) {
        if (tokens.length > 0) expectClose(await session.nextLogits(), await freshLogits(model, tokens));
        session.dispose();
      }
    }),
    { numRuns: 40 },
  );
});

test('a prompt read in chunks of any size gives the logits of one pass', async () => {
  const prompt = Array.from({ length: 150 }, (_, i) => (i * 37) % 256);
  const expected = await freshLogits(model, prompt);
  for (const prefillChunk of [1, 7, 64, 149, 150]) {
    using session = model.session({ prefillChunk });
    const seen: number[][] = [];
    await session.append(prompt, { onProgress: (done, total) => seen.push([done, total]) });
    expectClose(await session.nextLogits(), expected);
    expect(seen.length).toBe(Math.ceil(150 / prefillChunk));
    expect(seen.at(-1)).toEqual([150, 150]);
  }
});

test('sessions that share a past do not disturb each other', async () => {
  using first = model.session();
  await first.append([1, 2, 3]);
  using second = first.fork();
  const [a, b] = await Promise.all([
    chunksOf(first, [10], { maxTokens: 20, temperature: 0 }),
    chunksOf(second, [11], { maxTokens: 20, temperature: 0 }),
  ]);
  for (const [id, chunks] of [
    [10, a],
    [11, b],
  ] as const) {
    using alone = model.session();
    const expected = await chunksOf(alone, [1, 2, 3, id], { maxTokens: 20, temperature: 0 });
    expect(chunks.map((chunk) => chunk.id)).toEqual(expected.map((chunk) => chunk.id));
  }
});

describe('what a session refuses leaves it as it was', () => {
  async function unchanged(session: Session, action: () => unknown, code: string): Promise<void> {
    const tokens = [...session.tokens];
    const logits = await session.nextLogits();
    await expect((async () => action())()).rejects.toMatchObject({ name: 'MarianaError', code });
    expect(session.tokens).toEqual(tokens);
    expect(await session.nextLogits()).toEqual(logits);
  }

  test.each<[string, string, (session: Session) => unknown]>([
    ['tokens beyond the context', 'CONTEXT_EXCEEDED', (session) => session.append([1, 2, 3, 4, 5, 6])],
    ['a list beyond the context', 'CONTEXT_EXCEEDED', (session) => session.sync([1, 2, 3, 4, 5, 6, 7, 8, 9])],
    ['a token out of range', 'TOKEN_OUT_OF_RANGE', (session) => session.append([5, 256])],
    ['a list with a token out of range', 'TOKEN_OUT_OF_RANGE', (session) => session.sync([9, -1])],
    ['a token that is no whole number', 'TOKEN_OUT_OF_RANGE', (session) => session.push(1.5)],
    ['a cut beyond the end', 'INVALID_ARGUMENT', (session) => session.truncate(4)],
    ['a cut before the beginning', 'INVALID_ARGUMENT', (session) => session.truncate(-1)],
  ])('%s', async (_, code, action) => {
    using session = model.session({ contextLength: 8 });
    await session.append([1, 2, 3]);
    await unchanged(session, () => action(session), code);
  });

  test('calls while it is busy', async () => {
    using session = model.session();
    const reading = session.append([1, 2, 3]);
    for (const action of [
      () => session.append([4]),
      () => session.push(4),
      () => session.truncate(1),
      () => session.fork(),
      () => session.sync([4]),
    ]) {
      await expect((async () => action())()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    await reading;
    expect(session.tokens).toEqual([1, 2, 3]);
    expectClose(await session.nextLogits(), await freshLogits(model, [1, 2, 3]));
  });
});

test('options that make no sense, and an empty session, are refused', async () => {
  const limit = model.config.maxPositionEmbeddings;
  for (const contextLength of [0, -1, 1.5, limit + 1, Number.NaN]) {
    expect(() => model.session({ contextLength })).toThrow(/contextLength/);
  }
  for (const prefillChunk of [0, 2.5, Number.NaN])
    expect(() => model.session({ prefillChunk })).toThrow(/prefillChunk/);
  using session = model.session();
  await expect(session.nextLogits()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(session.remaining).toBe(limit);
});

test('a disposed session cannot be used', async () => {
  const session = model.session();
  await session.append([1, 2]);
  session.dispose();
  await expect(session.append([3])).rejects.toMatchObject({ code: 'TENSOR_DISPOSED' });
});

/** Aborts when it has been asked `checks` times: at every place where a computation can be stopped, one after another. */
function abortAfter(checks: number): { signal: AbortSignal; wasAborted: () => boolean } {
  const controller = new AbortController();
  const { signal } = controller;
  let left = checks;
  const check = signal.throwIfAborted.bind(signal);
  signal.throwIfAborted = () => {
    if (left-- <= 0) controller.abort();
    check();
  };
  return { signal, wasAborted: () => signal.aborted };
}

describe('abort', () => {
  const prompt = Array.from({ length: 20 }, (_, i) => i * 3);

  async function greedy(session: Session, count: number): Promise<number[]> {
    return (await chunksOf(session, [], { maxTokens: count, temperature: 0 })).map(({ id }) => id);
  }

  test('at any point of reading a prompt: the session goes on as if nothing had been', async () => {
    const expected = await expectedAfter(model, prompt);
    for (let checks = 0, ended = false; !ended; checks++) {
      using session = model.session({ prefillChunk: 8 });
      const { signal, wasAborted } = abortAfter(checks);
      const reading = session.append(prompt, { signal });
      if (checks < 3) await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
      else await reading.catch(() => {});
      ended = !wasAborted();
      expect(session.tokens).toEqual(prompt);
      expect(await greedy(session, 4)).toEqual(expected);
    }
  });

  test('at any point of a generation: what was yielded is kept, and what follows is the same', async () => {
    const expected = await expectedAfter(model, prompt);
    for (let checks = 0, ended = false; !ended; checks++) {
      using session = model.session();
      const { signal, wasAborted } = abortAfter(checks);
      const ids: number[] = [];
      try {
        for await (const { id } of session.generate(prompt, { maxTokens: 4, temperature: 0, signal })) ids.push(id);
      } catch (error) {
        expect(error).toMatchObject({ name: 'AbortError' });
      }
      ended = !wasAborted();
      expect(session.tokens).toEqual([...prompt, ...ids]);
      expect([...ids, ...(await greedy(session, 4 - ids.length))]).toEqual(expected);
    }
  });

  test('a timer can stop a computation on the calling thread', async () => {
    using session = model.session({ prefillChunk: 300 });
    const long = Array.from({ length: 300 }, (_, i) => i % 256);
    await expect(session.append(long, { signal: AbortSignal.timeout(1) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });

  async function expectedAfter(model: Model, prompt: readonly number[]): Promise<number[]> {
    using session = model.session();
    await session.append(prompt);
    return await greedy(session, 4);
  }
});
