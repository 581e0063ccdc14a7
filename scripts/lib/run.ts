/**
 * Starts other programs for the scripts: on this terminal, or with their output kept for when something is wrong.
 */
import { spawn } from 'node:child_process';

/** Where and with what a program runs. */
export interface RunOptions {
  cwd: string;
  env?: NodeJS.ProcessEnv;
}

/** How a program ended: its exit status (128 + n for a signal) and, if kept, all that it printed. */
export interface Ending {
  status: number;
  output: string;
}

/** Runs a program with its output on this terminal. */
export function show(command: string, args: readonly string[], options: RunOptions): Promise<Ending> {
  return launch(command, args, options, 'inherit');
}

/** Runs a program and keeps its output, standard output and errors together. */
export function keep(command: string, args: readonly string[], options: RunOptions): Promise<Ending> {
  return launch(command, args, options, 'pipe');
}

function launch(
  command: string,
  args: readonly string[],
  options: RunOptions,
  output: 'inherit' | 'pipe',
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', output, output],
      // npm and pnpm are command files on Windows, which only its shell starts
      shell: process.platform === 'win32' && /^p?npm$/.test(command),
    });
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ status: code ?? (signal === null ? 1 : 128), output: Buffer.concat(chunks).toString('utf8') });
    });
  });
}
