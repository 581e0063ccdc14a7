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

test('the suite runs under node:test', async () => {
  const program = `
    import { conformance } from '@mariana/backend-conformance';
    import { reference } from '@mariana/backend-reference';
    import { after, describe, it } from 'node:test';
    const options = { name: 'reference', create: () => reference(), only: 'softmax', skip: { 'softmax: refuses scalars and other dtypes': 'to see it' } };
    conformance(options, { describe, it, afterAll: after });
  `;
  const output = await runExample(README, program);
  expect(output).toContain('agrees with float64 over the last axis');
  expect(output).toContain('skipped: to see it');
  expect(output).toMatch(/fail 0/);
});
