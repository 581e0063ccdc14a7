/** Watching a session: what is seen is what the network did, for every position, and the text does not change. */
import { reference } from '@mariana/backend-reference';
import { fixturePath } from '@mariana/goldens/node';
import { describe, expect, test } from 'vitest';
import { type GenerateOptions, Model, type Session, type SessionObserver } from '../src/index.ts';

const backend = reference();
const model = await Model.load(fixturePath('tiny-mtp'), { backend, mtp: true });
const PROMPT = [3, 141, 59, 26, 53, 58, 97];
const OPTIONS: GenerateOptions = { maxTokens: 8, temperature: 1, seed: 5, ignoreEos: true };

/** Keeps what is seen by layer and position; a position that is seen again is overwritten. */
class Watcher implements SessionObserver {
  attentionLayers: readonly number[] = [0, 1];
  readonly experts = new Map<string, { readonly chosen: number[]; readonly weights: number[] }>();
  readonly attention = new Map<string, number[]>();

  onRouting: NonNullable<SessionObserver['onRouting']> = async (layer, { indices, weights }, start) => {
    const [chosen, shares] = [(await indices.read()) as Int32Array, await weights.floats()];
    const [tokens, k] = indices.shape as readonly [number, number];
    for (let i = 0; i < tokens; i++) {
      const part = [i * k, (i + 1) * k] as const;
      const one = { chosen: [...chosen.subarray(...part)], weights: [...shares.subarray(...part)] };
      this.experts.set(`${layer} ${start + i}`, one);
    }
  };

  onAttention: NonNullable<SessionObserver['onAttention']> = async (layer, weights, start) => {
    const [, heads, queries, keys] = weights.shape as readonly [number, number, number, number];
    const values = await weights.floats();
    for (let head = 0; head < heads; head++) {
      for (let query = 0; query < queries; query++) {
        const at = (head * queries + query) * keys;
        this.attention.set(`${layer} ${head} ${start + query}`, [...values.subarray(at, at + start + query + 1)]);
      }
    }
  };
}

async function run(session: Session): Promise<{ ids: number[]; drafts: (number | null)[] }> {
  const [ids, drafts]: [number[], (number | null)[]] = [[], []];
  for await (const { id, draft } of session.generate(PROMPT, OPTIONS)) {
    ids.push(id);
    drafts.push(draft);
  }
  return { ids, drafts };
}

function close(actual: readonly number[] | undefined, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual![i]).toBeCloseTo(value, 4);
}

describe.each([true, false])('with drafts: %s', (speculate) => {
  test('every position is seen as one pass over the whole text shows it', async () => {
    const seen = new Watcher();
    using session = model.session({ speculate, observer: seen });
    const { ids } = await run(session);
    const whole = new Watcher();
    using again = model.session({ observer: whole });
    await again.append([...PROMPT, ...ids]);
    // The last token was not run.
    for (let position = 0; position < PROMPT.length + ids.length - 1; position++) {
      const experts = whole.experts.get(`1 ${position}`)!;
      expect(seen.experts.get(`1 ${position}`)?.chosen).toEqual(experts.chosen);
      close(seen.experts.get(`1 ${position}`)?.weights, experts.weights);
      for (const layer of [0, 1]) {
        for (let head = 0; head < 4; head++) {
          const key = `${layer} ${head} ${position}`;
          close(seen.attention.get(key), whole.attention.get(key)!);
        }
      }
    }
  });

  test('the text is the same unwatched, and nothing is left on the backend', async () => {
    using plain = model.session({ speculate });
    const { ids } = await run(plain);
    using watched = model.session({ speculate, observer: new Watcher() });
    expect((await run(watched)).ids).toEqual(ids);
  });
});

test('only the layers that are asked for are seen, and others from then on', async () => {
  const seen = new Watcher();
  seen.attentionLayers = [1];
  using session = model.session({ observer: seen });
  await session.append(PROMPT.slice(0, 3));
  seen.attentionLayers = [0];
  await session.append(PROMPT.slice(3));
  expect(seen.attention.has('1 0 2') && seen.attention.has('0 0 3')).toBe(true);
  expect(seen.attention.has('0 0 2') || seen.attention.has('1 0 3')).toBe(false);
});

test('each chunk tells what was drafted for its place, as often as is counted', async () => {
  using session = model.session({ speculate: true });
  const { ids, drafts } = await run(session);
  const drafted = drafts.filter((draft) => draft !== null);
  expect(drafted.length).toBeGreaterThan(0);
  expect(drafts.filter((draft, i) => draft === ids[i])).toHaveLength(session.speculation.accepted);
  expect(drafted).toHaveLength(session.speculation.drafted);
  using plain = model.session();
  expect((await run(plain)).drafts.every((draft) => draft === null)).toBe(true);
});
