import { describe, expect, it } from 'vitest';
import type { CheckpointFiles } from '../files/checkpoint-files.ts';
import { type FileContent, MemoryFiles } from '../files/memory-files.ts';
import { MemorySink } from '../sink.ts';
import { readBytes } from '../source.ts';
import { Checkpoint } from './checkpoint.ts';
import { writeSafetensors } from './writer.ts';

/** A safetensors file with one byte tensor a name, its value the number given. */
async function shard(tensors: Readonly<Record<string, number>>): Promise<Uint8Array> {
  const sink = new MemorySink();
  const list = Object.entries(tensors).map(([name, value]) => ({
    name,
    dtype: 'u8' as const,
    shape: [1],
    data: Uint8Array.of(value),
  }));
  await writeSafetensors(sink, list);
  return sink.bytes();
}

const index = (weight_map: unknown) => JSON.stringify({ metadata: { total_size: 3 }, weight_map });

/** A good checkpoint of two files; `changes` replaces files or, with undefined, leaves them out. */
async function files(changes: Readonly<Record<string, FileContent | undefined>> = {}): Promise<Watched> {
  const all: Record<string, FileContent | undefined> = {
    'model.safetensors.index.json': index({ a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' }),
    'one.safetensors': await shard({ a: 1, b: 2 }),
    'two.safetensors': await shard({ c: 3 }),
    ...changes,
  };
  const present = Object.entries(all).filter((file): file is [string, FileContent] => file[1] !== undefined);
  return new Watched(new MemoryFiles(new Map(present), 'place'));
}

/** Counts what is open. */
class Watched implements CheckpointFiles {
  readonly name: string;
  readonly #inner: CheckpointFiles;
  open_ = 0;

  constructor(inner: CheckpointFiles) {
    this.name = inner.name;
    this.#inner = inner;
  }

  async open(file: string) {
    const source = await this.#inner.open(file);
    this.open_++;
    return {
      name: source.name,
      byteLength: source.byteLength,
      read: (offset: number, target: Uint8Array) => source.read(offset, target),
      close: async () => {
        this.open_--;
        await source.close();
      },
    };
  }

  exists(file: string) {
    return this.#inner.exists(file);
  }
}

async function refuses(
  changes: Readonly<Record<string, FileContent | undefined>>,
  code: string,
  ...messages: readonly string[]
): Promise<void> {
  const place = await files(changes);
  const opening = Checkpoint.open(place);
  await expect(opening).rejects.toMatchObject({ code });
  for (const message of messages) {
    await expect(opening).rejects.toMatchObject({ message: expect.stringContaining(message) });
  }
  expect(place.open_).toBe(0);
}

describe('Checkpoint', () => {
  it('opens one file', async () => {
    const place = new Watched(new MemoryFiles({ 'model.safetensors': await shard({ x: 7 }) }));
    const checkpoint = await Checkpoint.open(place);
    expect(checkpoint.names()).toEqual(['x']);
    expect(await checkpoint.readF32('x')).toEqual(Float32Array.of(7));
    await checkpoint.close();
    expect(place.open_).toBe(0);
  });

  it('opens several files by their index', async () => {
    const place = await files();
    const checkpoint = await Checkpoint.open(place);
    expect(checkpoint.name).toBe('place');
    expect(checkpoint.names()).toEqual(['a', 'b', 'c']);
    expect(checkpoint.has('c')).toBe(true);
    expect(checkpoint.has('d')).toBe(false);
    expect(checkpoint.info('c')).toEqual(
      expect.objectContaining({ name: 'c', dtype: 'u8', shape: [1], byteLength: 1, file: 'place: two.safetensors' }),
    );
    expect(await readBytes(checkpoint.source('b'))).toEqual(Uint8Array.of(2));
    expect(await checkpoint.read('c')).toEqual(Uint8Array.of(3));
    expect(() => checkpoint.info('d')).toThrow(expect.objectContaining({ code: 'TENSOR_MISSING' }));
    expect(() => checkpoint.source('toString')).toThrow(expect.objectContaining({ code: 'TENSOR_MISSING' }));
    expect(place.open_).toBe(2);
    await checkpoint.close();
    expect(place.open_).toBe(0);
    await expect(checkpoint.read('a')).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it('prefers the single file where there are both, as other readers do', async () => {
    const checkpoint = await Checkpoint.open(await files({ 'model.safetensors': await shard({ x: 7 }) }));
    expect(checkpoint.names()).toEqual(['x']);
  });

  it('says that a place has no checkpoint', async () => {
    await refuses({ 'model.safetensors.index.json': undefined }, 'FILE_NOT_FOUND', 'place', 'model.safetensors');
  });

  it('says which file of the index is missing or damaged', async () => {
    await refuses({ 'two.safetensors': undefined }, 'FILE_NOT_FOUND', 'two.safetensors');
    await refuses({ 'two.safetensors': (await shard({ c: 3 })).slice(0, -1) }, 'SOURCE_TRUNCATED', 'two.safetensors');
    await refuses({ 'two.safetensors': 'not tensors at all' }, 'CHECKPOINT_CORRUPT', 'two.safetensors');
    await refuses({ 'one.safetensors': undefined, 'two.safetensors': undefined }, 'FILE_NOT_FOUND', 'one.safetensors');
  });

  it.each([
    ['is no JSON', '{"weight_map": ', 'line 1'],
    ['has no map', '{"metadata": {}}', 'no weight_map'],
    ['has a list for a map', index(['a']), 'no weight_map'],
    ['is a list', '[]', 'no weight_map'],
    ['is null', 'null', 'no weight_map'],
    ['has an empty map', index({}), 'empty'],
    ['names no file', index({ a: 5 }), 'no file name for tensor "a"'],
    ['leads out of the folder', index({ a: '../../etc/passwd' }), '"../../etc/passwd"'],
    ['leads to the root', index({ a: '/etc/passwd' }), '"/etc/passwd"'],
    ['leads to another drive', index({ a: 'C:\\model.safetensors' }), 'no file of its folder'],
    ['names a tensor twice', '{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}', 'second time'],
  ])('refuses an index that %s', async (_what, json, message) => {
    await refuses({ 'model.safetensors.index.json': json }, 'CHECKPOINT_CORRUPT', 'index.json', message);
  });

  it('refuses index and files that disagree', async () => {
    await refuses({ 'two.safetensors': await shard({}) }, 'CHECKPOINT_CORRUPT', '"c"', 'does not have it');
    await refuses({ 'two.safetensors': await shard({ c: 3, d: 4 }) }, 'CHECKPOINT_CORRUPT', '"d"', 'does not list it');
    await refuses({ 'two.safetensors': await shard({ c: 3, a: 4 }) }, 'CHECKPOINT_CORRUPT', '"a" is in two files');
    await refuses({ 'one.safetensors': await shard({ a: 1, c: 3 }) }, 'CHECKPOINT_CORRUPT', '"c"', 'places it in "two');
  });
});
