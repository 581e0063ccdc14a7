import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the example of the README runs', async () => {
  const [example] = await readmeExamples(README);
  const program = example!.replace('./DeepSeek-V2-Lite', 'tiny');
  expect(program).not.toBe(example);
  expect((await runExample(README, program)).length).toBeGreaterThan(50);
});
