import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the example of the README runs', async () => {
  const [example] = await readmeExamples(README);
  expect(await runExample(README, example!)).toMatch(/^\d+ cases passed\n$/);
});

test('the example for a test framework is what runs the suite here', async () => {
  const [, example] = await readmeExamples(README);
  expect(await readFile(new URL('reference.test.ts', import.meta.url), 'utf8')).toContain(example);
});
