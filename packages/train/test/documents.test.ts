/** Reading training data: what is a document, in what order, what is refused, and that no cut can be noticed. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '@mariana/tokenizer';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type DocumentPiece,
  jsonlDocuments,
  learnTokenizer,
  PackedData,
  textDocument,
  tokenizeDocuments,
} from '../src/index.ts';
import { readDocuments } from '../src/node.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-data-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Whole documents. */
async function whole(pieces: AsyncIterable<DocumentPiece>): Promise<string[]> {
  const documents: string[] = [];
  for await (const { text, isFirst } of pieces) {
    if (isFirst) documents.push(text);
    else documents.push(documents.pop()! + text);
  }
  return documents;
}

const utf8 = (text: string) => new TextEncoder().encode(text);

/** Bytes cut into pieces of a length. */
function cut(bytes: Uint8Array, length: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) =>
    bytes.subarray(i * length, (i + 1) * length),
  );
}

const documents = (...texts: string[]): DocumentPiece[] => texts.map((text) => ({ text, isFirst: true, isLast: true }));

describe('documents', () => {
  it('a line of JSONL is one, wherever the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n', '\n\n'),
        fc.integer({ min: 1, max: 20 }),
        async (texts, newline, length) => {
          const file = texts.map((body) => JSON.stringify({ id: 1, body }) + newline).join('');
          expect(await whole(jsonlDocuments(cut(utf8(file), length), 'x', 'body'))).toEqual(texts);
          expect(await whole(jsonlDocuments(cut(utf8(file.trimEnd()), length), 'x', 'body'))).toEqual(texts);
        },
      ),
    );
  });

  it.each([
    ['{"text": "a"}\n\n{"text": 5}\n', 3, '"text" is not a text'],
    ['{"text": "a"}\n{"text": "b"', 2, 'this is not JSON'],
    ['[1]', 1, 'this is not an object'],
    ['{"body": "a"}', 1, 'there is no "text"'],
    ['null\n', 1, 'this is not an object'],
  ])('bad JSONL is told with its line: %j', async (content, line, problem) => {
    await expect(whole(jsonlDocuments([utf8(content)], 'data.jsonl'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(`data.jsonl, line ${line}: ${problem}`),
      details: { source: 'data.jsonl', line },
    });
  });

  it('what is not UTF-8 is refused', async () => {
    for (const bytes of [Uint8Array.of(0x61, 0xff, 0x62), Uint8Array.of(0x61, 0xe2, 0x82)]) {
      await expect(whole(textDocument([bytes], 'a.txt'))).rejects.toMatchObject({ code: 'DATA_INVALID' });
      await expect(whole(jsonlDocuments([bytes], 'a.jsonl'))).rejects.toMatchObject({ code: 'DATA_INVALID' });
    }
  });

  it('a long text comes in pieces whose tokens are those of the whole', async () => {
    const text = Array.from({ length: 60_000 }, (_, i) =>
      `Zeile ${i} — wörtlich.${'\n'.repeat(1 + (i % 3))}   `.slice(0, 20 + (i % 12)),
    ).join('');
    const pieces: DocumentPiece[] = [];
    for await (const piece of textDocument(cut(utf8(text), 65_537), 'long')) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.map((piece) => piece.text).join('')).toBe(text);
    expect(pieces.map(({ isFirst }) => isFirst)).toEqual(pieces.map((_, i) => i === 0));
    expect(pieces.map(({ isLast }) => isLast)).toEqual(pieces.map((_, i) => i === pieces.length - 1));
    const tokenizer = Tokenizer.fromFiles(await learnTokenizer(documents(text.slice(0, 20_000)), { vocabSize: 400 }));
    const { training } = await tokenizeDocuments(pieces, tokenizer);
    expect(training.tokens).toEqual(Uint16Array.from([...tokenizer.encode(text), tokenizer.eosTokenId!]));
  }, 60_000);

  it('an empty file has none, a blank one has one', async () => {
    expect(await whole(textDocument([], 'empty'))).toEqual([]);
    expect(await whole(textDocument([utf8('\n')], 'blank'))).toEqual(['\n']);
    expect(await whole(jsonlDocuments([utf8('\n \n')], 'blank'))).toEqual([]);
  });
});

describe('files', () => {
  it('are read in the order of their paths, data only', async () => {
    await mkdir(join(folder, 'b'));
    await mkdir(join(folder, '.cache'));
    const files = {
      'b/2.txt': 'four',
      'b/10.TXT': 'three',
      'a.jsonl': '{"text":"one"}\n{"text":"two"}\n',
      'z.ndjson': '{"text":"six"}',
      'Z.txt': 'zero',
      'c.txt': 'five',
      'SOURCE.md': 'no',
      '.hidden.txt': 'no',
      '.cache/x.txt': 'no',
    };
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    const expected = ['zero', 'one', 'two', 'three', 'four', 'five', 'six'];
    expect(await whole(readDocuments(folder))).toEqual(expected);
    const named = [join(folder, 'SOURCE.md'), join(folder, 'a.jsonl')];
    expect(await whole(readDocuments(named))).toEqual(['no', 'one', 'two']);
  });

  it('that are not there, or folders without data, are refused', async () => {
    await expect(whole(readDocuments(join(folder, 'none.txt')))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(whole(readDocuments(folder))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(folder),
    });
  });
});

describe('tokens', () => {
  const stories = Array.from({ length: 40 }, (_, i) => `The fox number ${i} ran to the river and the river ran on.`);

  it('of documents: begin, text, end, each as the tokenizer has it', async () => {
    const learned = await learnTokenizer(documents(...stories), { vocabSize: 270 });
    const tokenizer = Tokenizer.fromFiles(learned);
    expect(tokenizer).toMatchObject({ bosTokenId: 0, eosTokenId: 1, vocabSize: 270 });
    const { training, heldOut } = await tokenizeDocuments(documents(...stories), tokenizer);
    expect([...training.tokens]).toEqual(stories.flatMap((story) => [...tokenizer.encode(story), 1]));
    expect(training.tokens[0]).toBe(0);
    expect(training).toMatchObject({ documents: 40, bytes: utf8(stories.join('')).length });
    expect(heldOut).toMatchObject({ documents: 0, bytes: 0 });
    expect(new PackedData(training.tokens, { sequenceLength: 8 }).batch(0, 2).tokens).toHaveLength(18);
  });

  it('are held out by documents, or at the end where there are few', async () => {
    const tokenizer = Tokenizer.fromFiles(await learnTokenizer(documents(...stories), { vocabSize: 300 }));
    const apart = await tokenizeDocuments(documents(...stories), tokenizer, { holdOut: 0.1 });
    expect([apart.training.documents, apart.heldOut.documents]).toEqual([36, 4]);
    const expected = [9, 19, 29, 39].flatMap((i) => [...tokenizer.encode(stories[i]!), 1]);
    expect([...apart.heldOut.tokens]).toEqual(expected);

    const single = await tokenizeDocuments(documents(stories.join('\n')), tokenizer, { holdOut: 0.1 });
    const all = [...tokenizer.encode(stories.join('\n')), 1];
    expect([...single.training.tokens, ...single.heldOut.tokens]).toEqual(all);
    expect(single.heldOut.tokens).toHaveLength(Math.floor(all.length / 10));
    expect(single.training.bytes + single.heldOut.bytes).toBe(utf8(stories.join('\n')).length);
  });

  it('refuses what cannot be learned from', async () => {
    const learned = await learnTokenizer(documents(...stories), { vocabSize: 300 });
    const tokenizer = Tokenizer.fromFiles(learned);
    const code = (expected: string) => expect.objectContaining({ code: expected });
    await expect(tokenizeDocuments([], tokenizer)).rejects.toEqual(code('DATA_INVALID'));
    await expect(tokenizeDocuments(documents('a'), tokenizer, { holdOut: 0.7 })).rejects.toEqual(
      code('INVALID_ARGUMENT'),
    );
    const endless = Tokenizer.fromFiles({ tokenizerJson: learned.tokenizerJson });
    await expect(tokenizeDocuments(documents('a'), endless)).rejects.toEqual(code('TOKENIZER_INVALID'));
    await expect(learnTokenizer(documents('a'), { vocabSize: 200 })).rejects.toEqual(code('INVALID_ARGUMENT'));
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(tokenizeDocuments(documents('a'), tokenizer, { signal })).rejects.toThrow('enough');
  });
});
