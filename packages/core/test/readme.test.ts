import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);

test('the example of the README runs', async () => {
  const [example] = await readmeExamples(README);
  expect(await runExample(README, example!)).toBe(
    '671.03 B parameters, 36.6 B active\n70272 bytes of cache a token\n4997120 with plain attention\n641 GiB of weights in FP8\n',
  );
});
