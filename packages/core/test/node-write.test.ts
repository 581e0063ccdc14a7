/** Writing to a real disk: files appear whole or not at all, and a failed write leaves what was there. */
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Checkpoint, readJson, SafetensorsFile, type TensorToWrite } from '../src/index.ts';
import {
  DirectoryFiles,
  FileSource,
  writeFileAtomic,
  writeSafetensorsFile,
  writeShardedCheckpoint,
} from '../src/node.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-write-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function tensors(names: string, bytes = 100): TensorToWrite[] {
  return [...names].map((name) => ({
    name,
    dtype: 'u8',
    shape: [bytes],
    data: () => new Uint8Array(bytes).fill(name.charCodeAt(0)),
  }));
}

async function readBack(): Promise<Record<string, number>> {
  const checkpoint = await Checkpoint.open(new DirectoryFiles(folder));
  const values: Record<string, number> = {};
  for (const name of checkpoint.names()) values[name] = (await checkpoint.read(name))[0]!;
  await checkpoint.close();
  return values;
}

const AB = { a: 97, b: 98 };

describe('writeFileAtomic', () => {
  it('replaces a file only once the new one is complete', async () => {
    const path = join(folder, 'file.txt');
    await writeFile(path, 'old');
    await writeFileAtomic(path, async (sink) => {
      await sink.write(new TextEncoder().encode('ne'));
      expect(await readFile(path, 'utf8')).toBe('old');
      await sink.write(new TextEncoder().encode('w'));
      await sink.write(new Uint8Array(0));
    });
    expect(await readFile(path, 'utf8')).toBe('new');
    expect(await readdir(folder)).toEqual(['file.txt']);
  });

  it('leaves the old file and nothing else when the writer fails', async () => {
    const path = join(folder, 'file.txt');
    await writeFile(path, 'old');
    const failing = writeFileAtomic(path, async (sink) => {
      await sink.write(new Uint8Array(10));
      throw new Error('no more bytes');
    });
    await expect(failing).rejects.toThrow('no more bytes');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['file.txt']);
  });

  it('says why it cannot write', async () => {
    const write = (path: string) => writeFileAtomic(path, (sink) => sink.write(new Uint8Array(1)));
    await expect(write(join(folder, 'none', 'file'))).rejects.toMatchObject({
      code: 'FILE_WRITE_FAILED',
      message: expect.stringContaining('folder does not exist'),
    });
    await mkdir(join(folder, 'taken'));
    await expect(write(join(folder, 'taken'))).rejects.toMatchObject({ code: 'FILE_WRITE_FAILED' });
    expect(await readdir(folder)).toEqual(['taken']);
  });

  const obeysPermissions = process.platform !== 'win32' && process.getuid?.() !== 0;
  if (!obeysPermissions) console.warn('"says that permission is missing" is skipped: this user may write everywhere');

  it.runIf(obeysPermissions)('says that permission is missing', async () => {
    await chmod(folder, 0o500);
    await expect(writeFileAtomic(join(folder, 'file'), async () => undefined)).rejects.toMatchObject({
      code: 'FILE_WRITE_FAILED',
      message: expect.stringContaining('permission'),
    });
    await chmod(folder, 0o700);
  });
});

describe('writeSafetensorsFile', () => {
  it('writes a file that reads back', async () => {
    const path = join(folder, 'x.safetensors');
    await writeSafetensorsFile(path, tensors('ab'), { metadata: { step: '3' } });
    const file = await SafetensorsFile.open(await FileSource.open(path));
    expect(file.names()).toEqual(['a', 'b']);
    expect(file.metadata.get('step')).toBe('3');
    await file.close();
  });
});

describe('writeShardedCheckpoint', () => {
  it('writes one file, or several with an index', async () => {
    expect(await writeShardedCheckpoint(join(folder, 'deep', 'one'), tensors('ab'))).toEqual({
      files: ['model.safetensors'],
      totalBytes: 200,
    });
    expect(await writeShardedCheckpoint(folder, tensors('ba'), { maxShardBytes: 150 })).toEqual({
      files: ['model-00001-of-000002.safetensors', 'model-00002-of-000002.safetensors', 'model.safetensors.index.json'],
      totalBytes: 200,
    });
    expect(await readBack()).toEqual(AB);
    expect(await readJson(new DirectoryFiles(folder), 'model.safetensors.index.json')).toEqual({
      metadata: { total_size: 200 },
      weight_map: { a: 'model-00002-of-000002.safetensors', b: 'model-00001-of-000002.safetensors' },
    });
    const shard = await SafetensorsFile.open(await FileSource.open(join(folder, 'model-00001-of-000002.safetensors')));
    expect(shard.metadata).toEqual(new Map([['format', 'pt']]));
    await shard.close();
  });

  it('replaces a checkpoint of other files wholly, and touches nothing else', async () => {
    await writeFile(join(folder, 'config.json'), '{}');
    await writeFile(join(folder, 'other.safetensors'), 'not ours');
    const others = ['config.json', 'other.safetensors'];
    for (const maxShardBytes of [1000, 100, 1000, 200]) {
      const { files } = await writeShardedCheckpoint(folder, tensors('abc'), { maxShardBytes });
      expect((await readdir(folder)).sort()).toEqual([...files, ...others].sort());
      expect(await readBack()).toEqual({ ...AB, c: 99 });
    }
  });

  it('leaves the old checkpoint as it was when the new one fails half way', async () => {
    await writeShardedCheckpoint(folder, tensors('ab'), { maxShardBytes: 100 });
    const before = await readdir(folder);
    const broken: TensorToWrite[] = [
      ...tensors('x'),
      { name: 'y', dtype: 'u8', shape: [100], data: () => Promise.reject(new Error('lost')) },
    ];
    await expect(writeShardedCheckpoint(folder, broken, { maxShardBytes: 100 })).rejects.toThrow('lost');
    expect(await readdir(folder)).toEqual(before);
    expect(await readBack()).toEqual(AB);
  });

  it('refuses a folder that cannot be', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(writeShardedCheckpoint(join(folder, 'file', 'sub'), tensors('a'))).rejects.toMatchObject({
      code: 'FILE_WRITE_FAILED',
    });
  });
});

describe('a full disk', () => {
  const script = `${import.meta.dirname}/fixtures/overwrite-checkpoint.ts`;

  beforeEach(async () => {
    const old = join(folder, 'old');
    await writeShardedCheckpoint(old, tensors('ab'), { maxShardBytes: 100 });
    await writeSafetensorsFile(join(old, 'single.safetensors'), tensors('ab'));
    await writeFile(join(old, 'plain.bin'), 'old');
    await mkdir(join(folder, 'disk'));
  });

  /**
   * Runs in a shell: sets a limit, copies old files to the disk, overwrites them by the script, and compares what is
   * on the disk then with the old files. Gives what the script printed.
   */
  function overwriteUnder(limit: string, ...shell: readonly string[]): unknown {
    const steps = `${limit} && cp -r "$1"/. "$2" && "$3" --no-warnings "$4" "$2" && diff -r "$1" "$2"`;
    const args = [
      ...shell,
      'sh',
      '-c',
      steps,
      'sh',
      join(folder, 'old'),
      join(folder, 'disk'),
      process.execPath,
      script,
    ];
    const run = spawnSync(args[0]!, args.slice(1), { encoding: 'utf8' });
    expect(run.status, run.stdout + run.stderr).toBe(0);
    return JSON.parse(run.stdout);
  }

  const inNameSpace = ['unshare', '--mount', '--map-root-user'] as const;
  const mount = 'mount -t tmpfs -o size=512k tmpfs';
  const canMount = spawnSync(inNameSpace[0], [...inNameSpace.slice(1), ...mount.split(' '), tmpdir()]).status === 0;
  if (!canMount) console.warn('"a disk without space" is skipped: unshare cannot mount a small disk on this system');

  it.runIf(canMount)('keeps the old files on a disk without space, and leaves no others', () => {
    const outcomes = overwriteUnder(`${mount} "$2"`, ...inNameSpace);
    expect(outcomes).toEqual(new Array(3).fill('FILE_WRITE_FAILED ENOSPC'));
  });

  it.runIf(process.platform !== 'win32')('keeps the old files where no file may be so large', () => {
    expect(overwriteUnder('ulimit -f 128')).toEqual(new Array(3).fill('FILE_WRITE_FAILED EFBIG'));
  });
});
