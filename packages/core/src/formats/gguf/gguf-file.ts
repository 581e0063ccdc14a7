/** One GGUF file as a store of tensors: metadata, and values that are decoded while they are read. */

import { type BlockFormat, isBlockFormat } from '../../dtype/block-formats.ts';
import type { DType } from '../../dtype/dtype.ts';
import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';
import { encodedRows, type FloatRows, storedRows } from '../rows/index.ts';
import type { ByteSource } from '../source.ts';
import { SliceSource } from '../sources/views.ts';
import { type TensorInfo, TensorStore, tensorMissing } from '../tensor-store.ts';
import { DECODABLE_TYPES } from './ggml-types.ts';
import { type GgufHeader, type GgufTensorEntry, readGgufHeader } from './header.ts';
import type { GgufMetadata } from './value.ts';

/**
 * A GGUF file: `const file = await GgufFile.open(source)`. As a `TensorStore` it gives tensors under the names of the
 * file, dense ones as they lie and quantised ones decoded to F32, block by block as they are read.
 */
export class GgufFile extends TensorStore {
  readonly name: string;
  readonly version: 2 | 3;
  readonly metadata: GgufMetadata;
  readonly #source: ByteSource;
  readonly #tensors: ReadonlyMap<string, GgufTensorEntry>;
  readonly #names: readonly string[];

  private constructor(source: ByteSource, header: GgufHeader) {
    super();
    this.name = source.name;
    this.version = header.version;
    this.metadata = header.metadata;
    this.#source = source;
    this.#tensors = header.tensors;
    this.#names = Object.freeze([...header.tensors.keys()]);
  }

  /**
   * Reads and checks the header of `source`, which the file owns from then on. If that fails, `source` is left open.
   *
   * @throws MarianaError as `readGgufHeader` does.
   */
  static async open(source: ByteSource): Promise<GgufFile> {
    return new GgufFile(source, await readGgufHeader(source));
  }

  names(): readonly string[] {
    return this.#names;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** How a tensor is stored: type, shape and place. @throws MarianaError `TENSOR_MISSING` */
  entry(name: string): GgufTensorEntry {
    const entry = this.#tensors.get(name);
    if (entry === undefined) throw tensorMissing(this, name);
    return entry;
  }

  /** @throws MarianaError `TENSOR_MISSING`; `TENSOR_MISMATCH` for a type that cannot be decoded. */
  info(name: string): TensorInfo {
    const entry = this.entry(name);
    const dtype = this.#dtype(entry);
    return { name, dtype, shape: entry.shape, byteLength: this.source(name).byteLength, file: this.name };
  }

  /**
   * The values of a tensor: the bytes of a dense one, F32 for a quantised one.
   *
   * @throws MarianaError `TENSOR_MISSING`; `TENSOR_MISMATCH` for a type that cannot be decoded.
   */
  source(name: string): ByteSource {
    return isBlockFormat(this.#format(this.entry(name))) ? encodedRows(this.rows(name), 'f32') : this.stored(name);
  }

  /** The bytes of a tensor as they lie, whatever its type. @throws MarianaError `TENSOR_MISSING` */
  stored(name: string): ByteSource {
    const { offset, byteLength } = this.entry(name);
    return new SliceSource(this.#source, offset, byteLength, `${this.name}: ${name}`);
  }

  /**
   * The rows of a tensor in float32: all dimensions but the innermost run together.
   *
   * @throws MarianaError `TENSOR_MISSING`; `TENSOR_MISMATCH` for a type that cannot be decoded.
   */
  rows(name: string): FloatRows {
    const entry = this.entry(name);
    const columns = entry.shape.at(-1) ?? 1;
    const rows = entry.shape.slice(0, -1).reduce((product, size) => product * size, 1);
    return storedRows(this.#format(entry), this.stored(name), rows, columns);
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  #dtype(entry: GgufTensorEntry): DType {
    const format = this.#format(entry);
    return isBlockFormat(format) ? 'f32' : format;
  }

  #format({ name, type }: GgufTensorEntry): DType | BlockFormat {
    if (type.format !== null) return type.format;
    throw new MarianaError(
      'TENSOR_MISMATCH',
      `${this.name}: tensor ${quote(name)} is ${type.name}, which is not decoded; ` +
        `quantise the model to one of ${DECODABLE_TYPES.join(', ')}`,
      { details: { file: this.name, tensor: name, type: type.name } },
    );
  }
}
