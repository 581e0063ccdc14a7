/** The machinery of the suite: what a failure says, how it is run again, what is skipped, when backends come and go. */
import { ReferenceBackend, reference } from '@mariana/backend-reference';
import type { MatmulOptions, Tensor } from '@mariana/core';
import { describe, expect, test } from 'vitest';
import { compare, compareElements } from '../src/compare.ts';
import { ConformanceError, type ConformanceOptions, conformance, conformanceCases } from '../src/index.ts';

/** Wrong wherever a sum has more than four terms. */
class ShortSums extends ReferenceBackend {
  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    const y = super.matmul(a, b, options);
    if (a.shape.at(options.transposeA ? -2 : -1)! > 4 && y.size > 0) this.floats(y)[0]! += 1;
    return y;
  }
}

async function failure(options: Omit<ConformanceOptions, 'name'>): Promise<ConformanceError> {
  for (const { run } of conformanceCases({ name: 'machinery', ...options }).cases) {
    try {
      await run();
    } catch (error) {
      expect(error).toBeInstanceOf(ConformanceError);
      return error as ConformanceError;
    }
  }
  throw new Error('no case failed');
}

const create = () => new ShortSums();

describe('a failure', () => {
  test('says which operation, operands, element, values and bound', async () => {
    const { operation, message, failure: facts } = await failure({ create, only: 'matmul' });
    expect(operation).toBe('matmul');
    expect(facts.operands).toHaveLength(2);
    expect(facts.element).toBe(0);
    expect(facts.actual! - facts.expected!).toBeCloseTo(1);
    expect(facts.bound).toBeLessThan(0.1);
    expect(message).toContain(`element 0 is ${facts.actual}`);
    expect(message).toContain(JSON.stringify(facts.rerun));
  });

  test('is the same on every run', async () => {
    const first = await failure({ create, only: 'matmul' });
    expect((await failure({ create, only: 'matmul' })).message).toBe(first.message);
  });

  test('can be run again alone, from what it prints', async () => {
    const first = await failure({ create, only: 'matmul' });
    const printed = JSON.parse(/options (\{.*\})/.exec(first.message)![1]!);
    expect(printed).toEqual(first.failure.rerun);
    const again = conformanceCases({ name: 'again', create, ...printed });
    expect(again.cases).toHaveLength(1);
    const second = await again.cases[0]!.run().catch((error: ConformanceError) => error);
    const exampleOf = (error: unknown) => /example: (\{.*\})/.exec((error as ConformanceError).message)![1];
    expect(exampleOf(second)).toBe(exampleOf(first));
  });

  test('found with another seed is another example, but is found', async () => {
    const first = await failure({ create, only: 'matmul: broadcasts leading axes', seed: 1 });
    expect(first.failure.rerun!.seed).toBe(1);
  });

  test('does not spoil the cases that follow', async () => {
    const { cases } = conformanceCases({ name: 'machinery', create });
    const failed = new Set<string>();
    for (const { group, run } of cases) await run().catch(() => failed.add(group));
    expect(failed).not.toContain('lifetimes');
    expect(failed).toContain('matmul');
  });

  test('of the backend to start is passed on by every case', async () => {
    const error = new Error('no device');
    const { cases, dispose } = conformanceCases({ name: 'none', create: () => Promise.reject(error), only: 'topK' });
    for (const { run } of cases) await expect(run()).rejects.toBe(error);
    await expect(dispose()).rejects.toBe(error);
  });
});

describe('skips', () => {
  test('name a group or a case, and carry their reason', () => {
    const skip = { topK: 'no sorting', 'gather: refuses indices out of range': 'on the device' };
    const { cases } = conformanceCases({ name: 'skips', create, skip });
    for (const { group, name, skip: reason } of cases) {
      const isRange = group === 'gather' && name === 'refuses indices out of range';
      expect(reason).toBe(group === 'topK' ? 'no sorting' : isRange ? 'on the device' : undefined);
    }
    expect(cases.filter(({ skip: reason }) => reason === 'on the device')).toHaveLength(1);
  });

  test.each(['topk', 'topK: ', 'gather: refuses', ''])('that name nothing are refused: "%s"', (key) => {
    expect(() => conformanceCases({ name: 'skips', create, skip: { [key]: 'why' } })).toThrow(ConformanceError);
    expect(() => conformanceCases({ name: 'skips', create, only: key })).toThrow(ConformanceError);
  });
});

test('names of cases are unique, so that each can be skipped or run alone', () => {
  const ids = conformanceCases({ name: 'names', create }).cases.map(({ group, name }) => `${group}: ${name}`);
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
});

test('cases that are started at once wait for each other', async () => {
  let created = 0;
  let disposed = 0;
  class Counting extends ReferenceBackend {
    override dispose(): void {
      disposed++;
    }
  }
  const { cases, dispose } = conformanceCases({
    name: 'at once',
    create: () => {
      created++;
      return new Counting();
    },
    only: 'lifetimes',
  });
  await Promise.all(cases.map(({ run }) => run()));
  expect([created, disposed]).toEqual([1, 0]);
  await dispose();
  expect([created, disposed]).toEqual([1, 1]);
});

test('a test framework gets a describe for each operation, and reasons in the names of what is skipped', () => {
  const said: string[] = [];
  const describe = (name: string, body: () => void) => {
    said.push(`describe ${name}`);
    body();
  };
  const it = Object.assign((name: string) => said.push(`it ${name}`), {
    skip: (name: string) => said.push(`skip ${name}`),
  });
  let after = 0;
  const skip = { 'softmax: refuses scalars and other dtypes': 'they are all alike to me' };
  conformance({ name: 'mine', create: reference, only: 'softmax', skip }, { describe, it, afterAll: () => after++ });
  expect(said.slice(0, 2)).toEqual(['describe mine conforms to the Backend contract', 'describe softmax']);
  expect(said).toContain('it agrees with float64 over the last axis');
  expect(said).toContain('skip refuses scalars and other dtypes (skipped: they are all alike to me)');
  expect(after).toBe(1);
});

describe('comparison', () => {
  const compares = (actual: number[], expected: number[], bound = 0) =>
    compare(Float32Array.from(actual), { operation: 'test', expected, bound, dtype: 'f32' });

  test('takes what lies within the bound, and nothing else', () => {
    compares([1, 2], [1, 2.25], 0.25);
    expect(() => compares([1, 2], [1, 2.26], 0.25)).toThrow('element 1 is 2, not 2.26');
    compares([0.1], [0.1]); // the float32 nearest to what is expected
    expect(() => compares([0.1 + 2 ** -26], [0.1])).toThrow(ConformanceError);
  });

  test('takes NaN for NaN and an infinity for itself only', () => {
    const [NAN, INF] = [Number.NaN, Number.POSITIVE_INFINITY];
    compares([NAN, INF, -INF], [NAN, INF, -INF]);
    compares([INF], [1e39]);
    for (const [actual, expected] of [
      [NAN, 0],
      [0, NAN],
      [INF, 3e38],
      [3e38, INF],
      [INF, -INF],
      [NAN, INF],
    ] as const) {
      expect(() => compares([actual], [expected], 1e39)).toThrow(ConformanceError);
    }
  });

  test('of integers is exact beyond 2^24, whatever the bound', () => {
    const of = (actual: number, expected: number) =>
      compare(Int32Array.of(actual), { operation: 'test', expected: [expected], bound: 10, dtype: 'i32' });
    of(16777217, 16777217);
    expect(() => of(16777216, 16777217)).toThrow(ConformanceError);
  });

  test('of bits sees the sign of zero, and takes any NaN for another', () => {
    const of = (dtype: 'f32' | 'e4m3' | 'bf16' | 'u8', actual: number[], expected: number[]) =>
      compareElements(dtype === 'f32' ? Float32Array.from(actual) : Uint16Array.from(actual), {
        operation: 'test',
        expected,
        dtype,
      });
    of('e4m3', [0x7f, 0x7f], [0xff, 0x7f]);
    of('bf16', [0x7fc0, 0x7f80], [0xff81, 0x7f80]);
    expect(() => of('f32', [0], [-0])).toThrow('element 0 is 0, not -0');
    expect(() => of('bf16', [0x7f80], [0x7fc0])).toThrow(ConformanceError);
    expect(() => of('u8', [0x7f], [0xff])).toThrow(ConformanceError);
  });
});
