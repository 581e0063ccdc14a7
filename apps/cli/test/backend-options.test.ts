/** How a model is computed with: weights, threads, drafts. */
import { Golden } from '@mariana/goldens';
import { fixturePath, openFixture } from '@mariana/goldens/node';
import { expect, test } from 'vitest';
import { batch, json, mariana } from './program.ts';

const MODEL = fixturePath('tiny-mtp');

test('drafting gives the same tokens, and says how many drafts were right', async () => {
  const golden = await Golden.open('tiny-mtp', openFixture);
  const prompt = await golden.integers('p0.input_ids');
  const args = ['generate', '--model', MODEL, '--ids', prompt.join(), '--max-tokens', '16', '--temperature', '0'];
  const result = json(await mariana([...args, '--speculate', '--json', '--threads', '1']));
  expect(result.ids).toEqual([...(await golden.integers('p0.greedy_tokens'))]);
  expect(result.speculation).toEqual({ drafted: expect.any(Number), accepted: 1 });
  expect(result.speculation.drafted).toBeGreaterThan(10);
  await golden.close();
});

test('integer weights change the log-probabilities by as little as they should', async () => {
  const score = ['score', '--model', MODEL, '--ids', '5,6,7,8,9,10,11,12', '--json'];
  const formats = ['native', 'fp8', 'int8', 'int4'];
  const results = (await batch(formats.map((weights) => [...score, '--weights', weights]))).map((one) => json(one));
  const [native, fp8, int8, int4] = results.map(({ perplexity }) => Math.log(perplexity as number));
  expect(Math.abs(int8! - native!)).toBeLessThan(0.02);
  expect(Math.abs(int8! - native!)).toBeGreaterThan(0);
  expect(Math.abs(fp8! - native!)).toBeLessThan(0.2);
  expect(Math.abs(int4! - native!)).toBeLessThan(0.5);
});

test('auto says what it chose among what, and computes what the cpu backend does', async () => {
  const args = ['generate', '--model', MODEL, '--ids', '5,6,7', '--max-tokens', '4', '--temperature', '0'];
  const threads = ['--threads', '1'];
  const [chosen, quiet, cpu] = await batch([
    [...args, '--json', '--backend', 'auto', ...threads],
    [...args, '--json', '--backend', 'auto', '--quiet', ...threads],
    [...args, '--json', '--backend', 'cpu', ...threads],
  ]);
  expect(chosen!.stderr).toMatch(/computing on \S+: node-gpu \S+ \(.+\), webgpu \S+ \(.+\), cpu \S+ \(.+\)\n/);
  expect(quiet!.stderr).not.toContain('computing on');
  expect(json(chosen!).ids).toEqual(json(cpu!).ids);
});

test.each([
  [['--weights', 'int3'], 'USAGE'],
  [['--threads', '0'], 'USAGE'],
  [['--backend', 'reference', '--weights', 'int8'], 'USAGE'],
])('%j is refused', async (options, code) => {
  const outcome = await mariana([
    'generate',
    '--model',
    MODEL,
    '--ids',
    '1',
    '--max-tokens',
    '1',
    '--json',
    ...options,
  ]);
  expect(outcome.code).toBe(2);
  expect(JSON.parse(outcome.stdout).error.code).toBe(code);
});

test('drafts of a model without the module are refused', async () => {
  const model = fixturePath('tiny-dense-moe');
  const outcome = await mariana(['generate', '--model', model, '--ids', '1', '--speculate', '--json']);
  expect(outcome.code).toBe(2);
  expect(JSON.parse(outcome.stdout).error.code).toBe('TENSOR_MISSING');
});
