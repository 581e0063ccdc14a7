/** Documents from the disk: text files, JSONL files, and folders of them, read piece by piece in an order of their own. */
import { type Dirent, promises } from 'node:fs';
import { join } from 'node:path';
import { MarianaError } from '@mariana/core';
import { FileSource } from '@mariana/core/node';
import { type DocumentPiece, jsonlDocuments, textDocument } from '../documents.ts';

const JSONL = /\.(jsonl|ndjson)$/i;
/** What is taken from folders; a file that is named itself may be called anything. */
const DATA = /\.(txt|jsonl|ndjson)$/i;
/** Bytes read at once. */
const CHUNK = 2 ** 20;

export interface ReadDocumentsOptions {
  /** Key of the text in JSONL files. Default `text`. */
  readonly field?: string;
}

/**
 * The documents of files and folders, one after the other.
 *
 * A `.jsonl` or `.ndjson` file has a document on each line, any other file is one. Of a folder, and of the folders in it,
 * the `.txt`, `.jsonl` and `.ndjson` files are read in the order of their paths by code units, the same on every
 * machine; names that begin with a dot are left out.
 *
 * @throws MarianaError `FILE_NOT_FOUND`, `FILE_UNREADABLE`; `DATA_INVALID` for a folder without such files, a file that
 *   is not UTF-8, or a line without a text.
 */
export async function* readDocuments(
  paths: string | readonly string[],
  { field = 'text' }: ReadDocumentsOptions = {},
): AsyncGenerator<DocumentPiece, void, undefined> {
  const files: string[] = [];
  for (const path of [paths].flat()) files.push(...(await filesAt(path)));
  for (const file of files) {
    const source = await FileSource.open(file);
    try {
      yield* JSONL.test(file) ? jsonlDocuments(chunks(source), file, field) : textDocument(chunks(source), file);
    } finally {
      await source.close();
    }
  }
}

async function filesAt(path: string): Promise<string[]> {
  const isFolder = await promises.stat(path).then(
    (found) => found.isDirectory(),
    () => false, // opening it says what is wrong with it
  );
  if (!isFolder) return [path];
  const files = await filesIn(path);
  if (files.length > 0) return files.sort(byCodeUnits);
  throw new MarianaError(
    'DATA_INVALID',
    `${path}: there are no .txt, .jsonl or .ndjson files in this folder; name the files to learn from`,
    { details: { source: path } },
  );
}

async function filesIn(folder: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await promises.readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new MarianaError('FILE_UNREADABLE', `${folder}: this folder cannot be read (${String(cause)})`, { cause });
  }
  const nested = entries
    .filter(({ name }) => !name.startsWith('.'))
    .map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesIn(path);
      return DATA.test(entry.name) ? [path] : [];
    });
  return (await Promise.all(nested)).flat();
}

const byCodeUnits = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

async function* chunks(source: FileSource): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < source.byteLength; offset += CHUNK) {
    const chunk = new Uint8Array(Math.min(CHUNK, source.byteLength - offset));
    await source.read(offset, chunk);
    yield chunk;
  }
}
