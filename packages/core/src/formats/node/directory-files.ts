/** A checkpoint in a folder on disk, for Node. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CheckpointFiles, checkFileName } from '../files/checkpoint-files.ts';
import type { ByteSource } from '../source.ts';
import { errno, readError } from './file-errors.ts';
import { FileSource } from './file-source.ts';

/**
 * `CheckpointFiles` in a folder. Names cannot lead out of it, but its files may be symbolic links, as in the cache of
 * the Hugging Face hub. A folder that does not exist has no files: opening one says so.
 */
export class DirectoryFiles implements CheckpointFiles {
  readonly name: string;

  constructor(path: string) {
    this.name = path;
  }

  async open(file: string): Promise<ByteSource> {
    checkFileName(this.name, file);
    return FileSource.open(join(this.name, file));
  }

  async exists(file: string): Promise<boolean> {
    checkFileName(this.name, file);
    const path = join(this.name, file);
    try {
      return (await stat(path)).isFile();
    } catch (cause) {
      if (errno(cause) === 'ENOENT' || errno(cause) === 'ENOTDIR') return false;
      throw readError(path, cause);
    }
  }
}
