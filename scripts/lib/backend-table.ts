/**
 * The table of operations and backends in the README: what each backend overrides is read off its class, and only what
 * the conformance suite has seen to work is shown. An operation that it has not, or that failed, has no place in a cell.
 */

/** How a backend does an operation. */
export type Level =
  /** A primitive, or the handling of weights, in code of its own. */
  | 'native'
  /** A part of the model as one piece, instead of the contract's composition of primitives. */
  | 'fused'
  /** The body that the contract gives. */
  | 'default';

/** An operation that passes: how many cases did, and the titles of those that the backend says it cannot. */
interface OperationResult {
  readonly passed: number;
  readonly skipped: readonly string[];
}

/** Operations that pass. */
export type Results = Readonly<Record<string, OperationResult>>;

/** What a run says. Operations of which not every case was run are in neither. */
export interface Run {
  readonly passed: Results;
  readonly failed: readonly string[];
}

/** A column of the table. */
export interface Column {
  readonly title: string;
  /** Prototype of the backend's class. */
  readonly prototype: object;
  /** Undefined where the suite has not been run. */
  readonly results: Results | undefined;
}

/** Operations on weights; the others that the contract has a body for are parts of a model. */
const WEIGHTS: ReadonlySet<string> = new Set(['denseWeight', 'dequantize', 'loadWeight', 'loadWeights', 'weightBytes']);

const SUITE = ' conforms to the Backend contract';

/** The parts of vitest's JSON report that are read. */
interface Report {
  testResults: { assertionResults: { ancestorTitles: string[]; title: string; status: string }[] }[];
}

/** How the suite words the title of a case that a backend is excused from; a filter leaves titles as they are. */
const EXCUSED = '(skipped: ';

/**
 * What a report of vitest says of one backend, in the suite's order. Undefined if no operation was run whole.
 *
 * @param suite - The `name` that the backend was given in its test.
 */
export function resultsIn(report: string, suite: string): Run | undefined {
  const operations = new Map<string, { status: string; title: string }[]>();
  for (const file of (JSON.parse(report) as Report).testResults) {
    for (const { ancestorTitles, title, status } of file.assertionResults) {
      const at = ancestorTitles.indexOf(suite + SUITE);
      const operation = ancestorTitles[at + 1];
      if (at < 0 || operation === undefined) continue;
      operations.set(operation, [...(operations.get(operation) ?? []), { title, status }]);
    }
  }
  const passed: Record<string, OperationResult> = {};
  const failed: string[] = [];
  for (const [operation, cases] of operations) {
    const skipped = cases.filter(({ title }) => title.includes(EXCUSED)).map(({ title }) => title);
    const passes = cases.filter(({ status }) => status === 'passed').length;
    if (cases.some(({ status }) => status === 'failed')) failed.push(operation);
    else if (passes > 0 && passes + skipped.length === cases.length) passed[operation] = { passed: passes, skipped };
  }
  return failed.length + Object.keys(passed).length === 0 ? undefined : { passed, failed };
}

/** How a class does an operation, by where on its chain of prototypes the method is. */
export function levelOf(prototype: object, operation: string, contract: object): Level {
  let owner: object | null = prototype;
  while (owner !== null && !Object.hasOwn(owner, operation)) owner = Object.getPrototypeOf(owner) as object | null;
  if (owner === null) throw new Error(`no class of this backend has a method "${operation}"`);
  if (owner === contract) return 'default';
  return Object.hasOwn(contract, operation) && !WEIGHTS.has(operation) ? 'fused' : 'native';
}

/**
 * The table in Markdown. Operations that are alike on every backend share a row.
 *
 * @param contract - Prototype of the contract's class.
 */
export function backendTable(columns: readonly Column[], contract: object): string {
  // The suite's order, as the fullest column has it.
  const runs = columns.map(({ results }) => Object.keys(results ?? {})).sort((a, b) => b.length - a.length);
  const known = new Set(runs.flat());
  const operations = [...known].filter((name) => columns.some(({ prototype }) => name in prototype));
  const notes: string[] = [];
  const rows = new Map<string, string[]>();
  for (const operation of operations) {
    const cells = columns.map((column) => cellOf(column, operation, contract, notes));
    const key = cells.join(' | ');
    rows.set(key, [...(rows.get(key) ?? []), operation]);
  }
  const lines = [
    `| operation | ${columns.map(({ title }) => title).join(' | ')} |`,
    `|---|${'---|'.repeat(columns.length)}`,
    ...[...rows].map(([cells, names]) => `| ${names.map((name) => `\`${name}\``).join(', ')} | ${cells} |`),
  ];
  return [...lines, ...(notes.length > 0 ? ['', ...notes] : [])].join('\n');
}

function cellOf({ title, prototype, results }: Column, operation: string, contract: object, notes: string[]): string {
  const result = results?.[operation];
  if (result === undefined) return 'not run';
  const level = levelOf(prototype, operation, contract);
  if (result.skipped.length === 0) return level;
  notes.push(...result.skipped.map((skipped) => `- ${title}, \`${operation}\`: ${skipped}`));
  return `${level}, in part`;
}

/** What a run says against results that were kept: operations that fail, and cases that are skipped anew. */
export function contradictions(kept: Results, { passed, failed }: Run): string[] {
  return [
    ...failed.filter((operation) => operation in kept).map((operation) => `${operation} fails`),
    ...Object.entries(kept).flatMap(([operation, { skipped }]) =>
      (passed[operation]?.skipped ?? []).filter((one) => !skipped.includes(one)).map((one) => `${operation}: ${one}`),
    ),
  ];
}

/** Kept results with those of a run in place of theirs, in the order of the run. */
export function updated(kept: Results, { passed, failed }: Run): Results {
  const both = Object.entries({ ...passed, ...kept, ...passed });
  return Object.fromEntries(both.filter(([operation]) => !failed.includes(operation)));
}

/** Puts the table between the marks of a Markdown file. @throws Error if it has no marks. */
export function withTable(text: string, table: string): string {
  const [start, end] = ['<!-- table of backends -->\n', '\n<!-- end of table -->'];
  const from = text.indexOf(start);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`there is no place for the table: ${start.trim()} ... ${end.trim()}`);
  return text.slice(0, from + start.length) + table + text.slice(to);
}
