/** What differs between Node and the browser: here, folders can be read and written. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ByteSink, type CheckpointFiles, MarianaError, type TensorToWrite } from '@mariana/core';
import { DirectoryFiles, writeFileAtomic, writeShardedCheckpoint } from '@mariana/core/node';

/** The files of a folder, which need not exist yet. */
export function openFolder(folder: string): CheckpointFiles {
  return new DirectoryFiles(folder);
}

/** Writes a file that appears whole or not at all. @throws MarianaError `FILE_WRITE_FAILED` */
export async function writeFile(
  folder: string,
  name: string,
  write: (sink: ByteSink) => Promise<unknown>,
): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new MarianaError(
      'FILE_WRITE_FAILED',
      `${folder}: the folder cannot be made; check the path and permissions`,
      {
        cause,
      },
    );
  }
  await writeFileAtomic(join(folder, name), write);
}

/** Writes weights as Hugging Face lays them out. @throws MarianaError `FILE_WRITE_FAILED` */
export async function writeWeights(folder: string, tensors: readonly TensorToWrite[]): Promise<void> {
  await writeShardedCheckpoint(folder, tensors);
}
