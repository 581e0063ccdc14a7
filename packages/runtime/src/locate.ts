/** From what a caller names (a folder, an address, a preset, files in memory) to a place that can be read. */

import {
  type CheckpointFiles,
  isPresetName,
  MarianaError,
  type PresetName,
  presetNames,
  UrlFiles,
} from '@mariana/core';
import { openFileUrl, openPath, pathExists } from '#platform';

/** A folder path (Node) or relative address (browser), a URL, a preset's name, or the files themselves. */
export type ModelLocation = string | URL | CheckpointFiles;

/**
 * @throws MarianaError `INVALID_ARGUMENT` for a URL of another scheme or none at all; `FILE_NOT_FOUND` if there is
 *   neither a folder nor a preset of that name.
 */
export async function locate(location: ModelLocation): Promise<{ files: CheckpointFiles } | { preset: PresetName }> {
  if (typeof location !== 'string' && !(location instanceof URL)) return { files: location };
  const url = location instanceof URL ? location : parseUrl(location);
  if (url === undefined) {
    const path = location as string;
    const exists = await pathExists(path);
    if (isPresetName(path) && exists !== true) return { preset: path };
    if (exists !== false) return { files: openPath(path) };
    throw new MarianaError(
      'FILE_NOT_FOUND',
      `${path}: there is no such folder, and no preset of that name; presets are ${presetNames.join(', ')}`,
      { details: { path, presetNames } },
    );
  }
  if (url.protocol === 'file:') return { files: openFileUrl(url) };
  if (url.protocol === 'http:' || url.protocol === 'https:') return { files: new UrlFiles(url) };
  throw new MarianaError('INVALID_ARGUMENT', `${url.href}: models are read from http, https or file addresses`);
}

/** A string with a scheme. `C:\models` has none, though it looks so. */
function parseUrl(text: string): URL | undefined {
  if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) return undefined;
  if (URL.canParse(text)) return new URL(text);
  throw new MarianaError('INVALID_ARGUMENT', `${text}: this is no address; write it as https://host/folder`);
}
