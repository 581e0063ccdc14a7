import { expect, test } from 'vitest';
import { readmeExamples, runExample } from '../../../tooling/readme.ts';

const README = new URL('../README.md', import.meta.url);
const examples = await readmeExamples(README);

/** What some examples must print, by what they import; all must run. */
const EXPECTED: Record<string, RegExp> = {
  'import { PackedData, train }': /^1 5\.\d{3} \d+ \d\.\d\d\n2 .*\n3 /,
  trainingStep: /^1 5\.\d{3} \[ [\d., ]+ \]\n2 /,
  'import { autodiff } from': /\[ 6, 6, 14, 14 \]/,
  'import { crossEntropy }': /0\.49\d+ .*0\.693.*0\.287/s,
  depthRows: /1\.559.*0\.467/s,
  switchBalanceLoss: /1\.5, 1\.5, +0, +3, 0, 0/s,
  fp8WeightGradient: /\[ 5, 136 \] \[ 5, 200 \] \[ 136, 200 \].*\[ 5, 2 \] \[ 200, 5 \] \[ 200, 1 \].*\[ 136, 200 \]/s,
  tokenizeDocuments: /^18 2 true 2$/m,
  extendContext: /1\.873/,
};

test.each(examples.map((example, i) => [i, example] as const))(
  'example %i of the README runs',
  { timeout: 120_000 },
  async (_, example) => {
    const output = await runExample(README, example);
    expect(output).not.toBe('');
    for (const [part, pattern] of Object.entries(EXPECTED)) if (example.includes(part)) expect(output).toMatch(pattern);
  },
);

test('the README shows every part', () => {
  for (const part of Object.keys(EXPECTED))
    expect(
      examples.some((example) => example.includes(part)),
      part,
    ).toBe(true);
});
