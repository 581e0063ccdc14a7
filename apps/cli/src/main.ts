#!/usr/bin/env node
/** The program: connects the command line to this process. What it does is in `cli.ts`. */
import { run } from './cli.ts';
import { INTERRUPTED, Interrupts } from './interrupts.ts';

const interrupts = new Interrupts(() => process.exit(INTERRUPTED));
process.on('SIGINT', () => interrupts.interrupt());

// `mariana ... | head` closes the pipe when it has enough: the end of the work, and no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.stderr.on('error', () => {});

process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  interrupts,
});
