/** Tests that are the same wherever the program runs; each of its cases is a test of its own in the report. */
import { describe, expect, test } from 'vitest';
import type { CpuOptions } from '../../src/index.ts';
import type { Listed } from './program.ts';
import type { Runner } from './runners.ts';

/**
 * The conformance suite on `cpu(options)`, with `numRuns` random examples for each property: few, since rare examples
 * are looked for in Node.
 */
export async function conformanceTests(runner: Runner, options: CpuOptions, numRuns = 8): Promise<void> {
  const cases = await runner.run('listConformance');
  eachCase(cases, (index) => runner.run('conformance', options, numRuns, index));
}

/** The golden folders on `cpu(options)`, fetched from the server; all of them, or those named. */
export async function goldenTests(runner: Runner, options: CpuOptions, folders?: readonly string[]): Promise<void> {
  const cases = await runner.run('listGoldens');
  eachCase(cases, (index) => runner.run('golden', options, index), folders);
}

/** The runtime loads a model by its address and generates the golden tokens. */
export function generationTest(runner: Runner, options: CpuOptions): void {
  test('Model.load from an address, and 16 greedy tokens', async () => {
    const { ids, expected } = await runner.run('generate', options, 'tiny-sharded');
    expect(expected).toHaveLength(16);
    expect(ids).toEqual(expected);
  });
}

function eachCase(cases: readonly Listed[], run: (index: number) => Promise<void>, groups?: readonly string[]): void {
  const numbered = cases.map((one, index) => ({ ...one, index }));
  for (const [group, members] of Map.groupBy(numbered, (one) => one.group)) {
    if (groups && !groups.includes(group)) continue;
    describe(group, () => {
      for (const { name, index } of members) test(name, () => run(index));
    });
  }
}
