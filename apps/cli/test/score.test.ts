/** `mariana score`: log-probabilities, and logits that are those of the original implementations. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { SafetensorsFile } from '@mariana/core';
import { FileSource } from '@mariana/core/node';
import { Golden } from '@mariana/goldens';
import { fixturePath, openFixture } from '@mariana/goldens/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { batch, json, mariana, type Outcome } from './program.ts';
import { scratchFolder } from './scratch.ts';

const scratch = scratchFolder();
const FOLDERS = [
  'tiny-dense-moe',
  'tiny-sharded',
  'tiny-no-q-lora',
  'tiny-v2-softmax',
  'tiny-v2-group',
  'tiny-negbias',
  'tiny-yarn',
  'tiny-yarn-mscale',
  'tiny-fp8',
  'tiny-mtp',
];

/** As the READMEs of the goldens suggest for float32 code. */
function expectClose(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  const off = expected.findIndex((value, i) => !(Math.abs(actual[i]! - value) <= 2e-4 + 2e-4 * Math.abs(value)));
  expect(off === -1 ? 'close' : `element ${off} is ${actual[off]}, expected ${expected[off]}`).toBe('close');
}

async function readTensors(path: string, names: readonly string[]) {
  const file = await SafetensorsFile.open(await FileSource.open(path));
  const tensors = [];
  for (const name of names) tensors.push({ ...file.info(name), values: await file.readF32(name) });
  const found = file.names();
  await file.close();
  return { found, tensors };
}

/** Natural log-probability of `id` in a row of logits, by the definition. */
function logprob(logits: Float32Array, row: number, width: number, id: number): number {
  const values = logits.subarray(row * width, (row + 1) * width);
  const sum = values.reduce((total, value) => total + Math.exp(value - values[id]!), 0);
  return -Math.log(sum);
}

describe('logits of golden models', () => {
  const cases: {
    folder: string;
    prompt: string;
    ids: number[];
    expected: Float32Array;
    vocab: number;
    path: string;
  }[] = [];
  let outcomes: Outcome[] = [];

  beforeAll(async () => {
    for (const folder of FOLDERS) {
      const golden = await Golden.open(folder, openFixture);
      for (const prompt of golden.prompts) {
        const ids = [...(await golden.integers(`${prompt}.input_ids`))];
        const expected = await golden.floats(`${prompt}.logits`);
        const path = `${scratch}/${folder}-${prompt}.safetensors`;
        cases.push({ folder, prompt, ids, expected, vocab: golden.config.vocabSize, path });
      }
      await golden.close();
    }
    outcomes = await batch(
      cases.map(({ folder, ids, path }) => [
        ...['score', '--model', fixturePath(folder), '--ids', ids.join(), '--logits', path],
        ...['--json', '--backend', 'reference'],
      ]),
    );
  }, 120_000);

  test.each(FOLDERS)('%s', async (folder) => {
    const mine = cases.flatMap((one, i) => (one.folder === folder ? [{ ...one, outcome: outcomes[i]! }] : []));
    expect(mine.length).toBeGreaterThan(0);
    for (const { ids, expected, vocab, path, outcome } of mine) {
      const result = json(outcome);
      const { found, tensors } = await readTensors(path, ['logits']);
      expect(found).toEqual(['logits']);
      expect(tensors[0]).toMatchObject({ dtype: 'f32', shape: [ids.length, vocab] });
      expectClose(tensors[0]!.values, expected);

      const logprobs = ids.map((id, i) => (i === 0 ? null : logprob(tensors[0]!.values, i - 1, vocab, id)));
      expect(result.logprobs).toHaveLength(ids.length);
      expect(result.logprobs[0]).toBeNull();
      const total = logprobs.reduce((sum: number, value) => sum + (value ?? 0), 0);
      for (const [i, value] of logprobs.entries()) if (value !== null) expect(result.logprobs[i]).toBeCloseTo(value, 4);
      expect(result.totalLogprob).toBeCloseTo(total, 3);
      expect(result.perplexity / Math.exp(-total / (ids.length - 1))).toBeCloseTo(1, 4);
      expect(result).toMatchObject({ ids, tokens: ids.length, bytes: null, bitsPerByte: null });
    }
  });
});

test('--mtp writes mtp_logits too, and scores the draft', async () => {
  const golden = await Golden.open('tiny-mtp', openFixture);
  const ids = [...(await golden.integers('p1.input_ids'))];
  const expected = await golden.floats('p1.mtp_logits');
  const vocab = golden.config.vocabSize;
  const path = `${scratch}/mtp.safetensors`;
  const run = ['score', '--model', fixturePath('tiny-mtp'), '--ids', ids.join(), '--mtp', '--json'];
  const [outcome, onDefault] = await batch([[...run, '--logits', path, '--backend', 'reference'], run]);
  const { found, tensors } = await readTensors(path, ['logits', 'mtp_logits']);
  expect(found).toEqual(['logits', 'mtp_logits']);
  expectClose(tensors[0]!.values, await golden.floats('p1.logits'));
  expect(tensors[1]).toMatchObject({ dtype: 'f32', shape: [ids.length, vocab] });
  expectClose(tensors[1]!.values, expected);
  const drafted = ids.slice(2).map((id, row) => logprob(expected, row, vocab, id));
  const total = drafted.reduce((sum, value) => sum + value, 0);
  expect(json(outcome!).mtp.totalLogprob).toBeCloseTo(total, 2);
  expect(json(outcome!).mtp.perplexity / Math.exp(-total / drafted.length)).toBeCloseTo(1, 3);
  expect(json(onDefault!).mtp.perplexity / json(outcome!).mtp.perplexity).toBeCloseTo(1, 3);
  await golden.close();
});

describe('texts', () => {
  const model = `${scratch}/text`;
  const file = `${scratch}/text.txt`;
  const text = 'Grüße, 世界!\n';
  const run = ['score', '--model', model, '--json', '--backend', 'reference'];

  beforeAll(async () => {
    writeFileSync(file, text);
    const [made] = await batch([['init', '--preset', 'small', '--out', model, '--tokenizer', '--json']]);
    json(made!);
  });

  test('bits per byte are the nats over ln 2 and the bytes of the text', async () => {
    const [fromText, fromFile] = await batch([
      [...run, '--text', text],
      [...run, '--file', file],
    ]);
    const result = json(fromText!);
    const bytes = Buffer.byteLength(text);
    expect(result.bytes).toBe(bytes);
    expect(result.tokens).toBe(bytes + 1); // tokens are bytes, after the token that begins a text
    expect(result.bitsPerByte).toBeCloseTo(-result.totalLogprob / Math.LN2 / bytes, 10);
    // Random weights know nothing: about log2 of the vocabulary for each byte.
    expect(result.bitsPerByte).toBeCloseTo(Math.log2(1024), 0);
    expect(json(fromFile!).logprobs).toEqual(result.logprobs);
    const [fromIds] = await batch([[...run, '--ids', result.ids.join()]]);
    expect(json(fromIds!)).toMatchObject({ bytes, bitsPerByte: result.bitsPerByte });
  });

  test('people get a table', async () => {
    const { code, stdout } = await mariana(['score', '--model', model, '--text', text]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^tokens +\d+$/m);
    expect(stdout).toMatch(/^bits per byte +\d+\.\d{4}$/m);
  });
});

describe('files of documents', () => {
  const model = `${scratch}/documents`;
  /** Its tokenizer has nothing that begins or ends a text. */
  const bytesOnly = `${scratch}/bytes-only`;
  const at = (name: string) => `${scratch}/${name}`;
  const run = ['score', '--model', model, '--json', '--backend', 'reference'];
  const texts = ['A fox.', '', 'Grüße, 世界!\nA longer tale of the two.'] as const;
  const contexts = [7, 16];
  const plain = ['--data', at('plain.txt')];
  const refused: [args: string[], message: RegExp][] = [
    [['--data', at('bad.jsonl')], /DATA_INVALID.*bad\.jsonl, line 2/],
    [['--data', at('empty.txt')], /DATA_INVALID/],
    [[...plain, '--context', '99999'], /CONTEXT_EXCEEDED/],
    [[...plain, '--text', 'a'], /USAGE/],
    [[...plain, '--logits', at('none.safetensors')], /USAGE/],
    [[...plain, '--mtp'], /USAGE/],
    [['--text', 'a', '--context', '4'], /USAGE/],
    [['--model', bytesOnly, ...plain], /TOKENIZER_INVALID/],
  ];
  let [all, people]: Outcome[] = [];
  let alone: Outcome[] = [];
  let windowed: Outcome[] = [];
  let refusals: Outcome[] = [];

  beforeAll(async () => {
    writeFileSync(at('tales.jsonl'), texts.map((story) => JSON.stringify({ story, text: 'another key' })).join('\n'));
    writeFileSync(at('plain.txt'), texts[2]);
    writeFileSync(at('bad.jsonl'), '{"text":"a"}\n{"txt":"b"}\n');
    writeFileSync(at('empty.txt'), '');
    const [made, madeToo, ...outcomes] = await batch([
      ['init', '--preset', 'small', '--out', model, '--tokenizer', '--json'],
      ['init', '--preset', 'tiny', '--out', bytesOnly, '--tokenizer', '--json'],
      [...run, '--data', at('tales.jsonl'), '--field', 'story'],
      ['score', '--model', model, ...plain],
      ...[texts[0], texts[2]].map((text) => [...run, '--text', text]),
      ...contexts.map((context) => [...run, ...plain, '--context', String(context)]),
      ...refused.map(([args]) => [...run, ...args]),
    ]);
    json(made!);
    json(madeToo!);
    [all, people] = outcomes;
    [alone, windowed, refusals] = [outcomes.slice(2, 4), outcomes.slice(4, 6), outcomes.slice(6)];
  }, 120_000);

  test('are as probable as their texts one by one', () => {
    const [first, last] = alone.map(json);
    const result = json(all!);
    const bytes = Buffer.byteLength(texts.join(''));
    expect(result).toMatchObject({ documents: 3, bytes, tokens: bytes }); // tokens are bytes
    expect(result.totalLogprob).toBeCloseTo(first.totalLogprob + last.totalLogprob, 6);
    expect(result.bitsPerByte).toBeCloseTo(-result.totalLogprob / Math.LN2 / bytes, 10);
    expect(result.perplexity / Math.exp(-result.totalLogprob / result.tokens)).toBeCloseTo(1, 10);
  });

  test('in windows: each token once, behind at least half a window', async () => {
    const ids: number[] = json(alone[1]!).ids;
    const steps = contexts.map((context) => {
      const half = Math.floor(context / 2);
      const count = Math.ceil((ids.length - context) / half) + 1;
      return Array.from({ length: count }, (_, i) => ({ from: i * half, fresh: i === 0 ? 1 : context - half }));
    });
    const outcomes = await batch(
      contexts.flatMap((context, i) =>
        steps[i]!.map(({ from }) => [...run, '--ids', ids.slice(from, from + context).join()]),
      ),
    );
    for (const [i, context] of contexts.entries()) {
      const logprobs = steps[i]!.flatMap(({ fresh }) => json(outcomes.shift()!).logprobs.slice(fresh) as number[]);
      const result = json(windowed[i]!);
      expect(logprobs).toHaveLength(ids.length - 1);
      expect(result).toMatchObject({ context, documents: 1, tokens: ids.length - 1 });
      expect(result.totalLogprob).toBeCloseTo(
        logprobs.reduce((sum, value) => sum + value),
        6,
      );
    }
  }, 120_000);

  test('people get a table', () => {
    expect(people!.stdout).toMatch(/^documents +1\n.*^bits per byte +\d+\.\d{4}$/ms);
  });

  test('what cannot be scored is refused', () => {
    for (const [i, [, message]] of refused.entries()) {
      expect(refusals[i]).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    }
  });
});

test('a single token has no log-probability, and so no perplexity', async () => {
  const run = ['score', '--model', fixturePath('tiny-mtp'), '--ids', '5', '--mtp', '--json'];
  const [outcome] = await batch([run]);
  expect(json(outcome!)).toMatchObject({ logprobs: [null], perplexity: null, mtp: { perplexity: null } });
});

test('a failure leaves no file of logits, nor a part of one', async () => {
  const folder = `${scratch}/empty`;
  const run = ['score', '--model', fixturePath('tiny-dense-moe'), '--json', '--backend', 'reference'];
  const [made, outOfRange] = await batch([
    ['init', '--preset', 'tiny', '--out', folder, '--json'],
    [...run, '--ids', '1,999', '--logits', `${folder}/logits.safetensors`],
  ]);
  expect(made!.code).toBe(0);
  expect(outOfRange).toMatchObject({ code: 2 });
  expect(existsSync(`${folder}/logits.safetensors`)).toBe(false);
  expect(readdirSync(folder).filter((name) => name.includes('logits'))).toEqual([]);
});
