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
