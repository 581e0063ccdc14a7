/**
 * Files behind a web server, read by byte ranges: a tensor is fetched when it is wanted, and nothing else of its file.
 * Static file servers, object stores and the Hugging Face hub all answer ranges.
 */

import { MarianaError } from '../../errors.ts';
import { type ByteSource, checkOpen, checkRange } from '../source.ts';
import { displayUrl, exchange, type HttpOptions, PassingFailure, retrying, statusError } from './http-request.ts';
import { MemorySource } from './memory-source.ts';

const DEFAULT_WHOLE_FILE_BYTES = 64 * 2 ** 20;

/** A `ByteSource` over a URL. Made by `HttpSource.open`, which asks the server for the length first. */
export class HttpSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #url: URL;
  readonly #options: HttpOptions;
  #closed = false;

  private constructor(url: URL, byteLength: number, options: HttpOptions) {
    this.name = displayUrl(url);
    this.byteLength = byteLength;
    this.#url = url;
    this.#options = options;
  }

  /**
   * Opens `url` with one request for its first byte, which tells both the length and whether ranges are answered. A
   * server that sends the whole file instead is taken by its word: the file is kept in memory if it has at most
   * `wholeFileBytes`, and refused otherwise.
   *
   * @throws MarianaError `FILE_NOT_FOUND` for 404 and 410; `FETCH_FAILED` for any other refusal, a network failure that
   *   outlasts the retries, a length that is not told, or a large file without byte ranges; `INVALID_ARGUMENT` for a
   *   URL that cannot be parsed. The reason of `options.signal` once that is aborted.
   */
  static async open(url: string | URL, options: HttpOptions = {}): Promise<ByteSource> {
    const target = parseUrl(url);
    return retrying(options, () =>
      exchange<ByteSource>(target, { range: 'bytes=0-0' }, options, async (response, alive) => {
        if (response.status === 200) {
          return new MemorySource(await wholeBody(target, response, options, alive), displayUrl(target));
        }
        if (response.status !== 206 && response.status !== 416) throw statusError(target, response);
        const told = contentRange(response)?.total;
        if (response.status === 416 && told !== 0) throw statusError(target, response);
        // A page of another origin may read Content-Range only if the server exposes it; Content-Length it may always.
        return new HttpSource(target, told ?? (await lengthByHead(target, options)), options);
      }),
    );
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkOpen(this.name, this.#closed);
    checkRange(this, offset, target.byteLength);
    let filled = 0;
    const rest = async () => {
      if (filled === target.byteLength) return;
      const start = offset + filled;
      const range = `bytes=${start}-${offset + target.byteLength - 1}`;
      await exchange(this.#url, { range }, this.#options, async (response, alive) => {
        this.#checkPart(response, start);
        await eachChunk(response, alive, (chunk) => {
          if (chunk.byteLength > target.byteLength - filled) {
            throw this.#failed(`the server sent more than the ${target.byteLength} bytes asked for at ${offset}`);
          }
          target.set(chunk, filled);
          filled += chunk.byteLength;
        });
        if (filled < target.byteLength) {
          throw new PassingFailure(
            this.#failed(`the connection ended after ${filled} of ${target.byteLength} bytes at ${offset}`),
          );
        }
      });
    };
    // What has arrived stays: each new try asks for what is still missing.
    await retrying(this.#options, rest);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkPart(response: Response, start: number): void {
    if (response.status === 200) throw this.#failed('the server stopped answering byte ranges; open it again');
    if (response.status === 416) {
      throw new MarianaError('SOURCE_TRUNCATED', `${this.name}: the file became shorter meanwhile; open it again`, {
        details: { url: this.name, offset: start },
      });
    }
    if (response.status !== 206) throw statusError(this.#url, response);
    const part = contentRange(response);
    if (part === undefined) return;
    if (part.start !== start || (part.total !== undefined && part.total !== this.byteLength)) {
      throw this.#failed(
        `bytes from ${start} of ${this.byteLength} were asked for, the server sent bytes from ${part.start} of ` +
          `${part.total ?? 'unknown'}; the file changed or the server is broken, open it again`,
      );
    }
  }

  #failed(what: string): MarianaError {
    return new MarianaError('FETCH_FAILED', `${this.name}: ${what}`, { details: { url: this.name } });
  }
}

/** A `URL`, from a string too. @throws MarianaError `INVALID_ARGUMENT` */
export function parseUrl(url: string | URL): URL {
  try {
    // In a page, an address without a host is one of the page's own.
    return new URL(url, globalThis.location?.href);
  } catch (cause) {
    throw new MarianaError('INVALID_ARGUMENT', `${url}: not a complete URL; it must begin with https:// or the like`, {
      cause,
    });
  }
}

/** `Content-Range: bytes 0-0/1234`, or `bytes * /0` (without the space) where there is no such range. */
function contentRange(response: Response): { start: number | undefined; total: number | undefined } | undefined {
  const header = response.headers.get('content-range');
  const match = header?.match(/^\s*bytes\s+(?:(\d+)-\d+|\*)\/(\d+|\*)\s*$/i);
  if (!match) return undefined;
  const number = (text: string | undefined) => (Number.isSafeInteger(Number(text)) ? Number(text) : undefined);
  return { start: number(match[1]), total: number(match[2]) };
}

function contentLength(response: Response): number | undefined {
  const header = response.headers.get('content-length');
  return header !== null && /^\d+$/.test(header) && Number.isSafeInteger(Number(header)) ? Number(header) : undefined;
}

async function lengthByHead(url: URL, options: HttpOptions): Promise<number> {
  return exchange(url, { method: 'HEAD' }, options, async (response) => {
    if (!response.ok) throw statusError(url, response);
    const length = contentLength(response);
    if (length !== undefined) return length;
    throw new MarianaError(
      'FETCH_FAILED',
      `${displayUrl(url)}: the server does not tell the length of the file; let it send Content-Range with its ` +
        'ranges and, for pages of another origin, expose that header',
      { details: { url: displayUrl(url) } },
    );
  });
}

async function wholeBody(
  url: URL,
  response: Response,
  options: HttpOptions,
  alive: () => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const limit = options.wholeFileBytes ?? DEFAULT_WHOLE_FILE_BYTES;
  // A compressed body has another length than it says.
  const promised = response.headers.has('content-encoding') ? undefined : contentLength(response);
  const tooLarge = () =>
    new MarianaError(
      'FETCH_FAILED',
      `${displayUrl(url)}: the server does not answer byte ranges, and the file is larger than the ${limit} bytes ` +
        'that are taken whole; use a server that does, or raise `wholeFileBytes`',
      { details: { url: displayUrl(url), limit } },
    );
  if (promised !== undefined && promised > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  await eachChunk(response, alive, (chunk) => {
    length += chunk.byteLength;
    if (length > limit) throw tooLarge();
    chunks.push(chunk);
  });
  if (promised !== undefined && length < promised) {
    throw new PassingFailure(
      new MarianaError(
        'FETCH_FAILED',
        `${displayUrl(url)}: the connection ended after ${length} of ${promised} bytes; try again`,
        { details: { url: displayUrl(url) } },
      ),
    );
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

async function eachChunk(
  response: Response,
  alive: () => void,
  take: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      take(value);
    }
  } finally {
    reader.releaseLock();
  }
}
