/**
 * Runs command lines one after the other in one process, for tests of many small cases: starting the program takes
 * longer than most of them. Reads a JSON array of argument lists from standard input and prints what came of each.
 */

import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { run } from '../src/cli.ts';
import { Interrupts } from '../src/interrupts.ts';

const cases = JSON.parse(await text(process.stdin)) as string[][];
const outcomes = [];
for (const args of cases) {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const started = performance.now();
  const code = await run(args, {
    stdin: Readable.from([]),
    stdout: { write: (part) => stdout.push(part) },
    stderr: { write: (part) => stderr.push(part) },
    interrupts: new Interrupts(() => {}),
  });
  outcomes.push({ code, stdout: stdout.join(''), stderr: stderr.join(''), ms: performance.now() - started });
}
process.stdout.write(JSON.stringify(outcomes));
