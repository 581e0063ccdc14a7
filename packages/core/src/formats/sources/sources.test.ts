/** Every kind of byte source keeps the same promises; what only one of them can do is tested beside it. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../node/file-source.ts';
import { type ByteSource, readBytes } from '../source.ts';
import { BlobSource } from './blob-source.ts';
import { HttpSource } from './http-source.ts';
import { MemorySource } from './memory-source.ts';
import { concatSources, SliceSource } from './views.ts';

const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251);

let folder: string;
const server = createServer((request, response) => {
  const [, start, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
  const part = BYTES.subarray(Number(start), Number(end) + 1);
  response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${BYTES.length}`, 'content-length': part.length });
  response.end(part);
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-sources-'));
  await writeFile(join(folder, 'file.bin'), BYTES);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const KINDS: readonly (readonly [kind: string, open: () => Promise<ByteSource>])[] = [
  ['MemorySource', async () => new MemorySource(BYTES)],
  ['BlobSource', async () => new BlobSource(new Blob([BYTES.subarray(0, 600), BYTES.subarray(600)]))],
  ['FileSource', async () => FileSource.open(join(folder, 'file.bin'))],
  ['HttpSource', async () => HttpSource.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/file.bin`)],
  [
    'SliceSource',
    async () => {
      const around = new Uint8Array(1100);
      around.set(BYTES, 60);
      return new SliceSource(new MemorySource(around), 60, 1000);
    },
  ],
  [
    'concatSources',
    async () => concatSources([0, 1, 1, 400, 1000].map((start, i, cuts) => part(start, cuts[i + 1] ?? start))),
  ],
];

function part(start: number, end: number): ByteSource {
  return new MemorySource(BYTES.subarray(start, end), `part from ${start}`);
}

describe.each(KINDS)('%s', (_kind, open) => {
  it('knows its length and reads any range', async () => {
    const source = await open();
    expect(source.byteLength).toBe(1000);
    expect(source.name).not.toBe('');
    expect(await readBytes(source)).toEqual(BYTES);
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), fc.nat(1000), async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        expect(await readBytes(source, start, end - start)).toEqual(BYTES.slice(start, end));
      }),
      { numRuns: 30 },
    );
    await source.close();
  });

  it('reads into a part of shared memory and leaves the rest alone', async () => {
    const source = await open();
    const shared = new Uint8Array(new SharedArrayBuffer(30)).fill(255);
    await source.read(500, shared.subarray(10, 20));
    expect([...shared.subarray(10, 20)]).toEqual([...BYTES.subarray(500, 510)]);
    expect([...shared.subarray(0, 10), ...shared.subarray(20)]).toEqual(new Array(20).fill(255));
    await source.close();
  });

  it('answers reads that overlap in time', async () => {
    const source = await open();
    const parts = await Promise.all([0, 100, 200, 300, 400].map((start) => readBytes(source, start, 500)));
    for (const [i, bytes] of parts.entries()) expect(bytes).toEqual(BYTES.slice(i * 100, i * 100 + 500));
    await source.close();
  });

  it('refuses what it does not have', async () => {
    const source = await open();
    const truncated = expect.objectContaining({ code: 'SOURCE_TRUNCATED', message: expect.stringContaining('1000') });
    await expect(source.read(995, new Uint8Array(6))).rejects.toEqual(truncated);
    await expect(source.read(1001, new Uint8Array(0))).rejects.toEqual(truncated);
    await expect(source.read(2 ** 60 - 2 ** 10, new Uint8Array(1))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    for (const offset of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(source.read(offset, new Uint8Array(1))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    await expect(readBytes(source, 0, 2 ** 50)).rejects.toEqual(truncated);
    await expect(source.read(1000, new Uint8Array(0))).resolves.toBeUndefined();
    await source.close();
  });

  it('cannot be read after closing, which may be done twice', async () => {
    const source = await open();
    await source.close();
    await source.close();
    await expect(source.read(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});

describe('FileSource', () => {
  it('says what is wrong with a path', async () => {
    const fails = (path: string) => expect(FileSource.open(path)).rejects;
    await fails(join(folder, 'nothing')).toMatchObject({ code: 'FILE_NOT_FOUND' });
    await fails(join(folder, 'file.bin', 'below')).toMatchObject({ code: 'FILE_NOT_FOUND' });
    await fails(folder).toMatchObject({ code: 'FILE_UNREADABLE', message: expect.stringContaining('a folder') });
  });

  it.runIf(process.platform !== 'win32')('refuses devices, which have no length', async () => {
    await expect(FileSource.open('/dev/zero')).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it('notices that a file became shorter while it was open', async () => {
    const path = join(folder, 'shrinking.bin');
    await writeFile(path, BYTES);
    const source = await FileSource.open(path);
    await truncate(path, 100);
    await expect(readBytes(source)).rejects.toMatchObject({ code: 'SOURCE_TRUNCATED' });
    await source.close();
  });
});

describe('BlobSource', () => {
  it('has the name of a file, and types the errors of the browser', async () => {
    const source = new BlobSource(new File([BYTES], 'chosen.safetensors'));
    expect(source.name).toBe('chosen.safetensors');
    const changed = new File([BYTES], 'changed.bin');
    changed.slice = () =>
      ({ arrayBuffer: () => Promise.reject(new DOMException('changed', 'NotReadableError')) }) as Blob;
    await expect(readBytes(new BlobSource(changed))).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('changed.bin'),
    });
  });
});

describe('SliceSource and concatSources', () => {
  it('leave the sources that they are made of open', async () => {
    const whole = new MemorySource(BYTES);
    const slice = new SliceSource(whole, 10, 20);
    const joined = concatSources([slice, whole]);
    await joined.close();
    expect(await readBytes(slice)).toEqual(BYTES.slice(10, 30));
    await slice.close();
    expect(await readBytes(whole)).toEqual(BYTES);
  });

  it('cannot be cut beyond the end', () => {
    expect(() => new SliceSource(new MemorySource(BYTES), 990, 11)).toThrow(
      expect.objectContaining({ code: 'SOURCE_TRUNCATED' }),
    );
  });

  it('fail as their parts fail', async () => {
    const closed = new MemorySource(BYTES);
    const joined = concatSources([new MemorySource(BYTES), closed]);
    await closed.close();
    await expect(readBytes(joined)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(await readBytes(joined, 0, 1000)).toEqual(BYTES);
  });
});
