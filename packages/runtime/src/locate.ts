/** From what a caller names (a folder, an address, a preset, files in memory) to a place that can be read. */

import { type CheckpointFiles, isPresetName, MarianaError, type PresetName, UrlFiles } from '@mariana/core';
import { openFileUrl, openPath, pathExists } from '#platform';

/** A folder path (Node) or relative address (browser), a URL, a preset's name, or the files themselves. */
export type ModelLocation = string | URL | CheckpointFiles;

/** @throws MarianaError `INVALID_ARGUMENT` for a URL of another scheme. */
export async function locate(location: ModelLocation): Promise<{ files: CheckpointFiles } | { preset: PresetName }> {
  if (typeof location !== 'string' && !(location instanceof URL)) return { files: location };
  const url = location instanceof URL ? location : parseUrl(location);
  if (url === undefined) {
    const path = location as string;
    if (isPresetName(path) && !(await pathExists(path))) return { preset: path };
    return { files: openPath(path) };
  }
  if (url.protocol === 'file:') return { files: openFileUrl(url) };
  if (url.protocol === 'http:' || url.protocol === 'https:') return { files: new UrlFiles(url) };
  throw new MarianaError('INVALID_ARGUMENT', `${url.href}: models are read from http, https or file addresses`);
}

/** A string with a scheme. `C:\models` has none, though it looks so. */
function parseUrl(text: string): URL | undefined {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(text) ? new URL(text) : undefined;
}
