import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closingLine, countReport, sumReports } from './test-results.ts';

const report = (...files: { status: string; tests: string[] }[]): string =>
  JSON.stringify({
    testResults: files.map(({ status, tests }) => ({
      status,
      assertionResults: tests.map((outcome) => ({ status: outcome })),
    })),
  });

test('tests are counted by how they ended', () => {
  const text = report(
    { status: 'passed', tests: ['passed', 'passed', 'skipped', 'todo'] },
    { status: 'failed', tests: ['passed', 'failed', 'failed'] },
  );
  expect(countReport(text)).toEqual({ passed: 3, failed: 2, skipped: 2 });
});

test('a file that failed without a failing test, as one that cannot be imported, is one failure', () => {
  expect(countReport(report({ status: 'failed', tests: [] }))).toEqual({ passed: 0, failed: 1, skipped: 0 });
  expect(countReport(report({ status: 'failed', tests: ['passed'] }))).toEqual({ passed: 1, failed: 1, skipped: 0 });
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mariana-results-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('reports are summed, and one that is missing, broken or empty is a failure that is told', () => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const told: string[] = [];
  const sum = sumReports(
    [
      file('a.json', report({ status: 'passed', tests: ['passed', 'passed'] })),
      file('b.json', report({ status: 'passed', tests: ['passed', 'skipped'] })),
      file('half.json', report({ status: 'passed', tests: ['passed'] }).slice(0, -4)),
      file('empty.json', report()),
      join(folder, 'missing.json'),
    ],
    (line) => told.push(line),
  );
  expect(sum).toEqual({ passed: 3, failed: 3, skipped: 1 });
  expect(told.map((line) => /(\w+)\.json/.exec(line)?.[1])).toEqual(['half', 'empty', 'missing']);
});

test('the closing line has the form that CI reads', () => {
  expect(closingLine({ passed: 7, failed: 0, skipped: 0 })).toBe('7 passed, 0 failed');
  expect(closingLine({ passed: 7, failed: 2, skipped: 1 })).toBe('7 passed, 2 failed, 1 skipped');
});
