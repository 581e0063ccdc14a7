/** Attention in both forms against each other, for shapes that no golden has, and what it refuses. */
import { reference } from '@mariana/backend-reference';
import { type JsonObject, parseConfig, preset, RandomWeights, type Tensor } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MultiHeadLatentAttention } from './multi-head-latent-attention.ts';

const backend = reference();

async function layer(changes: JsonObject = {}) {
  const config = parseConfig({ ...preset('tiny').raw, initializer_range: 0.3, ...changes });
  return MultiHeadLatentAttention.load(config, new RandomWeights(config), { layer: 0, backend });
}

function input(tokens: number, width: number, seed = 1): Tensor {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
  return backend.upload(
    Float32Array.from({ length: tokens * width }, () => next()),
    [tokens, width],
  );
}

async function difference(a: Tensor, b: Tensor): Promise<number> {
  const [left, right] = [await a.floats(), await b.floats()];
  return Math.max(0, ...left.map((value, i) => Math.abs(value - right[i]!)));
}

describe('MultiHeadLatentAttention', () => {
  test('both forms agree, in any chunks, with a cache in F32', async () => {
    const shapes = fc.record({
      heads: fc.integer({ min: 1, max: 5 }),
      latent: fc.integer({ min: 1, max: 20 }),
      nope: fc.integer({ min: 1, max: 12 }),
      ropePairs: fc.integer({ min: 1, max: 4 }),
      value: fc.integer({ min: 1, max: 12 }),
      qLora: fc.option(fc.integer({ min: 1, max: 16 })),
      chunks: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ heads, latent, nope, ropePairs, value, qLora, chunks }) => {
        using attention = await layer({
          num_attention_heads: heads,
          num_key_value_heads: heads,
          kv_lora_rank: latent,
          qk_nope_head_dim: nope,
          qk_rope_head_dim: 2 * ropePairs,
          v_head_dim: value,
          q_lora_rank: qLora,
        });
        const tokens = chunks.reduce((sum, chunk) => sum + chunk, 0);
        using x = input(tokens, 64);
        using whole = await attention.forward(x);
        for (const form of ['naive', 'absorbed', 'auto'] as const) {
          using cache = attention.createCache({ tokens });
          let start = 0;
          for (const chunk of chunks) {
            using part = backend.slice(x, 0, start, start + chunk);
            using expected = backend.slice(whole, 0, start, start + chunk);
            using actual = await attention.forward(part, { cache, form });
            expect(await difference(actual, expected)).toBeLessThan(1e-4);
            start += chunk;
          }
          expect(cache.length).toBe(tokens);
          cache.truncate(tokens - chunks.at(-1)!);
          using part = backend.slice(x, 0, cache.length, tokens);
          using last = await attention.forward(part, { cache, form, outputs: 'last' });
          using expected = backend.slice(whole, 0, tokens - 1, tokens);
          expect(last.shape).toEqual([1, 64]);
          expect(await difference(last, expected)).toBeLessThan(1e-4);
          expect(cache.length).toBe(tokens);
        }
      }),
      { numRuns: 25 },
    );
    expect(backend.memory().tensors).toBe(0);
  });

  test('what each head takes of each token is the same in both forms, sums to one and never looks ahead', async () => {
    using attention = await layer({ num_attention_heads: 3, num_key_value_heads: 3 });
    using x = input(7, 64);
    const seen = new Map<string, Float32Array>();
    for (const form of ['naive', 'absorbed'] as const) {
      using cache = attention.createCache({ tokens: 7 });
      for (const [start, end] of [
        [0, 5],
        [5, 7],
      ] as const) {
        using part = backend.slice(x, 0, start, end);
        using _y = await attention.forward(part, {
          cache,
          form,
          onAttention: async (weights) => {
            expect(weights.shape).toEqual([1, 3, end - start, end]);
            seen.set(`${form} ${start}`, await weights.floats());
          },
        });
      }
    }
    using _whole = await attention.forward(x, {
      onAttention: async (weights) => void seen.set('whole', await weights.floats()),
    });
    const whole = seen.get('whole')!;
    for (let head = 0; head < 3; head++) {
      for (let query = 0; query < 7; query++) {
        const row = [...whole.subarray((head * 7 + query) * 7, (head * 7 + query + 1) * 7)];
        expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
        expect(row.slice(query + 1).every((weight) => weight === 0)).toBe(true);
        const [start, queries, keys] = query < 5 ? [0, 5, 5] : [5, 2, 7];
        for (const form of ['naive', 'absorbed']) {
          const at = (head * queries + query - start) * keys;
          const part = [...seen.get(`${form} ${start}`)!.subarray(at, at + keys)];
          for (const [key, weight] of part.entries()) expect(weight).toBeCloseTo(row[key]!, 5);
        }
      }
    }
  });

  test('watching changes no output, and what a watcher throws leaves nothing behind', async () => {
    using attention = await layer();
    using x = input(4, 64);
    using plain = await attention.forward(x);
    using watched = await attention.forward(x, { onAttention: () => {} });
    expect(await watched.floats()).toEqual(await plain.floats());
    const { tensors } = backend.memory();
    const failure = new Error('seen enough');
    const watcher = () => Promise.reject(failure);
    await expect(attention.forward(x, { onAttention: watcher })).rejects.toBe(failure);
    expect(backend.memory().tensors).toBe(tensors);
  });

  test('sequences stacked in a batch do not see each other', async () => {
    using attention = await layer();
    using x = input(10, 64);
    using both = await attention.forward(x, { batch: 2 });
    for (const start of [0, 5]) {
      using one = backend.slice(x, 0, start, start + 5);
      using alone = await attention.forward(one);
      using expected = backend.slice(both, 0, start, start + 5);
      expect(await difference(alone, expected)).toBeLessThan(1e-6);
    }
  });

  test('few queries against a long cache take the absorbed form, many at once the naive one', async () => {
    using attention = await layer();
    using cache = attention.createCache({ tokens: 4 });
    expect(attention.chooseForm(1, 1000, { cache })).toBe('absorbed');
    expect(attention.chooseForm(1000, 1000, { cache })).toBe('naive');
    expect(attention.chooseForm(1, 1000)).toBe('naive');
    expect(attention.chooseForm(1000, 1000, { cache, form: 'absorbed' })).toBe('absorbed');
  });

  test('refuses what does not fit', async () => {
    using attention = await layer();
    using narrow = input(3, 60);
    using x = input(3, 64);
    using cache = attention.createCache({ tokens: 2 });
    const refused = (code: string) => expect.objectContaining({ code });
    await expect(attention.forward(narrow)).rejects.toEqual(refused('SHAPE_MISMATCH'));
    await expect(attention.forward(x, { batch: 2 })).rejects.toEqual(refused('SHAPE_MISMATCH'));
    await expect(attention.forward(x, { cache, batch: 3 })).rejects.toEqual(refused('INVALID_ARGUMENT'));
    await expect(attention.forward(x, { form: 'absorbed' })).rejects.toEqual(refused('INVALID_ARGUMENT'));
    await expect(attention.forward(x, { outputs: 'last' })).rejects.toEqual(refused('INVALID_ARGUMENT'));
    using long = input(70, 64);
    await expect(attention.forward(long, { cache })).rejects.toEqual(refused('CONTEXT_EXCEEDED'));
    expect(cache.length).toBe(0);
  });
});
