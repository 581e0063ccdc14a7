/** What a run gathers, to be printed and written as JSON. */
import type { Machine } from './machine.ts';
import type { Sample } from './statistics.ts';
import type { Greeting } from './subject.ts';

/** The load of the machine around a group of measurements. */
export interface Surroundings {
  readonly group: string;
  /** One-minute load averages. */
  readonly loadBefore: number;
  readonly loadAfter: number;
  /** Cores that were busy just before, while the benchmark did nothing; null where the system does not tell. */
  readonly otherCoresBefore: number | null;
}

export class Results {
  readonly date = new Date().toISOString();
  readonly machine: Machine;
  readonly samples: Sample[] = [];
  readonly surroundings: Surroundings[] = [];
  /** What could not be measured, and why. */
  readonly missing: { readonly subject: string; readonly reason: string }[] = [];
  /** What subjects said of themselves, by name and threads. */
  readonly greetings = new Map<string, Greeting>();

  constructor(machine: Machine) {
    this.machine = machine;
  }

  add(sample: Sample): void {
    this.samples.push(sample);
  }

  miss(subject: string, reason: unknown): void {
    const text = reason instanceof Error ? reason.message : String(reason);
    if (!this.missing.some((m) => m.subject === subject && m.reason === text)) {
      this.missing.push({ subject, reason: text });
    }
  }

  greet(subject: string, threads: number, greeting: Greeting): void {
    this.greetings.set(`${subject}/${threads}`, greeting);
  }

  /** A number that a subject told of itself. */
  told(subject: string, threads: number, detail: string): number | undefined {
    const value = this.greetings.get(`${subject}/${threads}`)?.[detail];
    return typeof value === 'number' ? value : undefined;
  }
}
