/** `HttpSource` and `UrlFiles` against real servers, the well-behaved and the others. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readText } from '../files/checkpoint-files.ts';
import { UrlFiles } from '../files/url-files.ts';
import { readBytes } from '../source.ts';
import type { HttpOptions } from './http-request.ts';
import { HttpSource } from './http-source.ts';

const BYTES = Uint8Array.from({ length: 5000 }, (_, i) => (i * 11) % 253);

/** Fails fast: three tries a few milliseconds apart. */
const QUICK: HttpOptions = { retries: 2, retryDelayMs: 1, stallMs: 2000 };

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

const servers: Server[] = [];

/** Starts a server and gives its address and the requests that it got. */
async function serve(handler: Handler): Promise<{ url: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim());
    handler(request, response, requests.length);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.bin`, requests };
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

function rangeOf(request: IncomingMessage): [start: number, end: number] {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  return [Number(match?.[1]), Math.min(Number(match?.[2]), BYTES.length - 1)];
}

/** Answers ranges as a static file server does. */
const ranges: Handler = (request, response) => {
  const [start, end] = rangeOf(request);
  response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${BYTES.length}` });
  response.end(BYTES.subarray(start, end + 1));
};

/** Sends everything, whatever is asked for. */
const wholeFile: Handler = (_request, response) => {
  response.writeHead(200, { 'content-length': BYTES.length });
  response.end(BYTES);
};

const status =
  (code: number): Handler =>
  (_request, response) => {
    response.writeHead(code);
    response.end('a page about the error');
  };

describe('HttpSource', () => {
  it('asks for the ranges that are read, and no others', async () => {
    const { url, requests } = await serve(ranges);
    const source = await HttpSource.open(url, QUICK);
    expect(source.byteLength).toBe(5000);
    expect(await readBytes(source, 1000, 500)).toEqual(BYTES.slice(1000, 1500));
    await source.read(5000, new Uint8Array(0));
    expect(requests).toEqual(['GET /model.bin bytes=0-0', 'GET /model.bin bytes=1000-1499']);
  });

  it('keeps secrets of the address and the headers out of messages, and sends them', async () => {
    const seen: (string | undefined)[] = [];
    const { url } = await serve((request, response) => {
      seen.push(request.headers.authorization);
      status(403)(request, response, 0);
    });
    const open = HttpSource.open(`${url}?token=secret`, { ...QUICK, headers: { authorization: 'Bearer hidden' } });
    await expect(open).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringMatching(/model\.bin: the server answered 403.*credentials/),
    });
    await expect(open).rejects.toMatchObject({ message: expect.not.stringMatching(/secret|hidden/) });
    expect(seen).toEqual(['Bearer hidden']);
  });

  it('takes a small file whole where there are no ranges, and refuses a large one', async () => {
    const { url, requests } = await serve(wholeFile);
    const source = await HttpSource.open(url, QUICK);
    expect(await readBytes(source, 100, 50)).toEqual(BYTES.slice(100, 150));
    expect(requests).toHaveLength(1);
    await expect(HttpSource.open(url, { ...QUICK, wholeFileBytes: 4999 })).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringContaining('byte ranges'),
    });
    expect(requests).toHaveLength(2);
  });

  it('stops taking a file whole at the limit, also if its length is not told', async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(200);
      response.write(BYTES);
      const timer = setInterval(() => response.write(BYTES), 1);
      response.on('close', () => clearInterval(timer));
    });
    await expect(HttpSource.open(url, { ...QUICK, wholeFileBytes: 100_000 })).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringContaining('byte ranges'),
    });
  });

  it('opens an empty file', async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(416, { 'content-range': 'bytes */0' });
      response.end();
    });
    expect(await readBytes(await HttpSource.open(url, QUICK))).toEqual(new Uint8Array(0));
  });

  it('asks with HEAD where Content-Range is not to be seen', async () => {
    const { url } = await serve((request, response) => {
      const [start, end] = rangeOf(request);
      response.writeHead(request.method === 'HEAD' ? 200 : 206, {
        'content-length': request.method === 'HEAD' ? BYTES.length : end - start + 1,
      });
      response.end(request.method === 'HEAD' ? undefined : BYTES.subarray(start, end + 1));
    });
    const source = await HttpSource.open(url, QUICK);
    expect(source.byteLength).toBe(5000);
    expect(await readBytes(source, 4000, 1000)).toEqual(BYTES.slice(4000));
  });

  it('refuses a server that tells the length in no way', async () => {
    const { url } = await serve((request, response) => {
      response.writeHead(request.method === 'HEAD' ? 200 : 206, { 'transfer-encoding': 'chunked' });
      response.end(request.method === 'HEAD' ? undefined : BYTES.subarray(0, 1));
    });
    await expect(HttpSource.open(url, QUICK)).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringContaining('length'),
    });
  });

  it.each([404, 410])('says that there is no such file for %i, without trying again', async (code) => {
    const { url, requests } = await serve(status(code));
    await expect(HttpSource.open(url, QUICK)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      details: { status: code },
    });
    expect(requests).toHaveLength(1);
  });

  it.each([400, 401, 403, 501])('gives up on %i at once', async (code) => {
    const { url, requests } = await serve(status(code));
    await expect(HttpSource.open(url, QUICK)).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      details: { status: code },
    });
    expect(requests).toHaveLength(1);
  });

  it.each([429, 500, 502, 503, 504])('tries again after %i, a limited number of times', async (code) => {
    const { url, requests } = await serve(status(code));
    await expect(HttpSource.open(url, QUICK)).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      details: { status: code },
    });
    expect(requests).toHaveLength(3);
    const passing = await serve((request, response, count) =>
      (count < 3 ? status(code) : ranges)(request, response, count),
    );
    expect((await HttpSource.open(passing.url, QUICK)).byteLength).toBe(5000);
  });

  it('goes on where a connection was cut', async () => {
    const { url, requests } = await serve((request, response, count) => {
      const [start, end] = rangeOf(request);
      response.writeHead(206, {
        'content-range': `bytes ${start}-${end}/${BYTES.length}`,
        'content-length': end - start + 1,
      });
      if (count === 1 || count === 4) response.end(BYTES.subarray(start, end + 1));
      else response.write(BYTES.subarray(start, start + 700), () => response.destroy());
    });
    const source = await HttpSource.open(url, QUICK);
    expect(await readBytes(source, 0, 3000)).toEqual(BYTES.slice(0, 3000));
    expect(requests).toHaveLength(4);
    const starts = requests.slice(1).map((request) => Number(/bytes=(\d+)-2999/.exec(request)?.[1]));
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
  });

  it('does not wait for ever for a server that stops talking', async () => {
    const { url } = await serve((request, response) => {
      const [start, end] = rangeOf(request);
      if (end === 0) return ranges(request, response, 0);
      response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${BYTES.length}` });
      response.write(BYTES.subarray(start, start + 10));
    });
    const source = await HttpSource.open(url, { ...QUICK, stallMs: 50 });
    await expect(readBytes(source, 0, 100)).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringContaining('no byte arrived'),
    });
  });

  it('reports a server that is not there', async () => {
    const { url } = await serve(ranges);
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    await expect(HttpSource.open(url, QUICK)).rejects.toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('refuses bytes that were not asked for', async () => {
    let answer: Handler = ranges;
    const { url } = await serve((request, response, count) => answer(request, response, count));
    const source = await HttpSource.open(url, QUICK);
    const fails = (code = 'FETCH_FAILED') => expect(readBytes(source, 10, 20)).rejects.toMatchObject({ code });
    answer = (_request, response) => {
      response.writeHead(206, { 'content-range': 'bytes 11-30/5000' });
      response.end(BYTES.subarray(11, 31));
    };
    await fails();
    answer = (_request, response) => {
      response.writeHead(206, { 'content-range': 'bytes 10-29/6000' });
      response.end(BYTES.subarray(10, 30));
    };
    await fails();
    answer = (_request, response) => {
      response.writeHead(206);
      response.end(BYTES.subarray(10, 40));
    };
    await fails();
    answer = wholeFile;
    await fails();
    answer = status(416);
    await fails('SOURCE_TRUNCATED');
    answer = status(404);
    await fails('FILE_NOT_FOUND');
  });

  it('is aborted by its signal, before, during and between requests', async () => {
    const { url } = await serve((request, response, count) => {
      if (count === 1) ranges(request, response, count);
    });
    const controller = new AbortController();
    const source = await HttpSource.open(url, { ...QUICK, signal: controller.signal });
    const reading = readBytes(source, 0, 100);
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    await expect(readBytes(source, 0, 100)).rejects.toThrow('enough');
    const waiting = new AbortController();
    const busy = await serve(status(503));
    const opening = HttpSource.open(busy.url, { retries: 5, retryDelayMs: 60_000, signal: waiting.signal });
    setTimeout(() => waiting.abort(new Error('no patience')), 50);
    await expect(opening).rejects.toThrow('no patience');
  });

  it('refuses what is no URL', async () => {
    await expect(HttpSource.open('not a url')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('fetches with what it is given', async () => {
    const source = await HttpSource.open('https://example.invalid/x', {
      fetch: async () => new Response(BYTES.slice(0, 1), { status: 206, headers: { 'content-range': 'bytes 0-0/1' } }),
    });
    expect(await readBytes(source)).toEqual(BYTES.slice(0, 1));
  });
});

describe('UrlFiles', () => {
  it('finds files below its address, with its query', async () => {
    const { url, requests } = await serve((request, response) => {
      const found = request.url?.startsWith('/org/model/') && !request.url.includes('missing');
      response.writeHead(found ? 200 : 404);
      response.end('text');
    });
    const files = new UrlFiles(`${new URL(url).origin}/org/model?key=1#here`, QUICK);
    expect(files.name).toMatch(/\/org\/model\/$/);
    expect(await files.exists('config.json')).toBe(true);
    expect(await files.exists('missing.json')).toBe(false);
    expect(await readText(files, 'sub folder/a#b?.txt')).toBe('text');
    await expect(files.open('missing.json')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    for (const name of ['../secret', '/etc/passwd', 'a/../../b', '', 'a//b', 'https://elsewhere/x', '..\\x']) {
      await expect(files.open(name)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(files.exists(name)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(requests).toEqual([
      'GET /org/model/config.json?key=1 bytes=0-0',
      'GET /org/model/missing.json?key=1 bytes=0-0',
      'GET /org/model/sub%20folder/a%23b%3F.txt?key=1 bytes=0-0',
      'GET /org/model/missing.json?key=1 bytes=0-0',
    ]);
  });

  it('does not take "cannot tell" for "no"', async () => {
    const { url } = await serve(status(403));
    await expect(new UrlFiles(url, QUICK).exists('config.json')).rejects.toMatchObject({ code: 'FETCH_FAILED' });
  });
});
