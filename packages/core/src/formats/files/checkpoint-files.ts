/**
 * Where a checkpoint lives: a place with a few files in it, found by name. A folder on disk, the address of a folder
 * on a web server, or files in memory; whoever loads a model sees all of them as `CheckpointFiles`.
 */

import { MarianaError } from '../../errors.ts';
import { type ByteSource, readBytes } from '../source.ts';
import { type ParseJsonOptions, parseJson } from './json.ts';

/** The files of one checkpoint: `config.json`, `model.safetensors`, `tokenizer.json` and so on. */
export interface CheckpointFiles {
  /** What to call the place in messages: its path or address. */
  readonly name: string;
  /**
   * Opens a file. File names are relative, with `/` between folders, and cannot lead out of the place.
   *
   * @throws MarianaError `FILE_NOT_FOUND`; `FILE_UNREADABLE` or `FETCH_FAILED` where the medium fails;
   *   `INVALID_ARGUMENT` for a name that is absolute, empty, or leads out (`checkFileName`).
   */
  open(file: string): Promise<ByteSource>;
  /**
   * Whether there is such a file.
   *
   * @throws MarianaError as `open` does, other than for a missing file: "cannot tell" is not "no".
   */
  exists(file: string): Promise<boolean>;
}

/** Whether `file` is a relative path of plain names: no `..`, no drive, no leading `/`, no backslash. */
export function isFileName(file: string): boolean {
  return (
    !/[\\:\0]/.test(file) && file.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  );
}

/** Refuses file names that could lead out of `place`. @throws MarianaError `INVALID_ARGUMENT`. */
export function checkFileName(place: string, file: string): void {
  if (isFileName(file)) return;
  throw new MarianaError(
    'INVALID_ARGUMENT',
    `${place}: ${JSON.stringify(file)} cannot name a file in it; use a relative path with / and without ..`,
    { details: { place, file } },
  );
}

/** How `readText` and `readJson` read. */
export interface ReadTextOptions {
  /** The largest file, in bytes, that is read: 256 MiB by default. A text longer than that is no config or index. */
  maxBytes?: number;
}

/**
 * A UTF-8 text file, without its byte order mark if it has one.
 *
 * @throws MarianaError `CHECKPOINT_CORRUPT` if it is not UTF-8 or longer than `maxBytes`; what `open` and `read` throw.
 */
export async function readText(files: CheckpointFiles, file: string, options: ReadTextOptions = {}): Promise<string> {
  const { maxBytes = 256 * 2 ** 20 } = options;
  const source = await files.open(file);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    if (source.byteLength > maxBytes) {
      throw new MarianaError(
        'CHECKPOINT_CORRUPT',
        `${source.name}: ${source.byteLength} bytes are too many for a text file (at most ${maxBytes}); is it the right file?`,
        { details: { file: source.name, byteLength: source.byteLength, maxBytes } },
      );
    }
    bytes = await readBytes(source);
  } finally {
    await source.close();
  }
  return decodeUtf8(bytes, source.name);
}

/** How `readJson` reads. */
export interface ReadJsonOptions extends ReadTextOptions, ParseJsonOptions {}

/**
 * A JSON file, parsed. Its form is not checked: that is for the reader of that file.
 *
 * @throws MarianaError `CHECKPOINT_CORRUPT` with line and column if it is not JSON; what `readText` throws.
 */
export async function readJson(files: CheckpointFiles, file: string, options: ReadJsonOptions = {}): Promise<unknown> {
  const text = await readText(files, file, options);
  return parseJson(text, `${files.name}: ${file}`, options);
}

/** Text from UTF-8, without a byte order mark. @throws MarianaError `CHECKPOINT_CORRUPT` */
export function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new MarianaError(
      'CHECKPOINT_CORRUPT',
      `${name}: this is not UTF-8 text; the file is damaged or is not what its name says`,
      { cause, details: { file: name } },
    );
  }
}
