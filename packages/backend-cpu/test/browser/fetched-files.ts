/**
 * The files of a golden folder, each fetched whole and once. Read by ranges, as the runtime reads models, the many small
 * tensors of a golden would cost a request each, again for every test.
 */
import { type ByteSource, type CheckpointFiles, MemorySource, readBytes, UrlFiles } from '@mariana/core';

export class FetchedFiles implements CheckpointFiles {
  readonly name: string;
  readonly #remote: UrlFiles;
  readonly #bytes = new Map<string, Promise<Uint8Array>>();

  constructor(folder: URL) {
    this.#remote = new UrlFiles(folder);
    this.name = this.#remote.name;
  }

  async open(file: string): Promise<ByteSource> {
    let bytes = this.#bytes.get(file);
    if (bytes === undefined) {
      bytes = this.#fetch(file);
      this.#bytes.set(file, bytes);
    }
    return new MemorySource(await bytes, `${this.name}: ${file}`);
  }

  exists(file: string): Promise<boolean> {
    return this.#remote.exists(file);
  }

  async #fetch(file: string): Promise<Uint8Array> {
    const source = await this.#remote.open(file);
    try {
      return await readBytes(source);
    } finally {
      await source.close();
    }
  }
}
