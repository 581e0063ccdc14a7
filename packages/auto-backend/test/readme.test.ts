import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the example of the README chooses, and says why', async () => {
  const [example] = await readmeExamples(README);
  const printed = await runExample(README, example!);
  // What is there depends on the machine; that one is chosen, and each has its reason, does not.
  expect(printed).toMatch(/^node-gpu: \S+ \(.+\)\nwebgpu: \S+ \(.+\)\ncpu: \S+ \(.+\)\n64\n$/);
  expect(printed.match(/: chosen \(/g)).toHaveLength(1);
});
