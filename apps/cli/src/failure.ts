/**
 * How commands fail. What a user can put right is one line, `error [CODE]: what, where, what to do`, and exit code 2;
 * with --json also an object on standard output. A fault of the program is exit code 1 with its stack. Never both.
 */
import type { ErrorCode } from '@mariana/core';
import { CommanderError } from 'commander';
import { INTERRUPTED } from './interrupts.ts';
import { type Io, printJson, remark } from './io.ts';

/** Exit codes other than 0 and `INTERRUPTED`. */
export const BAD_INPUT = 2;
const BUG = 1;

/** A failure as it is told. */
interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Tells about a failure. Returns the exit code. */
export async function fail(error: unknown, io: Io, { json }: { json: boolean }): Promise<number> {
  if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help and --version have said their piece
  if (io.interrupts.signal.aborted) {
    remark(io, 'interrupted');
    return INTERRUPTED;
  }
  const failure = await understand(error);
  if (failure === undefined) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    remark(io, `error [INTERNAL]: this is a fault of mariana itself; please report it with these lines:\n${stack}`);
    if (json) printJson(io, { error: { code: 'INTERNAL', message: String(error), details: {} } });
    return BUG;
  }
  remark(io, `error [${failure.code}]: ${failure.message}`);
  if (json) printJson(io, { error: failure });
  return BAD_INPUT;
}

async function understand(error: unknown): Promise<Failure | undefined> {
  if (error instanceof CommanderError) return { code: 'USAGE', message: usageMessage(error), details: {} };
  // Whatever can throw one of these has loaded this module long ago.
  const { isMarianaError } = await import('@mariana/core');
  if (isMarianaError(error)) return { code: error.code, message: error.message, details: error.details };
  if (error instanceof RangeError && /allocation failed|Invalid (typed )?array (buffer )?length/i.test(error.message)) {
    const message = `memory ran out (${error.message}); use a smaller model or a shorter context`;
    return { code: 'OUT_OF_MEMORY', message, details: {} };
  }
  return undefined;
}

/** Commander's message on one line, in this program's form. */
function usageMessage(error: CommanderError): string {
  const [first = '', ...others] = error.message
    .replace(/^error: /, '')
    .split('\n')
    .map((line) => line.trim());
  return [first, ...others].filter((line) => line !== '').join(' ');
}
