/** The built page on a server of its own, as a host would serve it, with the faults that the tests want. */

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

export interface Site {
  readonly url: string;
  /** Paths of the requests so far, with their ranges. */
  readonly requests: string[];
  close(): Promise<void>;
}

export interface SiteOptions {
  /** Send the headers that give the page shared memory. Default true. */
  readonly isolated?: boolean;
  /** Other folders, by the first part of the path. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** Answers a request itself, or returns false. */
  readonly intercept?: (path: string) => number | false;
  /** Milliseconds before each answer of a model's file. */
  readonly delay?: () => number;
}

export async function serveSite(root: string, options: SiteOptions = {}): Promise<Site> {
  const { isolated = true, mounts = {}, intercept, delay } = options;
  const requests: string[] = [];
  const isolation = isolated
    ? { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
    : {};
  const server: Server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://site').pathname));
    const { range } = request.headers;
    requests.push(range === undefined ? path : `${path} ${range}`);
    const status = intercept?.(path) ?? false;
    if (status !== false) return void response.writeHead(status, isolation).end();
    const [, first = ''] = path.split('/');
    const mount = mounts[first];
    let file = mount === undefined ? join(root, path) : join(mount, path.slice(first.length + 1));
    if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
    if (!existsSync(file)) return void response.writeHead(404, isolation).end();
    if (file.includes('safetensors') && delay) await new Promise((resolve) => setTimeout(resolve, delay()));
    const { size } = statSync(file);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = Math.min(Number(to ?? size - 1), size - 1);
    response.writeHead(from === undefined ? 200 : 206, {
      ...isolation,
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Length': end - start + 1,
      ...(from !== undefined && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
    });
    createReadStream(file, { start, end }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
