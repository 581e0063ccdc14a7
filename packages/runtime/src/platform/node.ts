/** What differs between Node and the browser: here, a name without a scheme is a folder on disk. */
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { CheckpointFiles } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';

/** The folder behind a path. */
export function openPath(path: string): CheckpointFiles {
  return new DirectoryFiles(path);
}

/** The folder behind a `file:` URL. */
export function openFileUrl(url: URL): CheckpointFiles {
  return new DirectoryFiles(fileURLToPath(url));
}

/** Whether there is something at a path: it then goes before a preset of the same name. */
export async function pathExists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
