import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the example of the README says that the package is missing, where it is', async () => {
  const [example] = await readmeExamples(README);
  expect(await runExample(README, example!)).toMatch(
    /^package-missing nodeGpu: neither @tensorflow\/tfjs-node-gpu nor/,
  );
});
