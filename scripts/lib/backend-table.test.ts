import { describe, expect, test } from 'vitest';
import { backendTable, contradictions, levelOf, resultsIn, updated, withTable } from './backend-table.ts';

abstract class Contract {
  abstract matmul(): string;
  softmax(): string {
    return 'of primitives';
  }
  loadWeight(): string {
    return 'as f32';
  }
}
class Plain extends Contract {
  matmul(): string {
    return 'loops';
  }
}
class Fast extends Plain {
  override softmax(): string {
    return 'one kernel';
  }
  override loadWeight(): string {
    return 'packed';
  }
}

const report = (...cases: [titles: string[], status: string][]): string =>
  JSON.stringify({
    testResults: [
      {
        assertionResults: cases.map(([titles, status]) => ({
          ancestorTitles: titles.slice(0, -1),
          title: titles.at(-1),
          status,
        })),
      },
    ],
  });
const suite = (name: string) => `${name} conforms to the Backend contract`;

describe('what a class does itself', () => {
  test.each([
    [Plain, 'matmul', 'native'],
    [Fast, 'matmul', 'native'],
    [Plain, 'softmax', 'default'],
    [Fast, 'softmax', 'fused'],
    [Plain, 'loadWeight', 'default'],
    [Fast, 'loadWeight', 'native'],
  ] as const)('%o %s: %s', (backend, operation, level) => {
    expect(levelOf(backend.prototype, operation, Contract.prototype)).toBe(level);
  });

  test('an operation that no class has is an error', () => {
    expect(() => levelOf(Fast.prototype, 'levitate', Contract.prototype)).toThrow(/levitate/);
  });
});

describe('the results of a run', () => {
  const text = report(
    [['on a device', suite('fast'), 'matmul', 'is exact'], 'passed'],
    [['on a device', suite('fast'), 'matmul', 'refuses (skipped: stays on the device)'], 'skipped'],
    [[suite('fast'), 'softmax', 'sums to one'], 'passed'],
    [[suite('fast'), 'softmax', 'of NaN'], 'failed'],
    [[suite('faster'), 'softmax', 'sums to one'], 'passed'],
    [['goldens', 'matmul', 'agrees'], 'passed'],
  );

  test('are those of one backend: what passes but for its excuses, and what fails', () => {
    expect(resultsIn(text, 'fast')).toEqual({
      passed: { matmul: { passed: 1, skipped: ['refuses (skipped: stays on the device)'] } },
      failed: ['softmax'],
    });
  });

  test('are none where it was not run, or not whole', () => {
    expect(resultsIn(text, 'other')).toBeUndefined();
    const filtered = report(
      [[suite('fast'), 'matmul', 'is exact'], 'skipped'],
      [[suite('fast'), 'matmul', 'broadcasts'], 'passed'],
    );
    expect(resultsIn(filtered, 'fast')).toBeUndefined();
  });

  const kept = { matmul: { passed: 2, skipped: [] }, softmax: { passed: 1, skipped: ['a'] } };

  test('contradict those that were kept where less passes, not where less was run', () => {
    expect(contradictions(kept, { passed: kept, failed: [] })).toEqual([]);
    expect(contradictions(kept, { passed: { cast: { passed: 1, skipped: [] } }, failed: ['adamw'] })).toEqual([]);
    const less = { passed: { softmax: { passed: 1, skipped: ['a', 'b'] } }, failed: ['matmul'] };
    expect(contradictions(kept, less)).toEqual(['matmul fails', 'softmax: b']);
  });

  test('take the place of those that were kept', () => {
    const run = { passed: { softmax: { passed: 2, skipped: [] } }, failed: ['matmul'] };
    expect(updated(kept, run)).toEqual(run.passed);
    expect(updated(kept, { passed: {}, failed: [] })).toEqual(kept);
  });
});

test('operations that are alike everywhere share a row, and skipped cases are named', () => {
  const passed = { passed: 1, skipped: [] };
  const plain = { matmul: passed, softmax: passed, loadWeight: passed, lifetimes: passed };
  const columns = [
    { title: 'plain', prototype: Plain.prototype, results: plain },
    {
      title: 'fast',
      prototype: Fast.prototype,
      results: { ...plain, matmul: { passed: 1, skipped: ['of NaN (skipped: no NaN)'] } },
    },
    { title: 'absent', prototype: Fast.prototype, results: undefined },
  ];
  expect(backendTable(columns, Contract.prototype)).toBe(
    [
      '| operation | plain | fast | absent |',
      '|---|---|---|---|',
      '| `matmul` | native | native, in part | not run |',
      '| `softmax` | default | fused | not run |',
      '| `loadWeight` | default | native | not run |',
      '',
      '- fast, `matmul`: of NaN (skipped: no NaN)',
    ].join('\n'),
  );
});

test('the table goes between its marks, and nowhere else', () => {
  const text = 'before\n<!-- table of backends -->\nold\n<!-- end of table -->\nafter\n';
  expect(withTable(text, 'new')).toBe('before\n<!-- table of backends -->\nnew\n<!-- end of table -->\nafter\n');
  expect(() => withTable('nothing', 'new')).toThrow(/no place/);
});
