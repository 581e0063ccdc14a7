/** The README's program runs as it stands there, and tells the story that the README shows. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('the README shows a program that tells a story', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const program = /^```ts\n(.*?)^```$/ms.exec(readme)![1]!;
  const told = execFileSync(
    process.execPath,
    ['--conditions=@mariana/source', '--input-type=module-typescript', '--eval', `${program}\nprocess.exit(0);`],
    { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' },
  );
  expect(told.length).toBeGreaterThan(200);
  expect(told).toMatch(/^, there was a .*[.!?"]\s*$/s);
});
