/** The README's programs run as they stand there, as modules of their own, and print what a reader would expect. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DEEPSEEK_FOLDER } from './deepseek.ts';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

function codeBlocks(): string[] {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  return Array.from(readme.matchAll(/^```ts\n(.*?)^```$/gms), (match) => match[1]!);
}

function run(program: string): string {
  const options = ['--conditions=@mariana/source', '--input-type=module-typescript', '--eval', program];
  return execFileSync(process.execPath, options, { cwd: PACKAGE, encoding: 'utf8' });
}

describe('the README', () => {
  const [example, checkpoint, ...more] = codeBlocks();

  it('shows two programs', () => {
    expect(more).toEqual([]);
  });

  it('trains, encodes and streams', () => {
    expect(run(example!)).toBe('the cat 🐈');
  });

  it('reads a checkpoint', () => {
    const output = run(checkpoint!.replace('./DeepSeek-V3', DEEPSEEK_FOLDER));
    expect(output).toMatch(
      /^<｜begin▁of▁sentence｜><｜User｜>Hello!<｜Assistant｜> \[\s*0,\s*128803,\s*19923,\s*3,\s*128804\s*\] \[ 1 \]\n$/,
    );
  });
});
