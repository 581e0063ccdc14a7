/**
 * Files that appear whole or not at all. A file is written beside its destination under another name, forced to the
 * disk, and only then given its name; if anything fails before, what was there stays, and the unfinished file is
 * removed.
 */

import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ByteSink } from '../sink.ts';
import { writeError } from './file-errors.ts';

/** A file that is written completely but does not have its name yet. */
export interface PendingFile {
  readonly path: string;
  /** Gives the file its name, replacing what had it. @throws MarianaError `FILE_WRITE_FAILED` */
  commit(): Promise<void>;
  /** Removes the file; after `commit`, does nothing. */
  discard(): Promise<void>;
}

/**
 * Writes a file so that `path` never names half of one.
 *
 * @param write puts out the bytes; the file is finished when its promise resolves
 * @throws MarianaError `FILE_WRITE_FAILED`, for a full disk or missing permission, say; whatever `write` throws. What
 *   `path` named before is then unchanged.
 */
export async function writeFileAtomic(path: string, write: (sink: ByteSink) => Promise<unknown>): Promise<void> {
  const pending = await prepareFile(path, write);
  try {
    await pending.commit();
  } catch (error) {
    await pending.discard();
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * The first half of `writeFileAtomic`: the bytes are on the disk, under a temporary name in the folder of `path`.
 *
 * @throws MarianaError as `writeFileAtomic`.
 */
export async function prepareFile(path: string, write: (sink: ByteSink) => Promise<unknown>): Promise<PendingFile> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`);
  let handle: FileHandle;
  try {
    handle = await open(temporary, 'wx');
  } catch (cause) {
    throw writeError(path, cause);
  }
  try {
    try {
      await write({ write: (bytes) => writeAll(handle, bytes, path) });
      await attempt(path, () => handle.sync());
    } finally {
      await attempt(path, () => handle.close());
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  let done = false;
  return {
    path,
    async commit() {
      await attempt(path, () => rename(temporary, path));
      done = true;
    },
    async discard() {
      if (!done) await rm(temporary, { force: true });
    },
  };
}

/** Forces the names in a folder to the disk, where the system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there; NTFS keeps a journal of names
  await attempt(folder, async () => {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** One call may take fewer bytes than it is given (a disk that is nearly full, more than 2 GiB at once). */
async function writeAll(handle: FileHandle, bytes: Uint8Array, path: string): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await attempt(path, () =>
      handle.write(bytes, done, Math.min(bytes.byteLength - done, 2 ** 30)),
    );
    done += bytesWritten;
  }
}

async function attempt<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw writeError(path, cause);
  }
}
