/** `mariana generate`: the tokens are those of the original implementations, and the options do what they say. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Golden } from '@mariana/goldens';
import { fixturePath, openFixture } from '@mariana/goldens/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { batch, json, mariana, type Outcome } from './program.ts';
import { copyModel, scratchFolder } from './scratch.ts';

const scratch = scratchFolder();
const TINY = fixturePath('tiny-dense-moe');
const GREEDY = ['--temperature', '0', '--json', '--backend', 'reference'];

const FOLDERS = [
  'tiny-dense-moe',
  'tiny-sharded',
  'tiny-no-q-lora',
  'tiny-v2-softmax',
  'tiny-v2-group',
  'tiny-yarn',
  'tiny-fp8',
  'tiny-mtp',
];

describe('16 greedy tokens after each prompt', () => {
  const cases: { folder: string; prompt: string; ids: number[]; expected: number[] }[] = [];
  let outcomes: Outcome[] = [];

  beforeAll(async () => {
    for (const folder of FOLDERS) {
      const golden = await Golden.open(folder, openFixture);
      for (const prompt of golden.prompts) {
        const ids = [...(await golden.integers(`${prompt}.input_ids`))];
        cases.push({ folder, prompt, ids, expected: [...(await golden.integers(`${prompt}.greedy_tokens`))] });
      }
      await golden.close();
    }
    outcomes = await batch(
      cases.map(({ folder, ids }) => [
        ...['generate', '--model', fixturePath(folder), '--ids', ids.join(), '--max-tokens', '16', ...GREEDY],
      ]),
    );
  }, 120_000);

  test.each(FOLDERS)('%s', (folder) => {
    const mine = cases.flatMap((one, i) => (one.folder === folder ? [{ ...one, outcome: outcomes[i]! }] : []));
    expect(mine.length).toBeGreaterThan(0);
    for (const { ids, expected, outcome } of mine) {
      expect(json(outcome)).toMatchObject({ promptIds: ids, ids: expected, text: null, finishReason: 'length' });
    }
  });
});

test('one JSON object, with times, on the default backend; nothing else on standard output', async () => {
  const args = ['generate', '--model', TINY, '--ids', '1,2,3', '--max-tokens', '4', '--temperature', '0', '--json'];
  const outcome = await mariana(args);
  const result = json(outcome);
  expect(outcome.stdout.trim().split('\n')).toHaveLength(1);
  expect(result).toMatchObject({ model: TINY, backend: 'cpu', promptIds: [1, 2, 3], seed: null });
  expect(result.ids).toHaveLength(4);
  for (const time of ['loadMs', 'prefillTokensPerSecond', 'decodeTokensPerSecond']) {
    expect(result.timings[time], time).toBeGreaterThan(0);
  }
});

test('raw tokens: exactly --max-tokens come out, and end-of-text ends them only if asked to', async () => {
  const model = copyModel('tiny-dense-moe', `${scratch}/eos`);
  const run = ['generate', '--model', model, '--ids', '1,2,3', '--max-tokens', '6', ...GREEDY];
  const [plain] = await batch([run]);
  const { ids } = json(plain!);
  // One of the tokens that this model generates is made its end-of-text token.
  const config = JSON.parse(readFileSync(`${model}/config.json`, 'utf8'));
  writeFileSync(`${model}/config.json`, JSON.stringify({ ...config, eos_token_id: ids[3] }));
  const until = (id: number) => ids.slice(0, ids.indexOf(id) + 1);
  const [through, ended, stopped, zero] = await batch([
    run,
    [...run, '--no-ignore-eos'],
    [...run, '--stop-token', String(ids[4])],
    ['generate', '--model', model, '--ids', '1,2,3', '--max-tokens', '0', ...GREEDY],
  ]);
  expect(json(through!)).toMatchObject({ ids, finishReason: 'length' });
  expect(json(ended!)).toMatchObject({ ids: until(ids[3]), finishReason: 'eos' });
  expect(json(stopped!)).toMatchObject({ ids: until(ids[4]), finishReason: 'stop' });
  expect(json(zero!)).toMatchObject({ ids: [], finishReason: 'length', timings: { decodeTokensPerSecond: null } });
});

describe('a model with a tokenizer', () => {
  const model = `${scratch}/text`;
  const run = ['generate', '--model', model, '--prompt', 'Ab', '--json', '--backend', 'reference'];

  beforeAll(async () => {
    const [made] = await batch([['init', '--preset', 'tiny', '--out', model, '--tokenizer', '--json']]);
    json(made!);
  });

  test('the prompt is encoded, and the text is the tokens decoded', async () => {
    const [outcome] = await batch([[...run, '--max-tokens', '12', '--seed', '7']]);
    const result = json(outcome!);
    expect(result.promptIds).toHaveLength(2);
    expect(result.ids).toHaveLength(12);
    expect(typeof result.text).toBe('string');
    expect(result.seed).toBe(7);
    const [again, other] = await batch([
      [...run, '--max-tokens', '12', '--seed', '7'],
      [...run, '--max-tokens', '12', '--seed', '8'],
    ]);
    expect(json(again!).ids).toEqual(result.ids);
    expect(json(other!).ids).not.toEqual(result.ids);
  });

  test('without --json the text streams to standard output and the figures to standard error', async () => {
    const args = ['--max-tokens', '12', '--seed', '7', '--backend', 'reference'];
    const [asJson] = await batch([[...run, '--max-tokens', '12', '--seed', '7']]);
    const plain = await mariana(['generate', '--model', model, '--prompt', 'Ab', ...args]);
    const quiet = await mariana(['generate', '--model', model, '--prompt', 'Ab', ...args, '--quiet']);
    expect(plain.stdout).toBe(`${json(asJson!).text}\n`);
    expect(plain.stderr).toMatch(/2 tokens read.*12 tokens generated at/);
    expect(quiet).toEqual({ code: 0, stdout: plain.stdout, stderr: '' });
    const echoed = await mariana(['generate', '--model', model, '--prompt', 'Ab', ...args, '--echo']);
    expect(echoed.stdout).toBe(`Ab${plain.stdout}`);
  });

  test('a stop text ends the text before it', async () => {
    const [whole] = await batch([[...run, '--max-tokens', '12', '--seed', '7']]);
    const { text } = json(whole!);
    const stop = text.slice(5, 7);
    const [outcome] = await batch([[...run, '--max-tokens', '12', '--seed', '7', '--stop', stop]]);
    expect(json(outcome!)).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finishReason: 'stop' });
  });

  test('--logprobs gives each token and its alternatives, most probable first', async () => {
    const [outcome] = await batch([[...run, '--max-tokens', '3', '--logprobs', '4', '--temperature', '0']]);
    const { ids, logprobs } = json(outcome!);
    expect(logprobs).toHaveLength(3);
    for (const [i, { id, logprob, top }] of logprobs.entries()) {
      expect(id).toBe(ids[i]);
      expect(top[0]).toEqual({ id, logprob }); // greedy takes the best
      expect(top).toHaveLength(4);
      expect(top.map((token: { logprob: number }) => token.logprob)).toEqual(
        top.map((token: { logprob: number }) => token.logprob).toSorted((a: number, b: number) => b - a),
      );
      expect(logprob).toBeLessThan(0);
    }
  });

  test('text ends where the context does; raw tokens that do not fit are refused', async () => {
    const raw = ['generate', '--model', model, '--ids', '1,2', '--context', '8', '--json', '--backend', 'reference'];
    const [text, fits, tooMany] = await batch([
      [...run, '--context', '8', '--max-tokens', '100'],
      [...raw, '--max-tokens', '6'],
      [...raw, '--max-tokens', '7'],
    ]);
    expect(json(text!)).toMatchObject({ finishReason: 'context' });
    expect(json(text!).ids).toHaveLength(6);
    expect(json(fits!).ids).toHaveLength(6);
    expect(tooMany).toMatchObject({ code: 2 });
    expect(tooMany!.stderr).toMatch(/^error \[CONTEXT_EXCEEDED\]: 2 prompt tokens and 7 new ones/);
  });
});

test('ids are shown where there is no text, after those of the prompt if they are wanted', async () => {
  const run = ['generate', '--model', TINY, '--ids', '1,2,3', '--max-tokens', '3', '--temperature', '0'];
  const [asJson, shown, echoed] = await batch([[...run, '--json'], run, [...run, '--echo']]);
  const ids = json(asJson!).ids.join();
  expect(shown!.stdout).toBe(`${ids}\n`);
  expect(echoed!.stdout).toBe(`1,2,3,${ids}\n`);
});

test('a preset runs with random weights, and says so', async () => {
  const outcome = await mariana(['generate', '--model', 'tiny', '--prompt', 'x', '--max-tokens', '2']);
  expect(outcome.code).toBe(0);
  expect(outcome.stderr).toContain('its weights are random');
});
