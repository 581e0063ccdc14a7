import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DirectoryFiles } from '../node/directory-files.ts';
import { readBytes } from '../source.ts';
import { type CheckpointFiles, readJson, readText } from './checkpoint-files.ts';
import { MemoryFiles } from './memory-files.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-files-'));
  await mkdir(join(folder, 'model', 'sub'), { recursive: true });
  await writeFile(join(folder, 'model', 'config.json'), '{"a": 1}');
  await writeFile(join(folder, 'model', 'sub', 'note.txt'), 'note');
  await writeFile(join(folder, 'secret.txt'), 'secret');
});

afterAll(() => rm(folder, { recursive: true }));

const KINDS: readonly (readonly [kind: string, make: () => CheckpointFiles])[] = [
  ['DirectoryFiles', () => new DirectoryFiles(join(folder, 'model'))],
  [
    'MemoryFiles',
    () => new MemoryFiles({ 'config.json': new TextEncoder().encode('{"a": 1}'), 'sub/note.txt': new Blob(['note']) }),
  ],
];

describe.each(KINDS)('%s', (_kind, make) => {
  it('opens the files that exist', async () => {
    const files = make();
    expect(await readJson(files, 'config.json')).toEqual({ a: 1 });
    expect(await readText(files, 'sub/note.txt')).toBe('note');
    expect(await files.exists('config.json')).toBe(true);
    expect(await files.exists('sub/other.txt')).toBe(false);
    expect(await files.exists('sub')).toBe(false);
    const missing = { code: 'FILE_NOT_FOUND', message: expect.stringContaining('other.txt') };
    await expect(files.open('other.txt')).rejects.toMatchObject(missing);
    await expect(readText(files, 'config.json/other.txt')).rejects.toMatchObject(missing);
  });

  it.each(['../secret.txt', 'sub/../../secret.txt', '/etc/passwd', '', '.', 'sub//note.txt', 'C:\\x', 'a\0b'])(
    'refuses %j, which could lead out',
    async (name) => {
      await expect(make().open(name)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(make().exists(name)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );
});

describe('DirectoryFiles', () => {
  it('has no files where there is no folder', async () => {
    const files = new DirectoryFiles(join(folder, 'nowhere'));
    expect(await files.exists('config.json')).toBe(false);
    await expect(files.open('config.json')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it.runIf(process.platform !== 'win32')('follows symbolic links, as the cache of the hub needs', async () => {
    await symlink('../secret.txt', join(folder, 'model', 'linked.txt'));
    expect(await readText(new DirectoryFiles(join(folder, 'model')), 'linked.txt')).toBe('secret');
    await symlink('round.txt', join(folder, 'model', 'round.txt'));
    await expect(new DirectoryFiles(join(folder, 'model')).open('round.txt')).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
    });
  });
});

describe('MemoryFiles', () => {
  it('takes text, bytes, blobs and a Map', async () => {
    const files = new MemoryFiles(
      new Map<string, string | Uint8Array>([
        ['a.bin', Uint8Array.of(1, 2)],
        ['b.txt', 'é'],
      ]),
      'mine',
    );
    expect(files.name).toBe('mine');
    expect(await readBytes(await files.open('a.bin'))).toEqual(Uint8Array.of(1, 2));
    expect(await readText(files, 'b.txt')).toBe('é');
    expect(() => new MemoryFiles({ '../x': '' })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('does not find what every object has', async () => {
    expect(await new MemoryFiles({}).exists('constructor')).toBe(false);
  });
});

describe('readText and readJson', () => {
  it('leave out a byte order mark', async () => {
    const files = new MemoryFiles({ 'config.json': '\ufeff{"a": "\ufeff"}' });
    expect(await readText(files, 'config.json')).toBe('{"a": "\ufeff"}');
    expect(await readJson(files, 'config.json')).toEqual({ a: '\ufeff' });
  });

  it('refuse bytes that are no UTF-8, and files that are too long', async () => {
    const files = new MemoryFiles({ 'a.txt': Uint8Array.of(0x61, 0xff), 'b.txt': 'abcd' });
    const corrupt = (message: string) => ({ code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining(message) });
    await expect(readText(files, 'a.txt')).rejects.toMatchObject(corrupt('memory: a.txt'));
    await expect(readText(files, 'b.txt', { maxBytes: 3 })).rejects.toMatchObject(corrupt('4 bytes are too many'));
    expect(await readText(files, 'b.txt', { maxBytes: 4 })).toBe('abcd');
  });

  it('say which file is no JSON, and where', async () => {
    await expect(readJson(new MemoryFiles({ 'a.json': '{\n"x"}' }, 'place'), 'a.json')).rejects.toMatchObject({
      code: 'CHECKPOINT_CORRUPT',
      message: 'place: a.json: not JSON: "}" is out of place at line 2, column 4',
    });
    const twice = new MemoryFiles({ 'a.json': '{"x": 1, "x": 2}' });
    expect(await readJson(twice, 'a.json')).toEqual({ x: 2 });
    await expect(readJson(twice, 'a.json', { uniqueKeys: true })).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
  });

  it('close what they open, also when it cannot be read', async () => {
    for (const content of ['{}', '{']) {
      let closed = 0;
      const inner = new MemoryFiles({ 'a.json': content });
      const files: CheckpointFiles = {
        name: 'counting',
        exists: (file) => inner.exists(file),
        async open(file) {
          const source = await inner.open(file);
          return {
            name: source.name,
            byteLength: source.byteLength,
            read: (offset, target) => source.read(offset, target),
            close: async () => void closed++,
          };
        },
      };
      await readJson(files, 'a.json').catch(() => undefined);
      await readText(files, 'a.json', { maxBytes: 0 }).catch(() => undefined);
      expect(closed).toBe(2);
    }
  });
});
