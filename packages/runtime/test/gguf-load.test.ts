/** Where a GGUF file may lie, what tokenizer it brings, and what is said of one that cannot be used. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  GgufFile,
  type GgufValue,
  MemoryFiles,
  MemorySink,
  MemorySource,
  tokenizerFromGguf,
  writeGguf,
} from '@mariana/core';
import { fixturePath } from '@mariana/goldens/node';
import { Tokenizer } from '@mariana/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Model, type ModelLocation } from '../src/index.ts';
import { asModel, readGolden } from './support/gguf-goldens.ts';

const backend = new ReferenceBackend();
const PROMPT = [5, 20, 130, 7];
let folder: string;
let file: string;
let expected: Float32Array;

async function logits(location: ModelLocation): Promise<Float32Array> {
  using model = await Model.load(location, { backend });
  using output = await model.transformer.forward(PROMPT);
  return output.logits!.floats();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-gguf-'));
  file = join(folder, 'tiny-dense-moe-BF16.gguf');
  await writeFile(file, readGolden('tiny-dense-moe', 'BF16.gguf'));
  expected = await logits(fixturePath('tiny-dense-moe'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('Model.load', () => {
  it('takes the path of a GGUF file, its folder, and file URLs of both', async () => {
    for (const location of [file, folder, pathToFileURL(file), pathToFileURL(folder).href]) {
      expect(await logits(location)).toEqual(expected);
    }
  });

  it('takes a GGUF file in memory, and one on a web server', async () => {
    expect(await logits(asModel('tiny-dense-moe', 'BF16.gguf'))).toEqual(expected);
    const bytes = readGolden('tiny-dense-moe', 'BF16.gguf');
    const server = createServer((request, response) => {
      const [, start, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
      if (request.url !== '/models/tiny%20model.gguf?key=1' || start === undefined) {
        response.writeHead(404).end();
        return;
      }
      const part = bytes.subarray(Number(start), Number(end) + 1);
      response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${bytes.length}` }).end(part);
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    try {
      const { port } = server.address() as { port: number };
      expect(await logits(`http://localhost:${port}/models/tiny%20model.gguf?key=1`)).toEqual(expected);
    } finally {
      server.close();
    }
  });

  it('prefers safetensors to a GGUF file beside them, and wants one of several named', async () => {
    const both = join(folder, 'both');
    await mkdir(both);
    for (const name of ['config.json', 'model.safetensors']) {
      await copyFile(join(fixturePath('tiny-dense-moe'), name), join(both, name));
    }
    await writeFile(join(both, 'broken.gguf'), 'not a model');
    expect(await logits(both)).toEqual(expected);
    const several = join(folder, 'several');
    await mkdir(several);
    await writeFile(join(several, 'b.gguf'), '');
    await writeFile(join(several, 'a.GGUF'), '');
    await expect(logits(several)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/2 GGUF files.*a\.GGUF/),
    });
  });

  it('says what is wrong with a file', async () => {
    await expect(logits(join(folder, 'missing.gguf'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    const bytes = await readFile(file);
    const cut = join(folder, 'cut.gguf');
    await writeFile(cut, bytes.subarray(0, 300_000));
    await expect(logits(cut)).rejects.toMatchObject({ code: 'SOURCE_TRUNCATED' });
    const other = new MemoryFiles({ 'model.gguf': await withKeys({ 'general.architecture': text('llama') }) });
    await expect(logits(other)).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: expect.stringContaining('"llama"'),
    });
  });
});

const text = (value: string): GgufValue => ({ type: 'string', value });

/** The golden file with other metadata. */
async function withKeys(changes: Readonly<Record<string, GgufValue | null>>): Promise<Uint8Array> {
  const gguf = await GgufFile.open(new MemorySource(readGolden('tiny-dense-moe', 'BF16.gguf')));
  const metadata = new Map(gguf.metadata);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) metadata.delete(key);
    else metadata.set(key, value);
  }
  const sink = new MemorySink();
  const tensors = gguf.names().map((name) => {
    const { type, shape } = gguf.entry(name);
    return { name, type: type.name, shape, data: gguf.stored(name) };
  });
  await writeGguf(sink, { metadata, tensors });
  return sink.bytes();
}

describe('the tokenizer of a GGUF file', () => {
  const load = async (changes: Parameters<typeof withKeys>[0], beside: Record<string, string> = {}) => {
    const files = new MemoryFiles({ 'model.gguf': await withKeys(changes), ...beside });
    using model = await Model.load(files, { backend });
    return model.tokenizer;
  };

  it('encodes by its tokens and merges, and decodes', async () => {
    const tokenizer = (await load({}))!;
    expect(tokenizer.bosTokenId).toBe(0);
    expect(tokenizer.eosTokenIds).toEqual([1]);
    const ids = tokenizer.encode('Hello, the cat.\n');
    expect(tokenizer.decode(ids)).toBe('Hello, the cat.\n');
    expect(Math.max(...ids)).toBeLessThan(256);
    expect(tokenizer.encode('x')).toHaveLength(1); // no BOS: the file asks for none
    const withBos = (await load({ 'tokenizer.ggml.add_bos_token': { type: 'bool', value: true } }))!;
    expect(withBos.encode('x')).toEqual([0, ...tokenizer.encode('x')]);
  });

  it('has the chat template and every token that ends a text', async () => {
    const tokenizer = (await load({
      'tokenizer.chat_template': text('{{ bos_token }}{{ messages[0].content }}'),
      'tokenizer.ggml.eot_token_id': { type: 'u32', value: 7 },
    }))!;
    const bos = tokenizer.idToToken(0)!;
    expect(tokenizer.applyChatTemplate([{ role: 'user', content: 'hi' }])).toBe(`${bos}hi`);
    expect(tokenizer.eosTokenIds).toEqual([1, 7]);
  });

  it('is null where there is none, and then a tokenizer.json beside the file', async () => {
    const none = { 'tokenizer.ggml.model': text('none') };
    expect(await load(none)).toBeNull();
    const own = tokenizerFromGguf(await GgufFile.open(new MemorySource(readGolden('tiny-dense-moe', 'BF16.gguf'))))!;
    const beside = { 'tokenizer.json': JSON.stringify(own.tokenizerJson) };
    expect((await load(none, beside))!.encode('ab')).toEqual((await load({}))!.encode('ab'));
    expect((await load({ 'tokenizer.ggml.pre': text('glass-bead') }, beside))!.encode('ab')).toHaveLength(2);
  });

  it.each([
    ['tokenizer.ggml.pre', text('glass-bead'), /cuts text by "glass-bead"/],
    ['tokenizer.ggml.model', text('llama'), /kind "llama"/],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'i32', value: [1] } as GgufValue, /types of 1/],
    ['tokenizer.ggml.bos_token_id', { type: 'u32', value: 99_999 } as GgufValue, /99999, which no token has/],
  ])('is refused for a bad %s', async (key, value, message) => {
    const error = { code: 'TOKENIZER_INVALID', message: expect.stringMatching(message) };
    await expect(load({ [key]: value })).rejects.toMatchObject(error);
  });

  it.each([
    ['deepseek-v3', "It's 12345 世界ok (yes)\n", ['It', "'s", ' ', '123', '45', ' ', '世界', 'ok', ' (', 'yes', ')\n']],
    ['deepseek-llm', "It's 12 世界ok\n", ['It', "'", 's', ' ', '1', '2', ' ', '世界', 'ok', '\n']],
    ['gpt-2', "It's 123 世界ok\n", ['It', "'s", ' 123', ' 世界ok', '\n']],
    ['kimi-k2', "HTTPServer it's 1234世界ok\n", ['HTTPServer', " it's", ' ', '123', '4', '世界', 'ok', '\n']],
  ])('cuts words as %s does', async (pre, sentence, words) => {
    // Without merges every byte is a token: words show only where nothing can be merged across them, so merge all pairs.
    const tokens = byteTokens();
    const merges: string[] = [];
    for (const word of words) {
      let left = '';
      for (const char of spelled(word)) {
        if (left !== '' && !tokens.includes(left + char)) {
          tokens.push(left + char);
          merges.push(`${left} ${char}`);
        }
        left += char;
      }
    }
    const file = await GgufFile.open(
      new MemorySource(
        await withKeys({
          'tokenizer.ggml.pre': text(pre),
          'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens },
          'tokenizer.ggml.token_type': null,
          'tokenizer.ggml.merges': { type: 'array', of: 'string', value: merges },
        }),
      ),
    );
    const tokenizer = Tokenizer.fromFiles(tokenizerFromGguf(file)!);
    expect(tokenizer.encode(sentence).map((id) => tokenizer.decode([id]))).toEqual(words);
  });
});

const PRINTABLE = /[!-~¡-¬®-ÿ]/;

/** Characters of GPT-2's byte alphabet, by byte. */
function byteAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const char = String.fromCharCode(byte);
    return PRINTABLE.test(char) ? char : String.fromCharCode(next++);
  });
}

function byteTokens(): string[] {
  return ['<s>', '</s>', ...byteAlphabet()];
}

function spelled(word: string): string[] {
  const alphabet = byteAlphabet();
  return Array.from(new TextEncoder().encode(word), (byte) => alphabet[byte]!);
}
