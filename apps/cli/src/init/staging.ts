/**
 * A folder that is filled whole or not at all. New files are written into a folder of their own inside it, and moved to
 * their places once all of them are on the disk, which takes no more space and almost no time. Until then whatever was
 * there stays; if anything fails, nothing is left behind.
 */
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MarianaError } from '@mariana/core';

/** Weight files, which must not be left beside those of another model. */
const WEIGHTS = /^model(-\d{5}-of-\d{5,6})?\.safetensors(\.index\.json)?$/;

/**
 * Fills `folder` with the files that `write` puts into the folder it is given.
 *
 * @param options.force - Write also where there are files: those of the same names are replaced, old weights removed.
 * @throws MarianaError `USAGE` for a folder with files in it and no `force`; `FILE_WRITE_FAILED`; what `write` throws.
 */
export async function fillFolder(
  folder: string,
  { force }: { readonly force: boolean },
  write: (stage: string) => Promise<void>,
): Promise<void> {
  const before = await namesIn(folder);
  if (before.length > 0 && !force) {
    throw new MarianaError('USAGE', `${folder}: there are files in it; choose another folder, or add --force`, {
      details: { folder },
    });
  }
  const made = await attempt(folder, () => mkdir(folder, { recursive: true }));
  const stage = join(folder, `.mariana-init-${process.pid}-${crypto.randomUUID().slice(0, 8)}`);
  try {
    await attempt(stage, () => mkdir(stage));
    await write(stage);
    const after = await readdir(stage);
    for (const name of before) {
      if (WEIGHTS.test(name) && !after.includes(name)) await attempt(folder, () => rm(join(folder, name)));
    }
    for (const name of after) await attempt(folder, () => rename(join(stage, name), join(folder, name)));
    await attempt(folder, () => rmdir(stage));
  } catch (error) {
    await rm(stage, { recursive: true, force: true });
    if (made !== undefined) await removeMade(resolve(folder), resolve(made));
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    const what = cause.code === 'ENOTDIR' ? 'this is a file, a folder was expected' : `cannot be read (${cause.code})`;
    throw new MarianaError('FILE_WRITE_FAILED', `${folder}: ${what}; choose another place`, {
      cause,
      details: { folder },
    });
  });
}

/** Removes the folders that were made, from the innermost to the outermost, unless something came into them. */
async function removeMade(folder: string, outermost: string): Promise<void> {
  for (let path = folder; path.length >= outermost.length; path = dirname(path)) {
    const removed = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

async function attempt<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError('FILE_WRITE_FAILED', `${path}: cannot be written (${reason}); choose another place`, {
      cause,
      details: { path },
    });
  }
}
