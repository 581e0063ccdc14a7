/** Places that a model can be loaded from, for tests: a web server, memory, and files that fail. */
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type ByteSource, type CheckpointFiles, MemoryFiles } from '@mariana/core';

export interface Served extends AsyncDisposable {
  readonly url: string;
  /** Method, path and range of each request. */
  readonly requests: readonly string[];
}

/** Serves a folder by HTTP on this machine, byte ranges included. */
export async function serve(folder: string): Promise<Served> {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const { range = '' } = request.headers;
    requests.push(`${request.method} ${pathname} ${range}`.trim());
    const path = join(folder, decodeURIComponent(pathname));
    const size = await stat(path).then(
      (found) => (found.isFile() ? found.size : undefined),
      () => undefined,
    );
    if (size === undefined) return response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last), size - 1) : size - 1;
    const headers = { 'accept-ranges': 'bytes', 'content-length': Math.max(0, end - start + 1) };
    if (first === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${size}` });
    if (request.method === 'HEAD' || size === 0) return response.end();
    return createReadStream(path, { start, end }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The files of a folder, in memory. */
export async function inMemory(folder: string): Promise<MemoryFiles> {
  const names = (await readdir(folder)).filter((name) => !/expected|README/.test(name));
  const contents = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return new MemoryFiles(Object.fromEntries(names.map((name, i) => [name, contents[i]!])));
}

/** Files whose weights are watched: the bytes read of them so far, and after how many reads they fail. */
export function watched(files: CheckpointFiles, { failAfter = Number.POSITIVE_INFINITY } = {}) {
  const seen = { reads: 0, bytes: 0 };
  const wrap = (source: ByteSource): ByteSource => ({
    name: source.name,
    byteLength: source.byteLength,
    async read(offset, target) {
      if (seen.reads++ >= failAfter) throw new Error('the cable was pulled');
      seen.bytes += target.byteLength;
      await source.read(offset, target);
    },
    close: () => source.close(),
  });
  const watching: CheckpointFiles = {
    name: files.name,
    exists: (file) => files.exists(file),
    open: async (file) => (file.endsWith('.safetensors') ? wrap(await files.open(file)) : files.open(file)),
  };
  return { files: watching, seen };
}
