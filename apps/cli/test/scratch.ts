/** A folder for what tests write, gone after them; and copies of golden models that tests can damage. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixturePath } from '@mariana/goldens/node';
import { afterAll } from 'vitest';

/** A fresh folder for this test file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mariana-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Copies a golden model to `to`, without its expected values. */
export function copyModel(golden: string, to: string): string {
  cpSync(fixturePath(golden), to, { recursive: true, filter: (path) => !/expected|README/.test(path) });
  return to;
}
