/** A file on a web server, as a file of the folder that it lies in: other files of the model may lie beside it. */
import { type CheckpointFiles, UrlFiles } from '@mariana/core';

/** The folder of a URL, and the name of the file in it. A query of the URL goes with every file. */
export function fileAt(url: URL): { files: CheckpointFiles; file: string } {
  const folder = new URL('.', url);
  folder.search = url.search;
  return { files: new UrlFiles(folder), file: decodeURIComponent(url.pathname.split('/').at(-1)!) };
}
