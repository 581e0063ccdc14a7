/**
 * The package.json of every published package keeps to the house's form: what users import is what is built, and the
 * exports that are published are those of the workspace without the road to the sources (docs/decisions).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ExportTarget, publicPackages, ROOT, targets, workspacePackages } from './lib/workspace.ts';

const SOURCE = '@mariana/source';
const packages = publicPackages();

test('there are packages to look at', () => {
  expect(packages.map(({ manifest }) => manifest.name)).toContain('@mariana/core');
});

describe.each(packages.map((item) => [item.manifest.name, item] as const))('%s', (_, { folder, manifest }) => {
  test('says what it is and where it runs', () => {
    expect(manifest).toMatchObject({ license: 'MIT', type: 'module', engines: { node: '>=22' } });
    expect(manifest.description).toMatch(/\.$/);
    expect(manifest.publishConfig?.access).toBe('public');
    // What may be left out of a bundle must be said, whether it is nothing, everything or some files.
    expect(manifest.sideEffects).toBeDefined();
  });

  test('publishes the exports and imports of the workspace, without the sources', () => {
    // A package for its command alone has no exports.
    if (manifest.exports === undefined) expect(manifest.bin).toBeDefined();
    expect(manifest.publishConfig?.exports).toEqual(withoutSources(manifest.exports));
    expect(manifest.publishConfig?.imports).toEqual(withoutSources(manifest.imports));
  });

  test('has a source for every entry point that has types', () => {
    for (const [path, target] of Object.entries(manifest.exports ?? {})) {
      const files = targets(target);
      if (!files.some(({ conditions }) => conditions.includes('types'))) continue;
      const source = files.find(({ conditions }) => conditions.includes(SOURCE));
      expect(source, `${path} has no ${SOURCE}`).toBeDefined();
      expect(existsSync(join(folder, source?.file ?? '')), `${path}: ${source?.file}`).toBe(true);
    }
  });

  test('is built, type-checked and tested by the same commands as the others', () => {
    expect(Object.keys(manifest.scripts ?? {})).toEqual(expect.arrayContaining(['build', 'typecheck', 'test']));
  });
});

test('every changeset names packages that exist, and says something', () => {
  const names = new Set(workspacePackages().map(({ manifest }) => manifest.name));
  const folder = join(ROOT, '.changeset');
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md')) {
    const [, head, body] = /^---\n([\s\S]*?)---\n([\s\S]*)$/.exec(readFileSync(join(folder, file), 'utf8')) ?? [];
    expect(head, `${file} has no front matter`).toBeDefined();
    for (const line of (head ?? '').split('\n').filter((text) => text.trim() !== '')) {
      const [, name, bump] = /^["']?([^"':]+)["']?:\s*(\w+)$/.exec(line) ?? [];
      expect(names, `${file}: ${line}`).toContain(name);
      expect(['major', 'minor', 'patch'], `${file}: ${line}`).toContain(bump);
    }
    expect(body?.trim(), `${file} says nothing`).not.toBe('');
  }
});

/** `exports` or `imports` as they are published. */
function withoutSources(table: Record<string, ExportTarget> | undefined): Record<string, ExportTarget> | undefined {
  return table && Object.fromEntries(Object.entries(table).map(([key, target]) => [key, withoutSource(target)]));
}

function withoutSource(target: ExportTarget): ExportTarget {
  return typeof target === 'string'
    ? target
    : (withoutSources(Object.fromEntries(Object.entries(target).filter(([key]) => key !== SOURCE))) as ExportTarget);
}
