/**
 * The weights of a model as Hugging Face lays them out: one `model.safetensors`, or many files and an index. Opening
 * reads all headers, at the same time, and checks that index and files agree; values are read when asked for.
 */

import { MarianaError } from '../../errors.ts';
import { type CheckpointFiles, readJson } from '../files/checkpoint-files.ts';
import { quote } from '../quote.ts';
import type { ByteSource } from '../source.ts';
import { type TensorInfo, TensorStore, tensorMissing } from '../tensor-store.ts';
import { SafetensorsFile } from './safetensors-file.ts';
import { corruptIndex, INDEX_FILE, parseShardIndex, SINGLE_FILE } from './shard-index.ts';

/** How many files are opened at the same time. */
const CONCURRENT_OPENS = 16;

/** The tensors of a checkpoint: `const checkpoint = await Checkpoint.open(files)`. */
export class Checkpoint extends TensorStore {
  readonly name: string;
  readonly #files: readonly SafetensorsFile[];
  readonly #fileOf: ReadonlyMap<string, SafetensorsFile>;
  readonly #names: readonly string[];

  private constructor(name: string, files: readonly SafetensorsFile[], fileOf: ReadonlyMap<string, SafetensorsFile>) {
    super();
    this.name = name;
    this.#files = files;
    this.#fileOf = fileOf;
    this.#names = Object.freeze([...fileOf.keys()]);
  }

  /**
   * Opens the weights in `files`: `model.safetensors` if there is one, else what `model.safetensors.index.json` lists.
   *
   * @throws MarianaError `FILE_NOT_FOUND` if there are neither, or if a file of the index is missing;
   *   `CHECKPOINT_CORRUPT` if the index is damaged or names files elsewhere, if index and files disagree on which
   *   tensors there are, or if two files hold the same tensor; whatever `readHeader` and the medium throw. Nothing is
   *   left open then.
   */
  static async open(files: CheckpointFiles): Promise<Checkpoint> {
    if (await files.exists(SINGLE_FILE)) {
      const [file] = await openAll(files, [SINGLE_FILE]);
      return new Checkpoint(files.name, [file!], new Map(file!.names().map((tensor) => [tensor, file!])));
    }
    if (!(await files.exists(INDEX_FILE))) {
      throw new MarianaError(
        'FILE_NOT_FOUND',
        `${files.name}: there is neither ${SINGLE_FILE} nor ${INDEX_FILE}; give the folder of a checkpoint in safetensors`,
        { details: { place: files.name } },
      );
    }
    const indexName = `${files.name}: ${INDEX_FILE}`;
    const index = parseShardIndex(await readJson(files, INDEX_FILE, { uniqueKeys: true }), indexName);
    const shardNames = [...new Set(index.values())].sort();
    const shards = await openAll(files, shardNames);
    try {
      return new Checkpoint(files.name, shards, matchIndex(index, indexName, shardNames, shards));
    } catch (error) {
      await Promise.all(shards.map((shard) => shard.close()));
      throw error;
    }
  }

  names(): readonly string[] {
    return this.#names;
  }

  has(name: string): boolean {
    return this.#fileOf.has(name);
  }

  info(name: string): TensorInfo {
    return this.#fileWith(name).info(name);
  }

  source(name: string): ByteSource {
    return this.#fileWith(name).source(name);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  #fileWith(name: string): SafetensorsFile {
    const file = this.#fileOf.get(name);
    if (file === undefined) throw tensorMissing(this, name);
    return file;
  }
}

/** Opens several safetensors files, a few at a time; all or none. */
async function openAll(files: CheckpointFiles, names: readonly string[]): Promise<SafetensorsFile[]> {
  const opened: SafetensorsFile[] = [];
  const failures: { readonly index: number; readonly error: unknown }[] = [];
  let next = 0;
  const worker = async () => {
    while (next < names.length && failures.length === 0) {
      const index = next++;
      try {
        opened[index] = await openOne(files, names[index]!);
      } catch (error) {
        failures.push({ index, error });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENT_OPENS, names.length) }, worker));
  if (failures.length === 0) return opened;
  await Promise.all(opened.map((file) => file.close()));
  // The first by name, so that the same checkpoint gives the same message whatever file failed first.
  failures.sort((a, b) => a.index - b.index);
  throw failures[0]!.error;
}

async function openOne(files: CheckpointFiles, name: string): Promise<SafetensorsFile> {
  const source = await files.open(name);
  try {
    return await SafetensorsFile.open(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Which shard holds each tensor, after checking that the index and the headers tell the same. */
function matchIndex(
  index: ReadonlyMap<string, string>,
  indexName: string,
  shardNames: readonly string[],
  shards: readonly SafetensorsFile[],
): ReadonlyMap<string, SafetensorsFile> {
  const fileOf = new Map<string, SafetensorsFile>();
  for (const [i, shard] of shards.entries()) {
    for (const tensor of shard.names()) {
      const other = fileOf.get(tensor);
      if (other !== undefined) {
        throw corruptIndex(indexName, `tensor ${quote(tensor)} is in two files, ${other.name} and ${shard.name}`);
      }
      const told = index.get(tensor);
      if (told !== shardNames[i]) {
        throw corruptIndex(
          indexName,
          `tensor ${quote(tensor)} is in ${shard.name}, but the index ${told === undefined ? 'does not list it' : `places it in ${quote(told)}`}`,
        );
      }
      fileOf.set(tensor, shard);
    }
  }
  for (const [tensor, file] of index) {
    if (!fileOf.has(tensor)) {
      throw corruptIndex(
        indexName,
        `the index places tensor ${quote(tensor)} in ${quote(file)}, which does not have it`,
      );
    }
  }
  return fileOf;
}
