import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the example of the README runs', async () => {
  const [example] = await readmeExamples(README);
  expect(await runExample(README, example!)).toBe('[ 5, 64 ]\n');
});
