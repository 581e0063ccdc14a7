/** Opens the fixtures from disk, for tests that run in Node. */
import { fileURLToPath } from 'node:url';
import { DirectoryFiles } from '@mariana/core/node';

/** The folder of one golden model. */
export function fixturePath(folder: string): string {
  return fileURLToPath(new URL(`../fixtures/${folder}`, import.meta.url));
}

/** The files of one golden model. */
export async function openFixture(folder: string): Promise<DirectoryFiles> {
  return new DirectoryFiles(fixturePath(folder));
}
