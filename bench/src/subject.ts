/**
 * A subject as the benchmark sees it: a child process that holds a model (or kernels) and measures when it is told to.
 * Children stay alive over all rounds of a group, so that what is compared runs directly after one another.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How a subject is started. */
export interface SubjectCommand {
  readonly name: string;
  readonly threads: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What a subject says of itself when it is up. */
export interface Greeting {
  readonly loadMs: number;
  /** Name and version of what is measured. */
  readonly about: string;
  readonly [detail: string]: unknown;
}

/** Longer than this nothing takes; a child that hangs is ended. */
const LIMIT_MS = 10 * 60_000;

export class Subject {
  readonly name: string;
  readonly threads: number;
  /** Milliseconds from the start of the process to its greeting. */
  readonly startMs: number;
  readonly greeting: Greeting;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #complaints: string[];

  private constructor(
    { name, threads }: SubjectCommand,
    greeting: Greeting,
    startMs: number,
    parts: { child: ChildProcess; lines: AsyncIterator<string>; complaints: string[] },
  ) {
    this.name = name;
    this.threads = threads;
    this.greeting = greeting;
    this.startMs = startMs;
    this.#child = parts.child;
    this.#lines = parts.lines;
    this.#complaints = parts.complaints;
  }

  /** Starts a subject and waits until it is up. @throws Error with the end of what it printed, if it does not come up */
  static async start(command: SubjectCommand): Promise<Subject> {
    const started = performance.now();
    const child = spawn(command.command, command.args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...command.env },
    });
    const complaints: string[] = [];
    child.stderr.on('data', (data: Buffer) => {
      complaints.push(data.toString());
      while (complaints.length > 50) complaints.shift();
    });
    child.on('error', (error) => complaints.push(error.message));
    child.stdin.on('error', () => {}); // a child that has gone is noticed by its missing answer
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const parts = { child, lines, complaints };
    const greeting = await answer(command.name, parts);
    return new Subject(command, greeting as Greeting, performance.now() - started, parts);
  }

  /** Has the subject do something. @throws Error if it ends instead of answering */
  async ask<T>(request: { readonly do: string; readonly [argument: string]: unknown }): Promise<T> {
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    const parts = { child: this.#child, lines: this.#lines, complaints: this.#complaints };
    return (await answer(this.name, parts)) as T;
  }

  /** Ends the subject, and waits until its memory is free again. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin!.end(`${JSON.stringify({ do: 'stop' })}\n`);
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(timer);
  }
}

async function answer(
  name: string,
  { child, lines, complaints }: { child: ChildProcess; lines: AsyncIterator<string>; complaints: string[] },
): Promise<unknown> {
  const timer = setTimeout(() => {
    complaints.push(`no answer within ${LIMIT_MS / 60_000} minutes`);
    child.kill('SIGKILL');
  }, LIMIT_MS);
  try {
    while (true) {
      const { value, done } = await lines.next();
      if (done) break;
      // Libraries may print things of their own to standard output.
      if (value.startsWith('{')) return JSON.parse(value);
    }
  } finally {
    clearTimeout(timer);
  }
  await new Promise((resolve) => setTimeout(resolve, 100)); // for the last of what it printed
  const told = complaints.join('').trim().split('\n').slice(-3).join(' / ');
  throw new Error(`${name} ended without an answer: ${told || 'it printed nothing'}`);
}
