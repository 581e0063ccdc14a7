/** The trainer: merges by hand, against a naive trainer, and tokenizers that give every text back. */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MergeSearch } from './bpe-merges.ts';
import { BYTE_CHARS } from './byte-alphabet.ts';
import { Tokenizer, type TokenizerJson, type TrainBpeOptions, trainBpe } from './index.ts';

type Words = readonly (readonly [ids: readonly number[], count: number])[];

/** The merges that `MergeSearch` makes; new ids from `firstId` on. */
function fastMerges(words: Words, firstId: number, minCount: number, most: number): number[][] {
  const size = words.reduce((sum, [ids]) => sum + ids.length, 0);
  const search = new MergeSearch(words, size);
  const merges: number[][] = [];
  while (merges.length < most) {
    const pair = search.next(minCount);
    if (pair === undefined) break;
    search.merge(pair[0], pair[1], firstId + merges.length);
    merges.push(pair);
  }
  return merges;
}

/** The same, counting all pairs of all words anew for every merge. */
function naiveMerges(words: Words, firstId: number, minCount: number, most: number): number[][] {
  let current = words.map(([ids, count]) => ({ ids: [...ids], count }));
  const merges: number[][] = [];
  while (merges.length < most) {
    const counts = new Map<string, { pair: [number, number]; count: number }>();
    for (const { ids, count } of current) {
      for (let i = 1; i < ids.length; i++) {
        const pair: [number, number] = [ids[i - 1]!, ids[i]!];
        const entry = counts.get(String(pair)) ?? { pair, count: 0 };
        entry.count += count;
        counts.set(String(pair), entry);
      }
    }
    const [best] = [...counts.values()].sort(
      (a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1],
    );
    if (best === undefined || best.count < minCount) break;
    const [left, right] = best.pair;
    current = current.map(({ ids, count }) => {
      const merged: number[] = [];
      for (let i = 0; i < ids.length; i++) {
        if (ids[i] === left && ids[i + 1] === right) {
          merged.push(firstId + merges.length);
          i++;
        } else {
          merged.push(ids[i]!);
        }
      }
      return { ids: merged, count };
    });
    merges.push(best.pair);
  }
  return merges;
}

/** Training options without special tokens. */
function size(vocabSize: number): TrainBpeOptions {
  return { vocabSize, specialTokens: [] };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error) => error,
  );
}

describe('merges', () => {
  it('are those found by hand', () => {
    // "hug" 10, "pug" 5, "pun" 12, "bun" 4, "hugs" 5 (b g h n p s u = 0..6). u-g occurs 20 times, u-n 16, h-ug 15,
    // p-un 12; then hug-s, p-ug 5 each, the smaller pair first; b-un 4.
    const words: Words = [
      [[2, 6, 1], 10],
      [[4, 6, 1], 5],
      [[4, 6, 3], 12],
      [[0, 6, 3], 4],
      [[2, 6, 1, 5], 5],
    ];
    const expected = [
      [6, 1],
      [6, 3],
      [2, 7],
      [4, 8],
      [4, 7],
      [9, 5],
      [0, 8],
    ];
    expect(fastMerges(words, 7, 1, 100)).toEqual(expected);
    expect(naiveMerges(words, 7, 1, 100)).toEqual(expected);
    expect(fastMerges(words, 7, 5, 100)).toEqual(expected.slice(0, 6));
  });

  it('of a run of one token go from left to right', () => {
    // aaaaa: (a,a) leaves A A a; then (A,A) and (A,a) occur once each, (0,0) = a a never again.
    expect(fastMerges([[[0, 0, 0, 0, 0], 1]], 1, 1, 100)).toEqual([
      [0, 0],
      [1, 0],
      [1, 2],
    ]);
  });

  it('are those of the naive trainer', () => {
    const ids = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 });
    const words = fc.array(fc.tuple(ids, fc.integer({ min: 1, max: 5 })), { maxLength: 12 });
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 40 }), (table, minCount, most) => {
        expect(fastMerges(table, 4, minCount, most)).toEqual(naiveMerges(table, 4, minCount, most));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('trainBpe', () => {
  it('learns the words of a text, the space before them included', async () => {
    const json = await trainBpe(['low low low low lower lower newest newest'], size(256 + 8));
    // lo and ow occur 6 times, the smaller pair first; then low 6, " low" 5. All other pairs occur twice and go by their
    // ids, which are those of the byte alphabet: e before n, "Ġ" near the end, learned tokens last.
    expect(json.model.merges).toEqual(['l o', 'lo w', 'Ġ low', 'e r', 'e s', 'e w', 'n ew', 'Ġ new']);
  });

  it('puts special tokens first, then the bytes, then what it learned', async () => {
    const json = await trainBpe(['the the the'], { vocabSize: 261, specialTokens: ['<s>', '</s>'] });
    const tokens = Object.entries(json.model.vocab)
      .sort((a, b) => a[1] - b[1])
      .map(([token]) => token);
    expect(tokens).toEqual(
      ['<s>', '</s>', ...BYTE_CHARS.toSorted(), 'h e', 't he', 'Ġ the'].map((t) => t.replace(' ', '')),
    );
    expect(json.added_tokens.map(({ id, content, special }) => ({ id, content, special }))).toEqual([
      { id: 0, content: '<s>', special: true },
      { id: 1, content: '</s>', special: true },
    ]);
  });

  it('makes a tokenizer that gives any text back, here and in the library', async () => {
    const specialTokens = ['<s>', '</s>'];
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const mixed = fc.oneof(text, fc.string({ unit: 'grapheme', maxLength: 40 }), fc.constantFrom('a <s> b', '<s></s>'));
    await fc.assert(
      fc.asyncProperty(fc.array(mixed, { maxLength: 6 }), mixed, async (corpus, probe) => {
        const json = await trainBpe(corpus, { vocabSize: 300, specialTokens });
        const tokenizer = Tokenizer.fromFiles({ tokenizerJson: JSON.stringify(json) });
        const library = new LibraryTokenizer(json, {});
        for (const sample of [probe, ...corpus]) {
          const ids = tokenizer.encode(sample);
          expect(tokenizer.decode(ids)).toBe(sample);
          expect(library.encode(sample).ids).toEqual(ids);
        }
      }),
    );
  });

  it('gives the same for the same texts, listed or streamed', async () => {
    const texts = ['The quick brown fox', 'jumps over the lazy dog.\n\n', 'The dog sleeps; the fox jumps. 2024'];
    async function* streamed() {
      yield* texts;
    }
    const listed = await trainBpe(texts, size(320));
    expect(JSON.stringify(await trainBpe(streamed(), size(320)))).toBe(JSON.stringify(listed));
    expect(JSON.stringify(await trainBpe(new Set(texts), size(320)))).toBe(JSON.stringify(listed));
  });

  it('stops where no pair is frequent enough', async () => {
    const vocabSize = async (minFrequency: number) => {
      const json = await trainBpe(['aaaa bbb bbb'], { ...size(1000), minFrequency });
      return Tokenizer.fromFiles({ tokenizerJson: json }).vocabSize;
    };
    expect(await vocabSize(4)).toBe(257);
    expect(await vocabSize(1)).toBeGreaterThan(await vocabSize(3));
    expect(await vocabSize(99)).toBe(256);
  });

  it('learns nothing from no texts', async () => {
    const json = await trainBpe([], size(300));
    expect(json.model.merges).toEqual([]);
    expect(Tokenizer.fromFiles({ tokenizerJson: json }).decode([0, 1])).toBe('!"');
  });

  it('never learns the text of a special token, nor a token that is spelled like one', async () => {
    const options = { vocabSize: 400, specialTokens: ['<|end|>', 'Ġa'] };
    const json = await trainBpe(Array(9).fill('a a a<|end|>a a a<|end|>'), options);
    const learned = (json.model.merges as string[]).map((merge) => merge.replace(' ', ''));
    expect(learned.filter((token) => /[|<>]|end/.test(token))).toEqual([]);
    expect(learned).not.toContain('Ġa');
    expect(json.model.vocab.Ġa).toBe(1);
    const tokenizer = Tokenizer.fromFiles({ tokenizerJson: json });
    expect(tokenizer.decode(tokenizer.encode('a a Ġa<|end|>'))).toBe('a a Ġa<|end|>');
  });

  it('handles tokens named like properties of an object', async () => {
    const json = await trainBpe(['__proto__ constructor '.repeat(20)], size(400));
    const tokenizer = Tokenizer.fromFiles({ tokenizerJson: JSON.stringify(json) });
    expect(tokenizer.decode(tokenizer.encode('__proto__ constructor'))).toBe('__proto__ constructor');
  });

  it('can begin every text with a token', async () => {
    const json = await trainBpe([], { vocabSize: 300, specialTokens: ['</s>', '<s>'], bosToken: '<s>' });
    expect(Tokenizer.fromFiles({ tokenizerJson: json }).encode('!')).toEqual([1, 2]);
    expect(new LibraryTokenizer(json, {}).encode('!').ids).toEqual([1, 2]);
  });

  it('reports its progress, the last time when it is done', async () => {
    const seen: { texts: number; tokens: number; vocabSize: number }[] = [];
    await trainBpe(['the the', 'the'], { ...size(258), onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ texts: 2, tokens: 258, vocabSize: 258 });
  });

  it('can be ended', async () => {
    const controller = new AbortController();
    async function* endless() {
      for (;;) {
        yield 'once more';
        controller.abort(new Error('enough'));
      }
    }
    expect(await rejection(trainBpe(endless(), { ...size(300), signal: controller.signal }))).toMatchObject({
      message: 'enough',
    });
  });

  it.each<[string, unknown, Partial<TrainBpeOptions>]>([
    ['one text', 'the', {}],
    ['texts that are none', [7], {}],
    ['a small vocabSize', [], { vocabSize: 256, specialTokens: ['<s>'] }],
    ['a broken vocabSize', [], { vocabSize: 300.5 }],
    ['a huge vocabSize', [], { vocabSize: 2 ** 23 }],
    ['a zero minFrequency', [], { minFrequency: 0 }],
    ['an empty special token', [], { specialTokens: [''] }],
    ['a special token twice', [], { specialTokens: ['<s>', '<s>'] }],
    ['a special token that is a byte', [], { specialTokens: ['a'] }],
    ['special tokens as text', [], { specialTokens: '<s>' as never }],
    ['an unknown bosToken', [], { bosToken: '<s>' }],
  ])('refuses %s', async (_, texts, options) => {
    const error = await rejection(trainBpe(texts as string[], { ...size(300), ...options }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('gives what TypeScript says it gives', async () => {
    const json: TokenizerJson = await trainBpe(['a b'], size(256));
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  });
});
