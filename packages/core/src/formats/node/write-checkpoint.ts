/** Checkpoints written to disk as Hugging Face lays them out, and GGUF files, for Node. */

import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type GgufContent, writeGguf } from '../gguf/writer.ts';
import { INDEX_FILE, SINGLE_FILE } from '../safetensors/shard-index.ts';
import { planShards } from '../safetensors/shards.ts';
import { type TensorToWrite, type WriteSafetensorsOptions, writeSafetensors } from '../safetensors/writer.ts';
import { type PendingFile, prepareFile, syncFolder, writeFileAtomic } from './atomic-write.ts';
import { writeError } from './file-errors.ts';

/**
 * Writes one safetensors file. It appears whole or not at all: see `writeFileAtomic`.
 *
 * @throws MarianaError as `writeSafetensors` and `writeFileAtomic`.
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteSafetensorsOptions = {},
): Promise<void> {
  await writeFileAtomic(path, (sink) => writeSafetensors(sink, tensors, options));
}

/**
 * Writes one GGUF file. It appears whole or not at all: see `writeFileAtomic`.
 *
 * @returns its length in bytes
 * @throws MarianaError as `writeGguf` and `writeFileAtomic`.
 */
export async function writeGgufFile(path: string, content: GgufContent): Promise<number> {
  let length = 0;
  await writeFileAtomic(path, async (sink) => {
    length = await writeGguf(sink, content);
  });
  return length;
}

/** How `writeShardedCheckpoint` writes. */
export interface WriteCheckpointOptions extends WriteSafetensorsOptions {
  /** The most bytes of values in one file, unless a single tensor has more; 5,000,000,000 by default. */
  maxShardBytes?: number;
}

/** What `writeShardedCheckpoint` wrote. */
export interface WrittenCheckpoint {
  /** Names of the files, the index last. */
  readonly files: readonly string[];
  /** Bytes of all values. */
  readonly totalBytes: number;
}

/**
 * Writes the weights of a model into `folder`, which is made if need be: `model.safetensors`, or several files and
 * `model.safetensors.index.json` if `maxShardBytes` asks for that. `metadata` is `{ format: 'pt' }` by default, which
 * other tools want to see.
 *
 * A checkpoint that was there is replaced only once the new one is complete on the disk: all files are written under
 * temporary names first, then renamed, then weight files of the old one that are not part of the new one are removed.
 * If writing fails the old checkpoint is untouched. (Only a crash within the renaming can leave a mixture.)
 *
 * @throws MarianaError `FILE_WRITE_FAILED`; as `planShards` and `writeSafetensors`.
 */
export async function writeShardedCheckpoint(
  folder: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteCheckpointOptions = {},
): Promise<WrittenCheckpoint> {
  const { maxShardBytes = 5e9, metadata = { format: 'pt' }, order = 'aligned' } = options;
  const plan = planShards(tensors, maxShardBytes);
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw writeError(folder, cause);
  });
  const pending: PendingFile[] = [];
  try {
    for (const file of plan.files) {
      pending.push(
        await prepareFile(join(folder, file.name), (sink) => writeSafetensors(sink, file.tensors, { metadata, order })),
      );
    }
    if (plan.index !== undefined) {
      const json = new TextEncoder().encode(`${JSON.stringify(plan.index, null, 2)}\n`);
      pending.push(await prepareFile(join(folder, INDEX_FILE), (sink) => sink.write(json)));
    }
    for (const file of pending) await file.commit();
  } catch (error) {
    await Promise.all(pending.map((file) => file.discard()));
    throw error;
  }
  const files = [...plan.files.map((file) => file.name), ...(plan.index === undefined ? [] : [INDEX_FILE])];
  await removeOldWeights(folder, new Set(files));
  await syncFolder(folder);
  return { files, totalBytes: plan.totalBytes };
}

/** Removes weight files that a checkpoint of other files left: a reader might take them for the weights. */
async function removeOldWeights(folder: string, kept: ReadonlySet<string>): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      const isWeights =
        name === SINGLE_FILE || name === INDEX_FILE || /^model-\d{5}-of-\d{5,6}\.safetensors$/.test(name);
      if (isWeights && !kept.has(name)) await rm(join(folder, name), { force: true });
    }
  } catch (cause) {
    throw writeError(folder, cause);
  }
}
