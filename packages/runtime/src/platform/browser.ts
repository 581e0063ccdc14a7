/** What differs between Node and the browser: here, a name without a scheme is an address relative to the page. */
import { type CheckpointFiles, MarianaError, UrlFiles } from '@mariana/core';
import { fileAt } from '../file-at.ts';

/** The folder behind an address relative to the page. */
export function openPath(path: string): CheckpointFiles {
  return new UrlFiles(new URL(path.endsWith('/') ? path : `${path}/`, globalThis.location.href));
}

/** Pages cannot read `file:` URLs. */
export function pathOfFileUrl(url: URL): string {
  throw new MarianaError(
    'FILE_UNREADABLE',
    `${url.href}: a page cannot read files by their path; let the visitor pick the folder and pass its files`,
  );
}

/** The folder that a file lies in, and its name there. */
export function openFolderOf(path: string): { files: CheckpointFiles; file: string } {
  return fileAt(new URL(path, globalThis.location.href));
}

/** A page cannot list folders. */
export async function listFolder(_path: string): Promise<readonly string[]> {
  return [];
}

/** A page cannot look; preset names are taken as presets. */
export async function pathExists(_path: string): Promise<boolean | undefined> {
  return undefined;
}

/** A page is not told what memory there is. */
export function hostMemory(): number | undefined {
  return undefined;
}
