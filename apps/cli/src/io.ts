/** What a command talks to: where it reads and prints, whether a person is looking, and what ctrl-C does. */
import type { Interrupts } from './interrupts.ts';

/** A stream that text goes to: `process.stdout`, or a test's buffer. */
interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** The world outside a command. */
export interface Io {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };
  /** Results, and nothing else. */
  readonly stdout: Output;
  /** Progress, remarks and errors. */
  readonly stderr: Output;
  readonly interrupts: Interrupts;
}

/** Prints a result as one line of JSON. */
export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Prints a line. */
export function print(io: Io, line = ''): void {
  io.stdout.write(`${line}\n`);
}

/** Prints a remark, which is not part of the result. */
export function remark(io: Io, line: string): void {
  io.stderr.write(`${line}\n`);
}

/**
 * Text of a model as a terminal may be given it. Control characters could move the cursor, ring the bell or worse, so
 * on a terminal they are shown as pictures (U+2400 to U+2421); a file or pipe gets the text as it is.
 */
export function showable(io: Io, text: string): string {
  if (io.stdout.isTTY !== true) return text;
  let shown = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    if (char === '\n' || char === '\t') shown += char;
    else if (code < 0x20) shown += String.fromCharCode(0x2400 + code);
    else if (code === 0x7f) shown += '\u2421';
    else shown += code >= 0x80 && code < 0xa0 ? '\ufffd' : char;
  }
  return shown;
}
