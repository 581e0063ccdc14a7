/**
 * Runs a group: starts its subjects, and has all of them do the same thing in turn, round after round, so that whatever
 * the machine does in the meantime it does to all of them.
 */
import { load, otherCoresNow, type Timed } from './machine.ts';
import type { Results } from './results.ts';
import { isQuiet } from './statistics.ts';
import { Subject, type SubjectCommand } from './subject.ts';
import { digits } from './table.ts';

/** One thing that a subject is asked to do, and the number that is made of its answer. */
export interface Probe {
  readonly metric: string;
  readonly request: { readonly do: string; readonly [argument: string]: unknown };
  readonly value: (answer: never) => number;
}

export interface Spec extends SubjectCommand {
  readonly probes: readonly Probe[];
}

export interface GroupOptions {
  readonly name: string;
  readonly rounds: number;
  /** Start the subjects anew in each round, one at a time, because starting is what is measured. */
  readonly fresh?: boolean;
}

/** Says what is going on; standard error, so that the tables can be redirected. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export async function runGroup(results: Results, specs: readonly Spec[], options: GroupOptions): Promise<void> {
  const loadBefore = load();
  const otherCoresBefore = await otherCoresNow();
  note(`\n${options.name}: load ${digits(loadBefore)}, other processes use ${shown(otherCoresBefore)} cores`);
  if (options.fresh) await freshRounds(results, specs, options);
  else await keptRounds(results, specs, options);
  results.surroundings.push({ group: options.name, loadBefore, loadAfter: load(), otherCoresBefore });
}

async function keptRounds(results: Results, specs: readonly Spec[], { rounds }: GroupOptions): Promise<void> {
  const running: { spec: Spec; subject: Subject }[] = [];
  try {
    for (const spec of specs) {
      const subject = await start(results, spec);
      if (subject !== undefined) running.push({ spec, subject });
    }
    const metrics = [...new Set(specs.flatMap(({ probes }) => probes.map(({ metric }) => metric)))];
    // Once for nothing: engines compile what has run, and some things are laid out when they are first needed.
    for (let round = -1; round < rounds; round++) {
      for (const metric of metrics) {
        // Each begins in turn, so that none always follows the same other one.
        const first = Math.max(0, round) % Math.max(1, running.length);
        const turn = [...running.slice(first), ...running.slice(0, first)];
        for (const entry of turn) {
          const probe = entry.spec.probes.find((p) => p.metric === metric);
          if (probe === undefined || !running.includes(entry)) continue;
          const done = await measure(results, entry.spec, entry.subject, probe, round);
          if (!done) running.splice(running.indexOf(entry), 1);
        }
      }
    }
  } finally {
    for (const { subject } of running) await subject.stop();
  }
}

async function freshRounds(results: Results, specs: readonly Spec[], { rounds }: GroupOptions): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const spec of specs) {
      const subject = await start(results, spec);
      if (subject === undefined) continue;
      try {
        const { loadMs, otherCores = null } = subject.greeting;
        const common = { subject: spec.name, threads: spec.threads, round, otherCores: otherCores as number | null };
        results.add({ ...common, metric: 'load', value: loadMs });
        for (const probe of spec.probes) {
          const began = performance.now();
          if (!(await measure(results, spec, subject, probe, round))) break;
          if (probe.metric !== 'first answer') continue;
          const value = subject.startMs + performance.now() - began;
          results.add({ ...common, metric: 'first token', value });
        }
      } finally {
        await subject.stop();
      }
    }
  }
}

async function start(results: Results, spec: Spec): Promise<Subject | undefined> {
  try {
    const subject = await Subject.start(spec);
    results.greet(spec.name, spec.threads, subject.greeting);
    note(`  ${label(spec)}: up after ${digits(subject.startMs / 1e3)} s (${subject.greeting.about})`);
    return subject;
  } catch (error) {
    note(`  ${label(spec)}: ${(error as Error).message}`);
    results.miss(label(spec), error);
    return undefined;
  }
}

/** Asks, and keeps the answer. False if the subject is no more. */
async function measure(
  results: Results,
  spec: Spec,
  subject: Subject,
  { metric, request, value }: Probe,
  round: number,
): Promise<boolean> {
  try {
    const answer = await subject.ask<Partial<Timed>>(request);
    const { name, threads } = spec;
    const { otherCores = null } = answer;
    const sample = { subject: name, threads, metric, value: value(answer as never), round, otherCores };
    if (round < 0) return true;
    results.add(sample);
    const disturbed = isQuiet(sample) ? '' : ` (others used ${shown(otherCores)} cores)`;
    note(`  ${round + 1}. ${label(spec)}, ${metric}: ${digits(sample.value)}${disturbed}`);
    return true;
  } catch (error) {
    note(`  ${label(spec)}, ${metric}: ${(error as Error).message}`);
    results.miss(`${label(spec)}, ${metric}`, error);
    await subject.stop();
    return false;
  }
}

function label({ name, threads }: SubjectCommand): string {
  return `${name}, ${threads} thread${threads === 1 ? '' : 's'}`;
}

function shown(cores: number | null): string {
  return cores === null ? 'an unknown number of' : digits(cores);
}
