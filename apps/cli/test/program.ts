/** Starts the program as a user would, from its sources, and tells what came of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Outcome {
  /** The exit code; null if a signal ended the program. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const BATCH = fileURLToPath(new URL('./batch.ts', import.meta.url));
const CACHE = fileURLToPath(new URL('../.cache/compiled', import.meta.url));

/** A guard against programs that never end; no test takes a tenth of it. */
const LIMIT_MS = 100_000;

/** Runs `mariana` with `args`; `input` is its standard input. */
export function mariana(args: readonly string[], input = ''): Promise<Outcome> {
  return finish(start(args), input);
}

/** Starts `mariana` with `args`, for a test that does something with it while it runs. */
export function start(args: readonly string[]): ChildProcess {
  return startNode([MAIN, ...args]);
}

/** Runs several command lines in one process. */
export async function batch(cases: readonly (readonly string[])[]): Promise<Outcome[]> {
  const { code, stdout, stderr } = await finish(startNode([BATCH]), JSON.stringify(cases));
  if (code !== 0) throw new Error(`the batch ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Waits for a program to end. */
export function finish(child: ChildProcess, input = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (part) => {
      stdout += part;
    });
    child.stderr?.setEncoding('utf8').on('data', (part) => {
      stderr += part;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === 'SIGKILL')
        reject(new Error(`the program did not end by itself; it had printed: ${stdout}${stderr}`));
      else resolve({ code, stdout, stderr });
    });
    child.stdin?.on('error', () => {}); // a program that does not read its input closes it
    child.stdin?.end(input);
  });
}

/** The one JSON object that a program printed. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into results of many forms
export function json(outcome: Outcome): any {
  if (outcome.code !== 0) throw new Error(`exit code ${outcome.code}: ${outcome.stderr}`);
  return JSON.parse(outcome.stdout);
}

function startNode(args: readonly string[]): ChildProcess {
  const env = { ...process.env, NODE_COMPILE_CACHE: CACHE, NO_COLOR: '1' };
  return spawn(process.execPath, ['--conditions=@mariana/source', ...args], {
    env,
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
}
