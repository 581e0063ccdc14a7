/**
 * Writes the README's table of operations and backends (`pnpm table`), or checks that it is what would be written
 * (`pnpm check:table`). Results are those of the last test runs in this checkout; where an operation was not run here, what
 * docs/backend-results.json keeps of an earlier run stands. A check fails if a run here contradicts what was kept.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  backendTable,
  type Column,
  contradictions,
  type Results,
  type Run,
  resultsIn,
  updated,
  withTable,
} from './lib/backend-table.ts';
import { ROOT } from './lib/workspace.ts';

/** Where a column comes from. */
interface Source {
  readonly title: string;
  /** Folder below `packages/`, and the class that its index exports. */
  readonly from: readonly [folder: string, name: string];
  /** Package and file of the report, and the name under which the suite ran there. */
  readonly report: readonly [folder: string, file: string];
  readonly suite: string;
}

const SOURCES: readonly Source[] = [
  {
    title: 'reference',
    from: ['backend-reference', 'ReferenceBackend'],
    report: ['backend-conformance', 'vitest.json'],
    suite: 'reference',
  },
  {
    title: 'cpu',
    from: ['backend-cpu', 'CpuBackend'],
    report: ['backend-cpu', 'vitest.json'],
    suite: 'cpu, 2 threads',
  },
  {
    title: 'tfjs',
    from: ['backend-tfjs', 'TfjsBackend'],
    report: ['backend-tfjs', 'vitest.json'],
    suite: 'tfjs-cpu',
  },
  {
    title: 'webgpu, Node',
    from: ['backend-webgpu', 'WebGpuBackend'],
    report: ['backend-webgpu', 'vitest.json'],
    suite: 'webgpu',
  },
  {
    title: 'webgpu, Chromium',
    from: ['backend-webgpu', 'WebGpuBackend'],
    report: ['backend-webgpu', 'vitest-browser.json'],
    suite: 'webgpu',
  },
  {
    title: 'node-gpu',
    from: ['backend-node-gpu', 'NodeGpuBackend'],
    report: ['backend-node-gpu', 'vitest-binding.json'],
    suite: 'node-gpu',
  },
];

const README = join(ROOT, 'README.md');
const KEPT = join(ROOT, 'docs', 'backend-results.json');

const checking = process.argv.includes('--check');
const kept = existsSync(KEPT) ? (JSON.parse(readFileSync(KEPT, 'utf8')) as Record<string, Results>) : {};
const columns: Column[] = [];
const results: Record<string, Results> = {};
const problems: string[] = [];

for (const source of SOURCES) {
  const { title } = source;
  const run = runHere(source);
  const before = kept[title];
  if (checking && run !== undefined && before !== undefined) {
    for (const against of contradictions(before, run)) problems.push(`${title}: ${against}`);
  }
  const standing = run === undefined || checking ? before : updated(before ?? {}, run);
  if (standing !== undefined) results[title] = standing;
  const said = run === undefined ? 'not run here' : `${Object.keys(run.passed).length} operations pass here`;
  console.log(`${title}: ${said}${run !== undefined && run.failed.length > 0 ? `, ${run.failed.length} fail` : ''}`);
  columns.push({ title, prototype: await prototypeOf(source.from), results: standing });
}

const contract = await prototypeOf(['core', 'Backend']);
const before = readFileSync(README, 'utf8');
const after = withTable(before, backendTable(columns, contract));
if (checking) {
  if (after !== before) problems.push('the README does not say what each backend overrides today; run `pnpm table`');
  for (const problem of problems) console.error(`check:table: ${problem}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} else {
  writeFileSync(README, after);
  writeFileSync(KEPT, keptText(results));
}

/** JSON with a line for each operation, so that a change is a line. */
function keptText(all: Readonly<Record<string, Results>>): string {
  const quote = (value: unknown) => JSON.stringify(value);
  const columns = Object.entries(all).map(([title, operations]) => {
    const lines = Object.entries(operations).map(
      ([name, { passed, skipped }]) => `    ${quote(name)}: { "passed": ${passed}, "skipped": ${quote(skipped)} }`,
    );
    return `  ${quote(title)}: {\n${lines.join(',\n')}\n  }`;
  });
  return `{\n${columns.join(',\n')}\n}\n`;
}

function runHere({ report: [folder, file], suite }: Source): Run | undefined {
  const path = join(ROOT, 'packages', folder, '.cache', file);
  return existsSync(path) ? resultsIn(readFileSync(path, 'utf8'), suite) : undefined;
}

async function prototypeOf([folder, name]: readonly [folder: string, name: string]): Promise<object> {
  const file = pathToFileURL(join(ROOT, 'packages', folder, 'src', 'index.ts'));
  const module = (await import(file.href)) as Record<string, { prototype: object } | undefined>;
  const found = module[name];
  if (found === undefined) throw new Error(`packages/${folder} exports no class ${name}`);
  return found.prototype;
}
