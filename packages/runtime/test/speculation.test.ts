/** Drafting changes how fast a text comes, and nothing about the text. */
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import type { Backend } from '@mariana/core';
import { Golden } from '@mariana/goldens';
import { fixturePath, openFixture } from '@mariana/goldens/node';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GenerateOptions, Model, type Session } from '../src/index.ts';

const MODEL = fixturePath('tiny-mtp');

async function idsOf(session: Session, prompt: readonly number[], options: GenerateOptions): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of session.generate(prompt, { ignoreEos: true, ...options })) ids.push(id);
  return ids;
}

const BACKENDS: Record<string, () => Promise<Backend>> = {
  reference: async () => reference(),
  cpu: () => cpu({ threads: 2 }),
};

describe.each(Object.entries(BACKENDS))('on %s', (_name, create) => {
  test('greedy tokens with drafts are the goldens', async () => {
    const golden = await Golden.open('tiny-mtp', openFixture);
    using model = await Model.load(MODEL, { backend: await create(), mtp: true });
    for (const prompt of golden.prompts) {
      using session = model.session({ speculate: true });
      const ids = await idsOf(session, [...(await golden.integers(`${prompt}.input_ids`))], {
        maxTokens: 16,
        temperature: 0,
      });
      expect(ids).toEqual([...(await golden.integers(`${prompt}.greedy_tokens`))]);
      expect(session.speculation.drafted).toBeGreaterThan(0);
    }
    await golden.close();
  });
});

describe('speculation', async () => {
  const model = await Model.load(MODEL, { backend: reference(), mtp: true });
  const prompts = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 12 });

  test('the first prompt of the goldens has one right draft in fifteen, and it is counted', async () => {
    const golden = await Golden.open('tiny-mtp', openFixture);
    using session = model.session({ speculate: true });
    await idsOf(session, [...(await golden.integers('p0.input_ids'))], { maxTokens: 16, temperature: 0 });
    const drafts = await golden.integers('p0.mtp_draft_tokens');
    const greedy = await golden.integers('p0.greedy_tokens');
    const right = drafts.filter((draft, i) => draft === greedy[i + 1]).length;
    expect(right).toBe(1);
    expect(session.speculation.accepted).toBe(right);
    await golden.close();
  });

  test('any prompt, temperature and seed give the same tokens with and without', async () => {
    await fc.assert(
      fc.asyncProperty(prompts, fc.constantFrom(0, 0.7, 1.5), fc.nat(1000), async (prompt, temperature, seed) => {
        const options = { maxTokens: 12, temperature, seed };
        using plain = model.session();
        using drafting = model.session({ speculate: true, prefillChunk: 5 });
        expect(await idsOf(drafting, prompt, options)).toEqual(await idsOf(plain, prompt, options));
      }),
      { numRuns: 20, seed: 1 },
    );
  });

  test('cutting back, forking and going on elsewhere leave no trace of drafts', async () => {
    const edit = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), ids: prompts }),
      fc.record({ kind: fc.constant('generate' as const), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant('cut' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ kind: fc.constant('fork' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 8 }), async (edits) => {
        let session = model.session({ speculate: true });
        const open = [session];
        await session.append([1, 2, 3]);
        for (const change of edits) {
          if (change.kind === 'append') await session.append(change.ids);
          else if (change.kind === 'cut') session.truncate(Math.ceil(change.share * session.tokens.length));
          else if (change.kind === 'fork') {
            session = session.fork();
            open.push(session);
          } else if (session.tokens.length > 0) await idsOf(session, [], { maxTokens: change.count, temperature: 0 });
        }
        if (session.tokens.length > 0) {
          using fresh = model.session();
          await fresh.append(session.tokens);
          const [actual, expected] = [await session.nextLogits(), await fresh.nextLogits()];
          const furthest = Math.max(...actual.map((logit, i) => Math.abs(logit - expected[i]!)));
          expect(furthest).toBeLessThan(1e-4);
        }
        for (const one of open) one.dispose();
      }),
      { numRuns: 30, seed: 2 },
    );
  });

  test('without the module it is refused', async () => {
    using plain = await Model.load(MODEL, { backend: reference() });
    expect(() => plain.session({ speculate: true })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
