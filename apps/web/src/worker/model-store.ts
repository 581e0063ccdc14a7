/**
 * Models that were fetched, kept on this device (in the origin's private file system) so that they are fetched once. A
 * file that is there in part is gone on with where it ended. What the server has not is remembered too, so that a model
 * that was loaded once loads again without a network.
 */
import { BlobSource, type ByteSource, type CheckpointFiles, UrlFiles } from '@mariana/core';
import type { StoredModel } from './model-api.ts';

/** How much is asked for at once. */
const PIECE_BYTES = 2 ** 20;
const FOLDER = 'models';
const MANIFEST = 'manifest.json';

/** What is known of a model's files. */
interface Manifest {
  readonly url: string;
  /** Length of each file, by name; those that are not there are null. */
  readonly files: Record<string, number | null>;
}

export interface Download {
  readonly file: string;
  readonly loaded: number;
  readonly total: number;
  /** Of `loaded`, what was on this device before. */
  readonly kept: number;
}

export interface StoreOptions {
  readonly signal: AbortSignal;
  readonly onDownload: (download: Download) => void;
  /** Told when files cannot be kept; they are then read from the network as they are needed. */
  readonly onNotKept: (error: unknown) => void;
}

/** The files of a model at an address; each is fetched whole when it is first opened, and kept. */
export class StoredFiles implements CheckpointFiles {
  readonly name: string;
  /** Whether anything came from the network. */
  usedNetwork = false;
  readonly #remote: UrlFiles;
  readonly #url: string;
  readonly #options: StoreOptions;
  readonly #folder: FileSystemDirectoryHandle | null;
  readonly #manifest: Manifest;

  private constructor(
    url: string,
    folder: FileSystemDirectoryHandle | null,
    manifest: Manifest,
    options: StoreOptions,
  ) {
    this.#url = url.endsWith('/') ? url : `${url}/`;
    this.#remote = new UrlFiles(url, { signal: options.signal });
    this.name = this.#remote.name;
    this.#folder = folder;
    this.#manifest = manifest;
    this.#options = options;
  }

  static async open(url: string, options: StoreOptions): Promise<StoredFiles> {
    try {
      const folder = await (await models()).getDirectoryHandle(await folderName(url), { create: true });
      const manifest = (await readManifest(folder)) ?? { url, files: {} };
      return new StoredFiles(url, folder, manifest, options);
    } catch (error) {
      options.onNotKept(error);
      return new StoredFiles(url, null, { url, files: {} }, options);
    }
  }

  async exists(file: string): Promise<boolean> {
    const known = this.#manifest.files[file];
    if (known !== undefined) return known !== null;
    this.usedNetwork = true;
    const exists = await this.#remote.exists(file);
    if (!exists) await this.#remember(file, null);
    return exists;
  }

  async open(file: string): Promise<ByteSource> {
    const folder = this.#folder;
    const length = this.#manifest.files[file];
    const name = `${this.name}${file}`;
    if (folder !== null && typeof length === 'number') {
      const kept = await fileIn(folder, file);
      if (kept?.size === length) return new BlobSource(kept, name);
    }
    this.usedNetwork = true;
    const remote = await this.#remote.open(file);
    if (folder === null) return this.#counted(remote, file);
    try {
      // One tab at a time: the other finds the file complete.
      await navigator.locks.request(`mariana ${this.#url}${file}`, () => this.#fetch(remote, folder, file));
    } catch (error) {
      if (!isStorageError(error)) throw error;
      this.#options.onNotKept(error);
      await folder.removeEntry(flatName(file)).catch(() => {}); // half a file that will never be whole
      return this.#counted(remote, file);
    }
    await remote.close();
    return new BlobSource((await fileIn(folder, file))!, name);
  }

  /** Fetches what is missing of a file. */
  async #fetch(remote: ByteSource, folder: FileSystemDirectoryHandle, file: string): Promise<void> {
    const total = remote.byteLength;
    const { quota, usage } = await navigator.storage.estimate();
    const handle = await folder.getFileHandle(flatName(file), { create: true });
    const access = await handle.createSyncAccessHandle();
    try {
      // Another length is another file.
      if (this.#manifest.files[file] !== total || access.getSize() > total) access.truncate(0);
      await this.#remember(file, total);
      const kept = access.getSize();
      if (quota !== undefined && usage !== undefined && total - kept > quota - usage) throw new StorageFull();
      const read = async (offset: number) => {
        const piece = new Uint8Array(Math.min(PIECE_BYTES, total - offset));
        await remote.read(offset, piece);
        return piece;
      };
      this.#options.onDownload({ file, loaded: kept, total, kept });
      let next = kept < total ? read(kept) : null;
      for (let offset = kept; next !== null; ) {
        const piece = await next;
        const after = offset + piece.byteLength;
        next = after < total ? read(after) : null;
        next?.catch(() => {}); // reported when it is awaited
        if (access.write(piece, { at: offset }) !== piece.byteLength) throw new StorageFull();
        offset = after;
        this.#options.onDownload({ file, loaded: offset, total, kept });
      }
      access.flush();
    } finally {
      access.close();
    }
  }

  /** A file that is not kept, with its reads told like a download. */
  #counted(source: ByteSource, file: string): ByteSource {
    const total = source.byteLength;
    let loaded = 0;
    return {
      name: source.name,
      byteLength: total,
      read: async (offset, target) => {
        await source.read(offset, target);
        loaded = Math.min(total, loaded + target.byteLength);
        this.#options.onDownload({ file, loaded, total, kept: 0 });
      },
      close: () => source.close(),
    };
  }

  async #remember(file: string, length: number | null): Promise<void> {
    this.#manifest.files[file] = length;
    if (this.#folder === null) return;
    try {
      const handle = await this.#folder.getFileHandle(MANIFEST, { create: true });
      const access = await handle.createSyncAccessHandle();
      try {
        const bytes = new TextEncoder().encode(JSON.stringify(this.#manifest));
        access.truncate(0);
        if (access.write(bytes, { at: 0 }) !== bytes.byteLength) throw new StorageFull();
        access.flush();
      } finally {
        access.close();
      }
    } catch (error) {
      // Only the next visit misses it.
      if (!isStorageError(error)) throw error;
    }
  }
}

/** What a browser says when its disk share is used up; some only write less than was asked. */
class StorageFull extends DOMException {
  constructor() {
    super('there is no room for it', 'QuotaExceededError');
  }
}

function isStorageError(error: unknown): boolean {
  return error instanceof DOMException && error.name !== 'AbortError';
}

/** All models that are kept. */
export async function storedModels(): Promise<StoredModel[]> {
  const found: StoredModel[] = [];
  try {
    for await (const folder of (await models()).values()) {
      if (folder.kind !== 'directory') continue;
      const manifest = await readManifest(folder as FileSystemDirectoryHandle);
      if (manifest === null) continue;
      let bytes = 0;
      let complete = true;
      for (const [file, length] of Object.entries(manifest.files)) {
        if (length === null) continue;
        const size = (await fileIn(folder as FileSystemDirectoryHandle, file))?.size ?? 0;
        bytes += size;
        complete &&= size === length;
      }
      found.push({ url: manifest.url, bytes, complete });
    }
  } catch (error) {
    if (!isStorageError(error)) throw error; // a browser that keeps nothing has nothing
  }
  return found;
}

/** Removes a model; one that is not there is removed already. */
export async function removeStored(url: string): Promise<void> {
  try {
    await (await models()).removeEntry(await folderName(url), { recursive: true });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error;
  }
}

async function models(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
}

/** Addresses hold what folders may not be called. */
async function folderName(url: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url)));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Files lie side by side, whatever folders they are in on the server. */
function flatName(file: string): string {
  return `file ${file.replaceAll('/', ' ')}`;
}

async function fileIn(folder: FileSystemDirectoryHandle, file: string): Promise<File | null> {
  try {
    return await (await folder.getFileHandle(flatName(file))).getFile();
  } catch (error) {
    if (isStorageError(error)) return null;
    throw error;
  }
}

async function readManifest(folder: FileSystemDirectoryHandle): Promise<Manifest | null> {
  try {
    const manifest: unknown = JSON.parse(await (await (await folder.getFileHandle(MANIFEST)).getFile()).text());
    const isOne = typeof manifest === 'object' && manifest !== null && 'url' in manifest && 'files' in manifest;
    return isOne ? (manifest as Manifest) : null;
  } catch (error) {
    // Cut short when the tab was closed: as if there were none.
    if (error instanceof SyntaxError || isStorageError(error)) return null;
    throw error;
  }
}

/** A GGUF file at an address as the runtime wants files that it cannot list: the model is called `model.gguf`. */
export async function openStoredGguf(
  url: URL,
  options: StoreOptions,
): Promise<{ files: CheckpointFiles; stored: StoredFiles }> {
  const slash = url.pathname.lastIndexOf('/') + 1;
  const own = decodeURIComponent(url.pathname.slice(slash));
  const folder = new URL(url);
  folder.pathname = url.pathname.slice(0, slash);
  const stored = await StoredFiles.open(folder.href, options);
  const files = {
    name: stored.name,
    exists: async (file: string) => file === 'model.gguf' || stored.exists(file),
    open: (file: string) => stored.open(file === 'model.gguf' ? own : file),
  };
  return { files, stored };
}
