/** The options of `pnpm bench`. */
import { parseArgs } from 'node:util';

export const GROUPS = ['model', 'formats', 'browser', 'load', 'context', 'products', 'drafts', 'train'] as const;
export type GroupName = (typeof GROUPS)[number];

export interface Options {
  /** What to measure. Default: everything. */
  readonly groups: readonly GroupName[];
  /** Only subjects whose name has this in it. Default: all. */
  readonly subject: string;
  /** Fewer and shorter measurements, to see that it works. */
  readonly quick: boolean;
  /** Rounds of each measurement. Default 7, or 2 if quick. */
  readonly repeats: number;
  /** Numbers of threads. Default 1 and 2. */
  readonly threads: readonly number[];
  /** Where the JSON goes; default `bench/results/<date>.json`. */
  readonly json: string | undefined;
  /** Whether peers are measured, and installed where they are missing. */
  readonly peers: boolean;
}

export const HELP = `pnpm bench [options]

  --only NAME[,NAME]   a group (${GROUPS.join(', ')}), or part of a subject's name
  --threads 1,2        numbers of threads
  --repeats N          rounds of each measurement (7; with --quick 2)
  --quick              short measurements, to see that everything runs; not for publishing
  --no-peers           Mariana alone: installs and runs no other program
  --json PATH          where to write the results (bench/results/<date>.json)

Models and peers are kept in ~/.cache/mariana-bench (or $MARIANA_BENCH_CACHE), about 8 GB, and 6 GB more for
PyTorch, which only the group train takes ($MARIANA_TORCH_PYTHON: one that is there already).
`;

/** @returns the options, or null if help is asked for. @throws Error that says which option is wrong */
export function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: args.filter((argument) => argument !== '--'),
    options: {
      only: { type: 'string', default: '' },
      threads: { type: 'string', default: '1,2' },
      repeats: { type: 'string' },
      quick: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: true },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  });
  if (values.help) return null;
  const names = values.only.split(',').filter((name) => name !== '');
  const groups = GROUPS.filter((group) => names.includes(group));
  const subjects = names.filter((name) => !GROUPS.includes(name as GroupName));
  if (subjects.length > 1) throw new Error(`--only: one subject at a time, not ${subjects.join(' and ')}`);
  return {
    groups: groups.length > 0 ? groups : GROUPS,
    subject: subjects[0] ?? '',
    quick: values.quick,
    repeats: whole('--repeats', values.repeats ?? (values.quick ? '2' : '7')),
    threads: values.threads.split(',').map((threads) => whole('--threads', threads)),
    json: values.json,
    peers: values.peers,
  };
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`${option}: ${text} is not a whole number from 1 up`);
}
