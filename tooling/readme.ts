/**
 * Runs the examples of a README, so that what it shows works: each TypeScript block is a program of its own, run by
 * Node in the package's folder with the workspace's packages resolved from source.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The TypeScript blocks of a Markdown file, in order. */
export async function readmeExamples(readme: URL): Promise<string[]> {
  const text = await readFile(readme, 'utf8');
  return Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), ([, code]) => code!);
}

/**
 * Runs a program in the folder of a README.
 *
 * @returns what it printed
 * @throws Error with the program's own output if it fails or takes more than a minute
 */
export async function runExample(readme: URL, program: string): Promise<string> {
  const args = ['--conditions=@mariana/source', '--input-type=module-typescript', '--eval', program];
  const options = { cwd: dirname(fileURLToPath(readme)), timeout: 60_000 };
  const { stdout } = await promisify(execFile)(process.execPath, args, options);
  return stdout;
}
