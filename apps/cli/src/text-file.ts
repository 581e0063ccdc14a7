/** Text files that a command is given. */
import { decodeUtf8, readBytes } from '@mariana/core';
import { FileSource } from '@mariana/core/node';

/**
 * The text of a UTF-8 file.
 *
 * @throws MarianaError `FILE_NOT_FOUND`, `FILE_UNREADABLE`; `CHECKPOINT_CORRUPT` if it is not UTF-8.
 */
export async function readTextFile(path: string): Promise<string> {
  const source = await FileSource.open(path);
  try {
    return decodeUtf8(await readBytes(source), path);
  } finally {
    await source.close();
  }
}
