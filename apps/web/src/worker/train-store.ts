/**
 * Where a run is kept between visits: files that appear whole or not at all. In a browser that is the origin's private
 * file system (OPFS), of which nobody but this page's own scripts sees anything.
 */
import { type ByteSink, MarianaError } from '@mariana/core';

/** Some named files. */
export interface RunStore {
  /** The file, or null if there is none. */
  read(name: string): Promise<Blob | null>;
  /**
   * Replaces a file. Until `fill` has resolved, and if anything fails, the file that was there is still there.
   *
   * @throws MarianaError `FILE_WRITE_FAILED`; what `fill` throws.
   */
  write(name: string, fill: (sink: ByteSink) => Promise<unknown>): Promise<void>;
  /** Removes every file. */
  clear(): Promise<void>;
}

/** The files as a folder in OPFS, or null where the browser keeps nothing (a private window, an old browser). */
export async function openRunStore(folder = 'train'): Promise<RunStore | null> {
  try {
    const root = await navigator.storage.getDirectory();
    const store = new OpfsStore(root, folder);
    await store.probe();
    return store;
  } catch {
    // Whatever the reason, there is no place to keep files: that is what null says, and the page says it on.
    return null;
  }
}

class OpfsStore implements RunStore {
  readonly #root: FileSystemDirectoryHandle;
  readonly #folder: string;

  constructor(root: FileSystemDirectoryHandle, folder: string) {
    this.#root = root;
    this.#folder = folder;
  }

  /** Fails where files cannot be replaced whole. */
  async probe(): Promise<void> {
    await this.write('probe', (sink) => sink.write(Uint8Array.of(1)));
  }

  async read(name: string): Promise<Blob | null> {
    try {
      const directory = await this.#directory();
      const file = await (await directory.getFileHandle(name)).getFile();
      // A file that was made, but never closed, is empty: none of ours is.
      return file.size === 0 ? null : file;
    } catch (error) {
      if (isNamed(error, 'NotFoundError')) return null;
      throw new MarianaError('FILE_UNREADABLE', `${name}: this browser's storage cannot be read; reload the page`, {
        cause: error,
      });
    }
  }

  async write(name: string, fill: (sink: ByteSink) => Promise<unknown>): Promise<void> {
    let writable: FileSystemWritableFileStream;
    try {
      const directory = await this.#directory();
      // What is written goes into a file beside it that takes its place on `close`.
      writable = await (await directory.getFileHandle(name, { create: true })).createWritable();
    } catch (cause) {
      throw writeError(name, cause);
    }
    const sink: ByteSink = {
      write: async (bytes) => {
        try {
          await writable.write(bytes as Uint8Array<ArrayBuffer>);
        } catch (cause) {
          throw writeError(name, cause);
        }
      },
    };
    try {
      await fill(sink);
      await writable.close().catch((cause) => {
        throw writeError(name, cause);
      });
    } catch (error) {
      // Gives up the file beside it. It may be closed or broken already; the error that matters is thrown on.
      await writable.abort().catch(() => {});
      throw error;
    }
  }

  async clear(): Promise<void> {
    try {
      await this.#root.removeEntry(this.#folder, { recursive: true });
    } catch (cause) {
      if (isNamed(cause, 'NotFoundError')) return;
      throw new MarianaError('FILE_WRITE_FAILED', `${this.#folder}: what was kept cannot be removed; reload the page`, {
        cause,
      });
    }
  }

  #directory(): Promise<FileSystemDirectoryHandle> {
    return this.#root.getDirectoryHandle(this.#folder, { create: true });
  }
}

function writeError(name: string, cause: unknown): MarianaError {
  const full = isNamed(cause, 'QuotaExceededError');
  const what = full
    ? "this browser's storage is full; remove data of other pages, or save the checkpoint to disk"
    : `this browser's storage cannot be written (${cause instanceof Error ? cause.message : String(cause)}); save the checkpoint to disk`;
  return new MarianaError('FILE_WRITE_FAILED', `${name}: ${what}`, { cause, details: { full } });
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
