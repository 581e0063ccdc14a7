/** A checkpoint behind a web server, such as `https://huggingface.co/ORG/MODEL/resolve/main/`. */

import type { ByteSource } from '../source.ts';
import { displayUrl, exchange, type HttpOptions, retrying, statusError } from '../sources/http-request.ts';
import { HttpSource, parseUrl } from '../sources/http-source.ts';
import { type CheckpointFiles, checkFileName } from './checkpoint-files.ts';

/** `CheckpointFiles` at the address of a folder. A query of the address (a token, say) goes with every file. */
export class UrlFiles implements CheckpointFiles {
  readonly name: string;
  readonly #base: URL;
  readonly #options: HttpOptions;

  /**
   * @param base the folder, with or without a `/` at its end
   * @throws MarianaError `INVALID_ARGUMENT` if it is no URL.
   */
  constructor(base: string | URL, options: HttpOptions = {}) {
    this.#base = new URL(parseUrl(base));
    this.#base.hash = '';
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.#options = options;
    this.name = displayUrl(this.#base);
  }

  async open(file: string): Promise<ByteSource> {
    return HttpSource.open(this.#locate(file), this.#options);
  }

  async exists(file: string): Promise<boolean> {
    const url = this.#locate(file);
    // Not HEAD: stores that hand out signed addresses sign them for GET only.
    return retrying(this.#options, () =>
      exchange(url, { range: 'bytes=0-0' }, this.#options, async (response) => {
        if (response.ok || response.status === 416) return true;
        if (response.status === 404 || response.status === 410) return false;
        throw statusError(url, response);
      }),
    );
  }

  #locate(file: string): URL {
    checkFileName(this.name, file);
    const url = new URL(this.#base);
    url.pathname += file.split('/').map(encodeURIComponent).join('/');
    return url;
  }
}
