/** What a safetensors header may and may not say. Mutated and random headers: fuzz.test.ts. */
import { describe, expect, it } from 'vitest';
import { type ByteSource, readBytes } from '../source.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { readHeader } from './header.ts';
import { SafetensorsFile } from './safetensors-file.ts';

/** A file with this header and `dataBytes` bytes of values. */
function file(header: string | Uint8Array, dataBytes: number, headerBytes?: number | bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes ?? json.length), true);
  bytes.set(json, 8);
  for (let i = 0; i < dataBytes; i++) bytes[8 + json.length + i] = i;
  return bytes;
}

const open = (bytes: Uint8Array) => SafetensorsFile.open(new MemorySource(bytes, 'test.safetensors'));

const refuses = (bytes: Uint8Array, code: string, message: string) =>
  expect(open(bytes)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });

const tensor = (dtype: unknown, shape: unknown, data_offsets: unknown) =>
  JSON.stringify({ t: { dtype, shape, data_offsets } });

describe('SafetensorsFile', () => {
  it('reads names, shapes, values and metadata', async () => {
    const header = `{"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[2,3],"data_offsets":[8,14]},
      "a":{"dtype":"BF16","shape":[],"data_offsets":[6,8],"extra":1},"c":{"dtype":"I16","shape":[3],"data_offsets":[0,6]},
      "none":{"dtype":"F32","shape":[4,0],"data_offsets":[8,8]}}   `;
    const opened = await open(file(header, 14));
    expect(opened.names()).toEqual(['c', 'a', 'none', 'b']);
    expect(opened.metadata).toEqual(new Map([['format', 'pt']]));
    expect(opened.info('b')).toMatchObject({
      name: 'b',
      dtype: 'u8',
      shape: [2, 3],
      byteLength: 6,
      file: 'test.safetensors',
    });
    expect(await opened.read('b')).toEqual(Uint8Array.of(8, 9, 10, 11, 12, 13));
    expect(await opened.readF32('c')).toEqual(Float32Array.of(0x0100, 0x0302, 0x0504));
    expect(await opened.readF32('none')).toEqual(new Float32Array(0));
    expect(await readBytes(opened.source('b'), 4, 2)).toEqual(Uint8Array.of(12, 13));
    expect(opened.source('b').name).toBe('test.safetensors: b');
  });

  it('says which tensor is missing', async () => {
    const opened = await open(file('{}', 0));
    expect(opened.names()).toEqual([]);
    for (const name of ['t', 'constructor', '__proto__']) {
      expect(opened.has(name)).toBe(false);
      expect(() => opened.info(name)).toThrow(
        expect.objectContaining({ code: 'TENSOR_MISSING', message: expect.stringContaining(name) }),
      );
      expect(() => opened.source(name)).toThrow(expect.objectContaining({ code: 'TENSOR_MISSING' }));
    }
    await expect(opened.readF32('t')).rejects.toMatchObject({ code: 'TENSOR_MISSING' });
  });

  it('reads a header longer than its first read, and decodes tensors longer than a piece', async () => {
    const padding = ' '.repeat(100_000);
    const count = 3_000_000;
    const bytes = file(`{"t":{"dtype":"U16","shape":[${count}],"data_offsets":[0,${2 * count}]}}${padding}`, 2 * count);
    const values = await (await open(bytes)).readF32('t');
    expect(values).toHaveLength(count);
    const at = (i: number) => ((2 * i) & 255) + 256 * ((2 * i + 1) & 255);
    for (const i of [0, 1, 2_097_151, 2_097_152, count - 1]) expect(values[i]).toBe(at(i));
  });

  it('refuses files that are too short for their header, without reading on', async () => {
    for (let length = 0; length < 8; length++)
      await refuses(new Uint8Array(length), 'SOURCE_TRUNCATED', `${length} bytes`);
    await refuses(file('{}', 0, 3), 'SOURCE_TRUNCATED', 'header of 3 bytes');
    await refuses(file('{}', 0, 100_000_000), 'SOURCE_TRUNCATED', 'header of 100000000 bytes');
  });

  it('refuses headers beyond reason before taking memory for them', async () => {
    for (const claim of [100_000_001n, 2n ** 60n, 2n ** 64n - 1n]) {
      let read = 0;
      const source: ByteSource = {
        name: 'huge',
        byteLength: 2 ** 52,
        async read(_offset, target) {
          read += target.byteLength;
          new DataView(target.buffer, target.byteOffset).setBigUint64(0, claim, true);
        },
        close: async () => undefined,
      };
      await expect(readHeader(source)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' });
      expect(read).toBeLessThan(100_000);
    }
  });

  it('refuses headers that are not a JSON object in UTF-8', async () => {
    await refuses(file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), 'CHECKPOINT_CORRUPT', 'UTF-8');
    await refuses(file('{"t"', 0), 'CHECKPOINT_CORRUPT', 'not JSON');
    await refuses(file('', 0), 'CHECKPOINT_CORRUPT', 'not JSON');
    for (const json of ['[]', 'null', '3', '"text"'])
      await refuses(file(json, 0), 'CHECKPOINT_CORRUPT', 'not a JSON object');
    await refuses(file('['.repeat(100_000), 0), 'CHECKPOINT_CORRUPT', 'deep');
  });

  it('refuses a tensor named twice', async () => {
    const one = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    await refuses(file(`{"t":${one},"t":${one}}`, 1), 'CHECKPOINT_CORRUPT', '"t" is given for the second time');
    await refuses(
      file(`{"t":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1),
      'CHECKPOINT_CORRUPT',
      '"dtype"',
    );
  });

  it.each([
    ['an entry that is no object', '{"t":[1]}', 0, 'not described'],
    ['an unknown dtype', tensor('F4', [2], [0, 1]), 1, 'dtype "F4"; known are BOOL'],
    ['a dtype that every object has', tensor('constructor', [1], [0, 1]), 1, 'dtype "constructor"'],
    ['no dtype', tensor(undefined, [1], [0, 1]), 1, 'dtype missing'],
    ['no shape', tensor('U8', undefined, [0, 1]), 1, 'shape missing'],
    ['a negative size', tensor('U8', [-1], [0, 1]), 1, 'shape [-1]'],
    ['a size that is not whole', tensor('U8', [1.5], [0, 1]), 1, 'shape [1.5]'],
    ['a size that is no number', tensor('U8', ['1'], [0, 1]), 1, 'shape ["1"]'],
    ['a size beyond exact numbers', tensor('U8', [2 ** 60], [0, 1]), 1, 'shape'],
    ['sizes whose product overflows', tensor('F32', [2 ** 40, 2 ** 40], [0, 1]), 1, 'no file can hold'],
    ['no offsets', tensor('U8', [1], undefined), 1, 'data_offsets missing'],
    ['one offset', tensor('U8', [1], [0]), 1, 'data_offsets [0]'],
    ['three offsets', tensor('U8', [1], [0, 1, 2]), 1, 'data_offsets [0,1,2]'],
    ['a negative offset', tensor('U8', [1], [-1, 0]), 1, 'data_offsets [-1,0]'],
    ['an end before the begin', tensor('U8', [1], [1, 0]), 1, 'takes 1 bytes'],
    ['too few bytes for the shape', tensor('F32', [2], [0, 4]), 4, 'takes 8 bytes'],
    ['too many bytes for the shape', tensor('BF16', [1], [0, 4]), 4, 'takes 2 bytes'],
    ['a hole at the start', tensor('U8', [1], [1, 2]), 2, 'leaves a hole after the start of the data'],
    ['bytes that belong to no tensor', tensor('U8', [1], [0, 1]), 2, 'but the file goes on'],
    ['metadata that is no object', '{"__metadata__":[]}', 0, '__metadata__ is not an object'],
    ['metadata that is no string', '{"__metadata__":{"a":1}}', 0, 'something else than a string at "a"'],
  ])('refuses %s', async (_what, header, dataBytes, message) => {
    await refuses(file(header, dataBytes), 'CHECKPOINT_CORRUPT', message);
  });

  it('refuses tensors that overlap or leave a hole, naming both', async () => {
    const two = (begin: number) =>
      `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[${begin},${begin + 4}]}}`;
    await refuses(file(two(3), 8), 'CHECKPOINT_CORRUPT', '"b" at byte');
    await refuses(file(two(3), 8), 'CHECKPOINT_CORRUPT', 'overlaps the end of "a"');
    await refuses(file(two(0), 8), 'CHECKPOINT_CORRUPT', 'overlaps');
    await refuses(file(two(5), 9), 'CHECKPOINT_CORRUPT', 'leaves a hole after the end of "a"');
    expect((await open(file(two(4), 8))).names()).toEqual(['a', 'b']);
  });

  it('refuses tensors that reach beyond the end of the file', async () => {
    await refuses(file(tensor('U8', [10], [0, 10]), 9), 'SOURCE_TRUNCATED', 'cut short');
    await refuses(file(tensor('U8', [2 ** 52], [0, 2 ** 52]), 9), 'SOURCE_TRUNCATED', 'cut short');
  });

  it('does not repeat long names in full', async () => {
    const name = 'n'.repeat(100_000);
    await expect(open(file(`{"${name}":1}`, 0))).rejects.toSatisfy((error: Error) => error.message.length < 400);
  });
});
