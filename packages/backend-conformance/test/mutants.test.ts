/** A suite is worth what it catches: each of these backends is wrong in one way, and each must be found out. */
import type { Backend } from '@mariana/core';
import { expect, it } from 'vitest';
import { ConformanceError, conformanceCases } from '../src/index.ts';
import { compositeMutants } from './mutants/composites.ts';
import { lifetimeMutants } from './mutants/lifetimes.ts';
import { primitiveMutants } from './mutants/primitives.ts';

/** Cases of a group that a backend fails. */
async function failures(create: () => Backend, only: string): Promise<{ name: string; error: unknown }[]> {
  const { cases } = conformanceCases({ name: 'mutant', create, only, numRuns: 25 });
  const failed: { name: string; error: unknown }[] = [];
  for (const { name, run } of cases) await run().catch((error: unknown) => failed.push({ name, error }));
  return failed;
}

it.each([...primitiveMutants, ...compositeMutants, ...lifetimeMutants])(
  'the suite notices that $wrong',
  async ({ create, caughtBy }) => {
    const failed = await failures(create, caughtBy);
    expect(failed.map(({ name }) => name)).not.toEqual([]);
    for (const { error } of failed) expect(error).toBeInstanceOf(ConformanceError);
  },
);
