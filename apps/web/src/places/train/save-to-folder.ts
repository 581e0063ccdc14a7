/** Writes files into a folder of the visitor's choice, where the browser can do that (Chromium). */
import { MarianaError } from '@mariana/core';

declare global {
  function showDirectoryPicker(options?: {
    id?: string;
    mode?: 'read' | 'readwrite';
  }): Promise<FileSystemDirectoryHandle>;
}

/**
 * @returns Name of the folder.
 * @throws DOMException `AbortError` if the visitor chooses none; MarianaError `FILE_WRITE_FAILED`.
 */
export async function saveToFolder(files: Readonly<Record<string, Blob>>): Promise<string> {
  const folder = await showDirectoryPicker({ id: 'mariana-checkpoint', mode: 'readwrite' });
  for (const [name, content] of Object.entries(files)) {
    try {
      const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await content.stream().pipeTo(writable);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new MarianaError(
        'FILE_WRITE_FAILED',
        `${folder.name}/${name}: it cannot be written (${reason}); choose another folder, or save the files one by one`,
        { cause },
      );
    }
  }
  return folder.name;
}
