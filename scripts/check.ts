/**
 * Everything that must hold before a change is in: `pnpm check`, and behind it `npm test`. Each step runs even where an
 * earlier one failed, so that one run tells all; the last line counts the tests of every package, for CI to read.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findChromium, NO_CHROMIUM } from '../tooling/chromium.ts';
import { show } from './lib/run.ts';
import { closingLine, sumReports } from './lib/test-results.ts';
import { ROOT, workspacePackages } from './lib/workspace.ts';

interface Step {
  name: string;
  command: string;
  args: string[];
}

/** Two tasks at once: test runs use several threads of their own, and the smallest machine that this must suit has two cores. */
const TURBO = [
  'exec',
  'turbo',
  'run',
  '--concurrency=2',
  '--continue=dependencies-successful',
  '--output-logs=new-only',
];

const STEPS: Step[] = [
  { name: 'lint', command: 'pnpm', args: ['run', 'lint'] },
  {
    name: 'build, types and tests',
    command: 'pnpm',
    args: [...TURBO, 'build', 'typecheck', 'typecheck:scripts', 'test', 'test:scripts'],
  },
  { name: 'table of backends', command: 'pnpm', args: ['run', 'check:table'] },
  { name: 'unused code and dependencies', command: 'pnpm', args: ['run', 'knip'] },
  { name: 'packed packages', command: 'pnpm', args: ['run', 'release:dry'] },
];

const packages = workspacePackages();
const tested = packages.filter(({ manifest }) => manifest.scripts?.test !== undefined);
const reports = [join(ROOT, 'scripts'), ...tested.map(({ folder }) => folder)].map((folder) =>
  join(folder, '.cache', 'vitest.json'),
);
const lines: string[] = [];

const browser = 'tests in Chromium';
if (findChromium() === undefined) {
  lines.push(`skipped ${browser}: ${NO_CHROMIUM}`);
} else {
  // Not by turbo: they read files of packages that theirs cannot depend on, which a cache would not know of.
  const args = ['--recursive', '--workspace-concurrency=1', '--no-bail', 'run', 'test:browser'];
  STEPS.splice(2, 0, { name: browser, command: 'pnpm', args });
  const inBrowser = packages.filter(({ manifest }) => manifest.scripts?.['test:browser'] !== undefined);
  reports.push(...inBrowser.map(({ folder }) => join(folder, '.cache', 'vitest-browser.json')));
}

// Not everyone who runs the tests wants 200 MB of TensorFlow for it; CI does.
const onTensorFlow = join(ROOT, 'packages', 'backend-node-gpu', '.cache', 'vitest-binding.json');
if (process.env.MARIANA_TEST_NODE_GPU) {
  STEPS.splice(2, 0, { name: 'tests on the TensorFlow library', command: 'pnpm', args: ['run', 'test:node-gpu'] });
} else {
  lines.push(
    'skipped tests on the TensorFlow library: `pnpm test:node-gpu` runs them, and so does MARIANA_TEST_NODE_GPU=1',
  );
}
// A report of an earlier run must not stand in for a run that did not happen.
for (const report of [...reports, onTensorFlow]) rmSync(report, { force: true });

const env = { ...process.env, DO_NOT_TRACK: '1', TURBO_TELEMETRY_DISABLED: '1' };
let broken = 0;
for (const { name, command, args } of STEPS) {
  console.log(`\n── ${name} ──`);
  const started = performance.now();
  const { status } = await show(command, args, { cwd: ROOT, env });
  if (status !== 0) broken++;
  lines.push(`${status === 0 ? 'ok    ' : 'FAILED'}  ${name} (${Math.round((performance.now() - started) / 1000)} s)`);
}

console.log(`\n${lines.join('\n')}`);
// Where the library could not be had, that step has said so and left no report.
if (existsSync(onTensorFlow)) reports.push(onTensorFlow);
const counts = sumReports(reports, (line) => console.log(line));
console.log(`\n${closingLine(counts)}`);
process.exitCode = broken > 0 || counts.failed > 0 ? 1 : 0;
