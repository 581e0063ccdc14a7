/** From what a caller names (a folder, a GGUF file, an address, a preset, files in memory) to a place that can be read. */

import {
  type CheckpointFiles,
  INDEX_FILE,
  isPresetName,
  MarianaError,
  type PresetName,
  presetNames,
  SINGLE_FILE,
  UrlFiles,
} from '@mariana/core';
import { listFolder, openFolderOf, openPath, pathExists, pathOfFileUrl } from '#platform';
import { fileAt } from './file-at.ts';

/**
 * A path (Node) or address relative to the page (browser), a URL, a preset's name, or the files themselves. Paths and
 * URLs are those of a folder in Hugging Face's layout or of a file `*.gguf`; a folder on disk may also hold one GGUF file
 * and no safetensors; files in memory may be one called `model.gguf`.
 */
export type ModelLocation = string | URL | CheckpointFiles;

/** Where a model is to be read from. */
export type Place = PlaceOfFiles | { readonly preset: PresetName };

/** A place with files in it. */
interface PlaceOfFiles {
  readonly files: CheckpointFiles;
  /** The file among them that is the model, if that is a GGUF file. */
  readonly gguf?: string;
}

/** What a GGUF file is called where nobody can list the files. */
const GGUF_FILE = 'model.gguf';

/**
 * @throws MarianaError `INVALID_ARGUMENT` for a URL of another scheme or none at all, or a folder of several GGUF files;
 *   `FILE_NOT_FOUND` if there is neither a folder or file nor a preset of that name.
 */
export async function locate(location: ModelLocation): Promise<Place> {
  if (typeof location !== 'string' && !(location instanceof URL)) return locateFiles(location);
  const url = location instanceof URL ? location : parseUrl(location);
  if (url === undefined) {
    const path = location as string;
    const exists = await pathExists(path);
    if (isPresetName(path) && exists !== true) return { preset: path };
    if (exists !== false) return locatePath(path);
    throw new MarianaError(
      'FILE_NOT_FOUND',
      `${path}: there is no such folder or file, and no preset of that name; presets are ${presetNames.join(', ')}`,
      { details: { path, presetNames } },
    );
  }
  if (url.protocol === 'file:') return locatePath(pathOfFileUrl(url));
  if (url.protocol === 'http:' || url.protocol === 'https:') {
    return isGguf(url.pathname) ? ggufIn(fileAt(url)) : { files: new UrlFiles(url) };
  }
  throw new MarianaError('INVALID_ARGUMENT', `${url.href}: models are read from http, https or file addresses`);
}

async function locatePath(path: string): Promise<PlaceOfFiles> {
  if (isGguf(path)) return ggufIn(openFolderOf(path));
  const files = openPath(path);
  const names = await listFolder(path);
  const ggufs = names.filter(isGguf);
  if (ggufs.length === 0 || names.includes(SINGLE_FILE) || names.includes(INDEX_FILE)) return { files };
  if (ggufs.length === 1) return { files, gguf: ggufs[0]! };
  throw new MarianaError(
    'INVALID_ARGUMENT',
    `${path}: there are ${ggufs.length} GGUF files in it; name one of them, such as ${ggufs.sort()[0]}`,
    { details: { path, files: ggufs } },
  );
}

async function locateFiles(files: CheckpointFiles): Promise<PlaceOfFiles> {
  return (await files.exists(GGUF_FILE)) ? { files, gguf: GGUF_FILE } : { files };
}

function ggufIn({ files, file }: { files: CheckpointFiles; file: string }): PlaceOfFiles {
  return { files, gguf: file };
}

function isGguf(name: string): boolean {
  return /\.gguf$/i.test(name);
}

/** A string with a scheme. `C:\models` has none, though it looks so. */
function parseUrl(text: string): URL | undefined {
  if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) return undefined;
  if (URL.canParse(text)) return new URL(text);
  throw new MarianaError('INVALID_ARGUMENT', `${text}: this is no address; write it as https://host/folder`);
}
