/** What a run shows: one table for each question, made of the medians of its samples. */
import { ACCEPTED, DRAFT_FORMATS, storyTeller, TELL } from './draft-specs.ts';
import type { Verdict } from './goal.ts';
import { goals } from './goals.ts';
import type { Results } from './results.ts';
import {
  BROWSER_DECODE,
  BROWSER_PREFILL,
  CACHES,
  contextName,
  FORMATS,
  LIMITS,
  LLAMA_CPP,
  mariana,
  NODE_LLAMA_CPP,
  PASTS,
  pastName,
  SHAPES,
  shapeName,
  WLLAMA,
} from './specs.ts';
import { medianOf } from './statistics.ts';
import { digits, table } from './table.ts';
import { trainTable } from './train-report.ts';

/** All tables of a run as Markdown. */
export function report(results: Results): string {
  const parts = [
    head(results),
    speed(results),
    browser(results),
    load(results),
    context(results),
    products(results),
    drafts(results),
    trainTable(results, threadsOf(results)),
    goalTable(results),
  ];
  if (results.missing.length > 0) {
    parts.push(['Not measured:', ...results.missing.map((m) => `- ${m.subject}: ${m.reason}`)].join('\n'));
  }
  parts.push(warnings(results));
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function head({ machine, date }: Results): string {
  const memory = `${digits(machine.memoryBytes / 2 ** 30)} GiB`;
  return `${machine.cpu}, ${machine.cores} cores, ${memory}, ${machine.platform}, Node ${machine.node}, ${date}`;
}

/** Medians; `~` before a number that was taken while others used the cores. */
function shown(results: Results, subject: string, threads: number, metric: string, scale = 1): string {
  const found = medianOf(results.samples, { subject, threads, metric });
  if (found === undefined) return '';
  return `${found.quiet ? '' : '~'}${digits(found.value * scale)}`;
}

function threadsOf(results: Results): number[] {
  return [...new Set(results.samples.map(({ threads }) => threads))].sort((a, b) => a - b);
}

function titled(title: string, rows: readonly (readonly string[])[]): string {
  const filled = rows.filter((row, index) => index === 0 || row.slice(1).some((text) => text !== ''));
  return filled.length > 1 ? `${title}\n\n${table(filled)}` : '';
}

function speed(results: Results): string {
  const columns = threadsOf(results).flatMap((threads) =>
    ['decode', 'prefill', 'generate'].map((metric) => ({ threads, metric })),
  );
  const subjects = [...FORMATS.map(mariana), LLAMA_CPP, NODE_LLAMA_CPP];
  const models = titled('Tokens a second', [
    ['', ...columns.map(({ threads, metric }) => `${metric}, ${threads} t`)],
    ...subjects.map((subject) => [
      subject,
      ...columns.map(({ threads, metric }) => shown(results, subject, threads, metric)),
    ]),
  ]);
  const rates = titled('GB a second, of weights in blocks of 512 KB in random order', [
    ['', ...threadsOf(results).map((threads) => `${threads} t`)],
    ['plain read', ...threadsOf(results).map((threads) => shown(results, LIMITS, threads, 'read'))],
    ['bare INT8 product', ...threadsOf(results).map((threads) => shown(results, LIMITS, threads, 'product'))],
    ['decoding of mariana int8', ...threadsOf(results).map((threads) => decodeRate(results, threads))],
  ]);
  return [models, rates].filter((part) => part !== '').join('\n\n');
}

/** The peer that runs in a page, and Mariana (in Node) in the same turns. */
function browser(results: Results): string {
  const columns = threadsOf(results).flatMap((threads) =>
    [BROWSER_DECODE, BROWSER_PREFILL].map((metric) => ({ threads, metric })),
  );
  return titled('Tokens a second, beside WebAssembly in a page', [
    ['', ...columns.map(({ threads, metric }) => `${metric}, ${threads} t`)],
    ...[mariana('int8'), WLLAMA].map((subject) => [
      subject,
      ...columns.map(({ threads, metric }) => shown(results, subject, threads, metric)),
    ]),
  ]);
}

function decodeRate(results: Results, threads: number): string {
  const subject = mariana('int8');
  const bytes = results.told(subject, threads, 'weightBytes');
  return bytes === undefined ? '' : shown(results, subject, threads, 'decode', bytes / 1e9);
}

function load(results: Results): string {
  const subjects = [...FORMATS.map(mariana), LLAMA_CPP, NODE_LLAMA_CPP];
  const rows = threadsOf(results).flatMap((threads) =>
    subjects.map((subject) => [
      `${subject}, ${threads} t`,
      shown(results, subject, threads, 'load', 1e-3),
      shown(results, subject, threads, 'first token', 1e-3),
      shown(results, subject, threads, 'peak memory', 1e-6),
      held(results, subject, threads),
    ]),
  );
  const filled = rows.filter((row) => row[1] !== '');
  return titled('Getting going', [
    ['', 'load, s', 'first token after 32, s', 'peak memory, MB', 'of it held by the backend, MB'],
    ...filled,
  ]);
}

function held(results: Results, subject: string, threads: number): string {
  const bytes = results.told(subject, threads, 'heldBytes');
  return bytes === undefined ? '' : digits(bytes / 1e6);
}

/** How decoding slows with the past, and at which rates the cache is read and computed with for what is added. */
function context(results: Results): string {
  const rows = CACHES.flatMap((dtype) =>
    threadsOf(results).flatMap((threads) =>
      PASTS.map((past) => {
        const subject = contextName(dtype);
        const speed = shown(results, subject, threads, pastName(past));
        return [`${dtype}, ${threads} t, ${pastName(past)}`, speed, ...growth(results, subject, threads, past)];
      }),
    ),
  );
  return titled('Decoding behind a past (cache filled with random numbers), mariana int8', [
    ['cache', 'tokens/s', 'cache read a token, MB', 'ms more than empty', 'GB/s of cache', 'G multiply-adds/s'],
    ...rows.filter((row) => row[1] !== ''),
  ]);
}

function growth(results: Results, subject: string, threads: number, past: number): string[] {
  const empty = medianOf(results.samples, { subject, threads, metric: pastName(0) })?.value;
  const here = medianOf(results.samples, { subject, threads, metric: pastName(past) })?.value;
  if (empty === undefined || here === undefined || past === 0) return [];
  const bytes = past * (results.told(subject, threads, 'cacheBytesPerToken') ?? Number.NaN);
  const products = past * (results.told(subject, threads, 'multiplyAddsPerToken') ?? Number.NaN);
  const ms = 1e3 / here - 1e3 / empty;
  return [digits(bytes / 1e6), digits(ms), digits(bytes / ms / 1e6), digits(products / ms / 1e6)];
}

function products(results: Results): string {
  const subjects = [mariana('f32'), mariana('int8'), 'tfjs-wasm', 'tfjs-cpu'];
  return titled('Matrix-vector products in G multiply-adds a second, one thread', [
    ['weight [out x in]', ...subjects],
    ...SHAPES.map((shape) => [
      shapeName(shape),
      ...subjects.map((subject) => shown(results, subject, 1, shapeName(shape))),
    ]),
  ]);
}

/** What drafting is worth: the rates of both, and how many drafts were right. */
function drafts(results: Results): string {
  return titled('Stories by the small model, tokens a second', [
    ['', 'without drafts', 'with drafts', 'drafts right'],
    ...threadsOf(results).flatMap((threads) =>
      DRAFT_FORMATS.map((format) => {
        const [without, drafting] = [false, true].map((has) => storyTeller(format, has));
        const right = shown(results, drafting!, threads, ACCEPTED, 100);
        return [
          `${format}, ${threads} t`,
          shown(results, without!, threads, TELL),
          shown(results, drafting!, threads, TELL),
          right && `${right} %`,
        ];
      }),
    ),
  ]);
}

const VERDICTS: Readonly<Record<Verdict, string>> = { met: 'yes', missed: 'no', disturbed: 'disturbed, no verdict' };

function goalTable(results: Results): string {
  return titled('Goals', [
    ['', 'goal', 'measured', 'range', 'rounds (quiet)', 'met'],
    ...goals(results).map((goal) => [
      goal.name,
      `${goal.atLeast ? '>=' : '<='} ${goal.goal}`,
      digits(goal.value),
      goal.range === undefined ? '' : `${digits(goal.range[0])} to ${digits(goal.range[1])}`,
      `${goal.rounds} (${goal.quietRounds})`,
      VERDICTS[goal.verdict],
    ]),
  ]);
}

function warnings(results: Results): string {
  const lines: string[] = [];
  const disturbed = goals(results).filter(({ verdict }) => verdict === 'disturbed').length;
  if (disturbed > 0) {
    lines.push(
      `Warning: other processes used the cores during ${disturbed} of the comparisons; they prove nothing. ` +
        'Stop what else is running and measure again.',
    );
  }
  if (results.surroundings.some(({ otherCoresBefore }) => otherCoresBefore === null)) {
    lines.push('Warning: this system does not tell what other processes do; make sure yourself that it is idle.');
  }
  for (const { group, loadBefore, loadAfter, otherCoresBefore } of results.surroundings) {
    const others = otherCoresBefore === null ? 'unknown' : digits(otherCoresBefore);
    lines.push(
      `Load around ${group}: ${digits(loadBefore)} before, ${digits(loadAfter)} after; cores in use before: ${others}`,
    );
  }
  return lines.join('\n');
}
