/** What differs between Node and the browser: here, a name without a scheme is an address relative to the page. */
import { type CheckpointFiles, MarianaError, UrlFiles } from '@mariana/core';

/** The folder behind an address relative to the page. */
export function openPath(path: string): CheckpointFiles {
  return new UrlFiles(new URL(path.endsWith('/') ? path : `${path}/`, globalThis.location.href));
}

/** Pages cannot read `file:` URLs. */
export function openFileUrl(url: URL): CheckpointFiles {
  throw new MarianaError(
    'FILE_UNREADABLE',
    `${url.href}: a page cannot read files by their path; let the visitor pick the folder and pass its files`,
  );
}

/** A page cannot look; preset names are taken as presets. */
export async function pathExists(_path: string): Promise<boolean | undefined> {
  return undefined;
}

/** A page is not told what memory there is. */
export function hostMemory(): number | undefined {
  return undefined;
}
