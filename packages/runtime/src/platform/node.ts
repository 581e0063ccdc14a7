/** What differs between Node and the browser: here, a name without a scheme is a folder on disk. */
import { readdir, stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CheckpointFiles } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';

/** The folder behind a path. */
export function openPath(path: string): CheckpointFiles {
  return new DirectoryFiles(path);
}

/** The path behind a `file:` URL. */
export function pathOfFileUrl(url: URL): string {
  return fileURLToPath(url);
}

/** The folder that a file lies in, and its name there. */
export function openFolderOf(path: string): { files: CheckpointFiles; file: string } {
  return { files: new DirectoryFiles(dirname(path)), file: basename(path) };
}

/** The names in a folder; none for what cannot be listed, which is then for whoever opens it to say. */
export async function listFolder(path: string): Promise<readonly string[]> {
  return readdir(path).catch(() => []);
}

/** Whether there is something at a path; undefined if that cannot be told, which is then for whoever opens it to say. */
export async function pathExists(path: string): Promise<boolean | undefined> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ENOENT' || code === 'ENOTDIR' ? false : undefined;
  }
}

/** Bytes of memory that this process can ever have: those of the machine, or fewer where it is confined. */
export function hostMemory(): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
