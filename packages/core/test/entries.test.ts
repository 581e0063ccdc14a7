/** The main entry must load in a browser: nothing that it imports, however far down, may come from Node. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { expect, it } from 'vitest';

/** What `entry` imports that is not a file of this package, by following its imports. */
async function packagesBehind(entry: string): Promise<Set<string>> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const code = await readFile(path, 'utf8');
    for (const [, specifier] of code.matchAll(/(?:^|[\s;}])(?:from|import)\s*\(?\s*'([^']+)'/g)) {
      if (specifier!.startsWith('.')) await visit(resolve(dirname(path), specifier!));
      else packages.add(specifier!);
    }
  };
  await visit(entry);
  return packages;
}

it('keeps node: out of the main entry', async () => {
  const source = `${import.meta.dirname}/../src`;
  expect([...(await packagesBehind(`${source}/index.ts`))]).toEqual(['zod']);
  expect(await packagesBehind(`${source}/node.ts`)).toContain('node:fs/promises');
});
