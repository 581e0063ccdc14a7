/** A checkpoint whose files are in memory, or are files that a visitor chose on a page. */

import { MarianaError } from '../../errors.ts';
import type { ByteSource } from '../source.ts';
import { BlobSource } from '../sources/blob-source.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { type CheckpointFiles, checkFileName } from './checkpoint-files.ts';

/** What a file of `MemoryFiles` may be given as: its bytes, its text, or a browser's `File`. */
export type FileContent = Uint8Array | string | Blob;

/**
 * `CheckpointFiles` from file names and contents:
 * `new MemoryFiles({ 'config.json': '{...}', 'model.safetensors': file })`.
 */
export class MemoryFiles implements CheckpointFiles {
  readonly name: string;
  readonly #files: ReadonlyMap<string, FileContent>;

  /** @throws MarianaError `INVALID_ARGUMENT` for a file name that `checkFileName` refuses. */
  constructor(files: Readonly<Record<string, FileContent>> | ReadonlyMap<string, FileContent>, name = 'memory') {
    this.name = name;
    this.#files = new Map(files instanceof Map ? files : Object.entries(files));
    for (const file of this.#files.keys()) checkFileName(name, file);
  }

  async open(file: string): Promise<ByteSource> {
    checkFileName(this.name, file);
    const content = this.#files.get(file);
    const name = `${this.name}: ${file}`;
    if (content === undefined) {
      throw new MarianaError('FILE_NOT_FOUND', `${name}: there is no such file among those given`, {
        details: { place: this.name, file, files: [...this.#files.keys()] },
      });
    }
    if (typeof content === 'string') return new MemorySource(new TextEncoder().encode(content), name);
    return content instanceof Uint8Array ? new MemorySource(content, name) : new BlobSource(content, name);
  }

  async exists(file: string): Promise<boolean> {
    checkFileName(this.name, file);
    return this.#files.has(file);
  }
}
