/** One safetensors file as a store of tensors. */

import type { ByteSource } from '../source.ts';
import { SliceSource } from '../sources/views.ts';
import { type TensorInfo, TensorStore, tensorMissing } from '../tensor-store.ts';
import { readHeader, type SafetensorsEntry, type SafetensorsHeader } from './header.ts';

/** A safetensors file: `const file = await SafetensorsFile.open(source)`. */
export class SafetensorsFile extends TensorStore {
  readonly name: string;
  /** The strings of the header's `__metadata__`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #source: ByteSource;
  readonly #tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly #names: readonly string[];

  private constructor(source: ByteSource, header: SafetensorsHeader) {
    super();
    this.name = source.name;
    this.metadata = header.metadata;
    this.#source = source;
    this.#tensors = header.tensors;
    this.#names = Object.freeze([...header.tensors.keys()]);
  }

  /**
   * Reads and checks the header of `source`, which the file owns from then on. If that fails, `source` is left open.
   *
   * @throws MarianaError as `readHeader` does.
   */
  static async open(source: ByteSource): Promise<SafetensorsFile> {
    return new SafetensorsFile(source, await readHeader(source));
  }

  names(): readonly string[] {
    return this.#names;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    return this.#entry(name);
  }

  source(name: string): ByteSource {
    const { offset, byteLength } = this.#entry(name);
    return new SliceSource(this.#source, offset, byteLength, `${this.name}: ${name}`);
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  #entry(name: string): SafetensorsEntry {
    const entry = this.#tensors.get(name);
    if (entry === undefined) throw tensorMissing(this, name);
    return entry;
  }
}
