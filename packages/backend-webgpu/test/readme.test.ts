import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the examples of the README run', async () => {
  const examples = await readmeExamples(README);
  const printed: string[] = [];
  for (const example of examples) printed.push(await runExample(README, example));
  expect(printed).toEqual(['[ 5, 64 ]\n', "[ '0.849', '1.131' ]\n", '[ 1, 3 ] -0.384 24\n']);
});
