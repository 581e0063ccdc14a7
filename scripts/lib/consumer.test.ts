import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { inspectInstalled, undeclaredImports } from './consumer.ts';
import type { Manifest } from './workspace.ts';

const manifest: Manifest = {
  name: '@mariana/thing',
  dependencies: { zod: '^4.0.0' },
  peerDependencies: { '@scope/engine': '*' },
  imports: { '#platform': { node: './dist/node.js', default: './dist/browser.js' } },
};

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function packed(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'mariana-packed-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

test('an import of a package that is not declared is found, however it is written', () => {
  const code = [
    `import { z } from 'zod/v4';`,
    `import { open } from 'node:fs/promises';`,
    `import './other.js';`,
    `import type { Missing } from '@else/types';`,
    `export * from 'missing/deep/path';`,
    `const engine = await import('@scope/engine');`,
    `const late = await import('late');`,
    `import { self } from '@mariana/thing/node';`,
    `import { files } from '#platform';`,
    `import '#nowhere';`,
  ].join('\n');
  expect(undeclaredImports(code, manifest)).toEqual(['@else/types', 'missing', 'late', '#nowhere']);
});

test('a sound package has no problems', () => {
  const files = {
    'package.json': JSON.stringify({
      ...manifest,
      exports: { '.': './dist/index.js' },
      scripts: { bench: 'node --conditions=@mariana/source bench.ts' },
    }),
    LICENSE: 'MIT',
    'README.md': '# thing',
    'dist/node.js': 'export {};',
    'dist/browser.js': 'export {};',
    'dist/index.js': `import { z } from 'zod';\nexport const a = z;`,
    'dist/index.d.ts': `import { z } from 'zod';\nexport declare const a: typeof z;`,
  };
  expect(inspectInstalled(packed(files))).toEqual([]);
});

test('what the workspace left in a package is named: sources, workspace ranges, undeclared imports, missing papers', () => {
  const files = {
    'package.json': JSON.stringify({
      ...manifest,
      dependencies: { '@mariana/core': 'workspace:^' },
      exports: { '.': { '@mariana/source': './src/index.ts', default: './dist/index.js' } },
    }),
    'dist/node.js': 'export {};',
    'dist/index.js': `import { z } from 'zod';`,
  };
  const problems = inspectInstalled(packed(files)).join('\n');
  for (const part of [
    'workspace:',
    '@mariana/source',
    './src/',
    'LICENSE',
    'README.md',
    'imports zod',
    './dist/browser.js',
  ]) {
    expect(problems).toContain(part);
  }
});
