/** Every example runs as a reader would run it, and the README shows them as they are. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { readmeExamples } from '../../tooling/readme.ts';

const ROOT_README = new URL('../../README.md', import.meta.url);

async function run(example: string): Promise<string> {
  const file = fileURLToPath(new URL(`../${example}/index.ts`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@mariana/source', file]);
  return stdout;
}

test('generate streams text, the same for the same seed', async () => {
  const text = await run('generate');
  expect(text.length).toBeGreaterThan(10);
  expect(await run('generate')).toBe(text);
});

test('one-layer attends alone', async () => {
  expect(await run('one-layer')).toBe('[ 3, 64 ] [ 1, 64 ] 4 tokens cached, 40 numbers each\n');
});

test('swap-backend gives the same numbers', async () => {
  expect(await run('swap-backend')).toBe('256 logits, at most 1e-5 apart\n');
});

test.each(['generate', 'one-layer', 'swap-backend'])('the README shows %s as it is', async (example) => {
  const source = await readFile(new URL(`../${example}/index.ts`, import.meta.url), 'utf8');
  expect(await readmeExamples(ROOT_README)).toContain(source.slice(source.indexOf('import')));
});

test('the README shows nothing else', async () => {
  expect(await readmeExamples(ROOT_README)).toHaveLength(3);
});
