/** What differs between Node and the browser: here, there are no folders. */
import { type ByteSink, type CheckpointFiles, MarianaError, type TensorToWrite } from '@mariana/core';

function noFolders(folder: string): MarianaError {
  return new MarianaError(
    'FILE_WRITE_FAILED',
    `${folder}: a page has no folders; use writeState and exportTensors, and offer the bytes for download`,
  );
}

export function openFolder(folder: string): CheckpointFiles {
  throw noFolders(folder);
}

export async function writeFile(
  folder: string,
  _name: string,
  _write: (sink: ByteSink) => Promise<unknown>,
): Promise<void> {
  throw noFolders(folder);
}

export async function writeWeights(folder: string, _tensors: readonly TensorToWrite[]): Promise<void> {
  throw noFolders(folder);
}
