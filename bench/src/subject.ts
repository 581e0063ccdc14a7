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

interface Parts {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
  /** What it printed to standard error, the end of it. */
  readonly complaints: string[];
  /** Resolves when all that it printed has arrived. */
  readonly closed: Promise<unknown>;
}

export class Subject {
  readonly name: string;
  readonly threads: number;
  /** Milliseconds from the start of the process to its greeting. */
  readonly startMs: number;
  readonly greeting: Greeting;
  readonly #parts: Parts;

  private constructor({ name, threads }: SubjectCommand, greeting: Greeting, startMs: number, parts: Parts) {
    this.name = name;
    this.threads = threads;
    this.greeting = greeting;
    this.startMs = startMs;
    this.#parts = parts;
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
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.on('error', (error) => complaints.push(error.message));
    child.stdin.on('error', () => {}); // a child that has gone is noticed by its missing answer
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const parts = { child, lines, complaints, closed };
    const greeting = await answer(command.name, parts);
    return new Subject(command, greeting as Greeting, performance.now() - started, parts);
  }

  /** Has the subject do something. @throws Error if it ends instead of answering */
  async ask<T>(request: { readonly do: string; readonly [argument: string]: unknown }): Promise<T> {
    this.#parts.child.stdin!.write(`${JSON.stringify(request)}\n`);
    return (await answer(this.name, this.#parts)) as T;
  }

  /** Ends the subject, and waits until its memory is free again. */
  async stop(): Promise<void> {
    const { child } = this.#parts;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin!.end(`${JSON.stringify({ do: 'stop' })}\n`);
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(timer);
  }
}

async function answer(name: string, { child, lines, complaints, closed }: Parts): Promise<unknown> {
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
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 2000))]); // for the last of what it printed
  throw new Error(`${name} ended without an answer: ${gist(complaints.join(''))}`);
}

/** The line that names an error, if there is one; else the last ones. */
function gist(printed: string): string {
  const lines = printed.trim().split('\n');
  const error = lines.findLast((line) => /^\S*(error|exception|abort|assert)/i.test(line));
  return error ?? (lines.slice(-3).join(' / ') || 'it printed nothing');
}
