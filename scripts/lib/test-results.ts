/**
 * Counts what the test runs of the workspace said, from the JSON report that each leaves in `.cache/vitest.json`
 * (tooling/vitest.ts). A run that left no usable report counts as one failure, so that a crash is never a success.
 */
import { readFileSync } from 'node:fs';

/** How many tests passed, failed, and were skipped or left to do. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The parts of vitest's JSON report that are counted. */
interface Report {
  testResults: { status: string; assertionResults: { status: string }[] }[];
}

/** Counts one report, given as text. A test file that could not be loaded has no tests of its own: it is one failure. */
export function countReport(text: string): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of (JSON.parse(text) as Report).testResults) {
    let failedHere = 0;
    for (const { status } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') failedHere++;
      else counts.skipped++;
    }
    counts.failed += file.status === 'failed' ? Math.max(failedHere, 1) : failedHere;
  }
  return counts;
}

/** Sums the reports at `paths`. A report that is missing, unreadable or empty counts as one failure, and `warn` is told. */
export function sumReports(paths: readonly string[], warn: (line: string) => void): Counts {
  const sum: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const path of paths) {
    let counts: Counts;
    try {
      counts = countReport(readFileSync(path, 'utf8'));
      if (counts.passed + counts.failed + counts.skipped === 0) throw new Error('it holds no test');
    } catch (error) {
      warn(`no test results in ${path}: ${(error as Error).message}`);
      counts = { passed: 0, failed: 1, skipped: 0 };
    }
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }
  return sum;
}

/** The closing line, in the form that CI reads. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
