/** What is written is read back, and what a file says wrongly is refused by name. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBlocks, encodeBlocks } from '../../dtype/block-formats.ts';
import { viewAsBytes } from '../../dtype/convert.ts';
import { MemorySink } from '../sink.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { GgufFile } from './gguf-file.ts';
import type { GgufMetadata, GgufValue } from './value.ts';
import { type GgufTensorToWrite, writeGguf } from './writer.ts';

async function write(metadata: GgufMetadata, tensors: readonly GgufTensorToWrite[] = []): Promise<Uint8Array> {
  const sink = new MemorySink();
  const length = await writeGguf(sink, { metadata, tensors });
  const bytes = sink.bytes();
  expect(bytes.length).toBe(length);
  return bytes;
}

function open(bytes: Uint8Array): Promise<GgufFile> {
  return GgufFile.open(new MemorySource(bytes, 'model.gguf'));
}

const SAMPLE: GgufMetadata = new Map<string, GgufValue>([
  ['general.architecture', { type: 'string', value: 'deepseek2' }],
  ['count', { type: 'u32', value: 3 }],
]);

const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) * (i % 7));
const q8: GgufTensorToWrite = { name: 'q', type: 'Q8_0', shape: [2, 32], data: encodeBlocks('q8_0', values) };
const f32: GgufTensorToWrite = { name: 'f', type: 'F32', shape: [3], data: Float32Array.of(1, -2, 0.5) };

/** Bytes of a file in which the u32 at `at` is another. */
function withU32(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const changed = bytes.slice();
  new DataView(changed.buffer).setUint32(at, value, true);
  return changed;
}

/** Where a text stands in a file. */
function find(bytes: Uint8Array, text: string): number {
  return Buffer.from(bytes).indexOf(text);
}

describe('a GGUF file', () => {
  it('gives back metadata of every type', async () => {
    const scalar = fc.oneof(
      fc.record({ type: fc.constant('u8' as const), value: fc.nat(255) }),
      fc.record({ type: fc.constant('i8' as const), value: fc.integer({ min: -128, max: 127 }) }),
      fc.record({ type: fc.constant('u16' as const), value: fc.nat(65535) }),
      fc.record({ type: fc.constant('i16' as const), value: fc.integer({ min: -32768, max: 32767 }) }),
      fc.record({ type: fc.constant('u32' as const), value: fc.nat(0xffffffff) }),
      fc.record({ type: fc.constant('i32' as const), value: fc.integer() }),
      fc.record({ type: fc.constant('f32' as const), value: fc.float() }),
      fc.record({ type: fc.constant('f64' as const), value: fc.double() }),
      fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
      fc.record({ type: fc.constant('string' as const), value: fc.string({ unit: 'binary' }) }),
      fc.record({ type: fc.constant('u64' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
      fc.record({ type: fc.constant('i64' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
    );
    const array = fc.oneof(
      fc
        .array(fc.string({ unit: 'binary' }))
        .map((value) => ({ type: 'array' as const, of: 'string' as const, value })),
      fc.array(fc.integer()).map((value) => ({ type: 'array' as const, of: 'i32' as const, value })),
      fc.array(fc.boolean()).map((value) => ({ type: 'array' as const, of: 'bool' as const, value })),
    );
    const metadata = fc
      .uniqueArray(fc.tuple(fc.string({ minLength: 1 }), fc.oneof<fc.Arbitrary<GgufValue>[]>(scalar, array)), {
        selector: ([key]) => key,
        maxLength: 20,
      })
      .map((entries) => new Map(entries.filter(([key]) => key !== 'general.alignment')));
    await fc.assert(
      fc.asyncProperty(metadata, async (given) => {
        const file = await open(await write(given));
        expect([...file.metadata]).toEqual([...given]);
      }),
    );
  });

  it('gives dense tensors as they lie and quantised ones as F32', async () => {
    const file = await open(await write(SAMPLE, [q8, f32]));
    expect(file.names()).toEqual(['q', 'f']);
    expect(file.info('f')).toMatchObject({ dtype: 'f32', shape: [3], byteLength: 12, file: 'model.gguf' });
    expect(await file.readF32('f')).toEqual(f32.data);
    expect(file.info('q')).toMatchObject({ dtype: 'f32', shape: [2, 32], byteLength: 256 });
    expect(file.entry('q')).toMatchObject({ type: { name: 'Q8_0' }, byteLength: 68 });
    expect(await file.readF32('q')).toEqual(decodeBlocks('q8_0', q8.data as Uint8Array));
    expect(() => file.info('g')).toThrow(expect.objectContaining({ code: 'TENSOR_MISSING' }));
    await file.close();
  });

  it('decodes any range of a quantised tensor', async () => {
    const file = await open(await write(SAMPLE, [q8]));
    const all = viewAsBytes(decodeBlocks('q8_0', q8.data as Uint8Array));
    await fc.assert(
      fc.asyncProperty(fc.nat(256), fc.nat(256), async (a, b) => {
        const target = new Uint8Array(Math.abs(a - b));
        await file.source('q').read(Math.min(a, b), target);
        expect(target).toEqual(all.slice(Math.min(a, b), Math.max(a, b)));
      }),
    );
  });

  it('reads headers of any length, and keeps the alignment asked for', async () => {
    const tokens = Array.from({ length: 40_000 }, (_, i) => `token ${i}`);
    const metadata = new Map<string, GgufValue>([
      ['general.alignment', { type: 'u32', value: 256 }],
      ['tokens', { type: 'array', of: 'string', value: tokens }],
    ]);
    const file = await open(await write(metadata, [f32, q8]));
    expect(file.metadata.get('tokens')?.value).toEqual(tokens);
    expect(file.entry('f').offset % 256).toBe(0);
    expect(file.entry('q').offset).toBe(file.entry('f').offset + 256);
    expect(await file.readF32('f')).toEqual(f32.data);
  });

  it('holds tensors of up to four dimensions, empty ones and single numbers', async () => {
    const tensors: GgufTensorToWrite[] = [
      { name: 'four', type: 'BF16', shape: [2, 1, 3, 2], data: new Uint16Array(12) },
      { name: 'empty', type: 'F16', shape: [0, 5], data: new Uint16Array(0) },
      { name: 'one', type: 'F32', shape: [], data: Float32Array.of(7) },
    ];
    const file = await open(await write(SAMPLE, tensors));
    for (const { name, shape } of tensors) expect(file.info(name).shape).toEqual(shape);
    expect(await file.readF32('one')).toEqual(Float32Array.of(7));
  });

  it('lists tensors of types that it cannot decode, and says so when they are wanted', async () => {
    const tensor: GgufTensorToWrite = { name: 'x', type: 'IQ2_XXS', shape: [256], data: new Uint8Array(66) };
    const file = await open(await write(SAMPLE, [tensor]));
    expect(file.entry('x').type.name).toBe('IQ2_XXS');
    expect(() => file.source('x')).toThrow(
      expect.objectContaining({ code: 'TENSOR_MISMATCH', message: expect.stringContaining('IQ2_XXS') }),
    );
  });
});

describe('a damaged GGUF file', () => {
  const refused = async (bytes: Uint8Array, code: string, message: RegExp) => {
    const attempt = open(bytes);
    await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  };

  it.each([
    ['another magic', 0, 0x46464952, /does not begin with "GGUF"/],
    ['version 1', 4, 1, /version 1/],
    ['the other byte order', 4, 0x03000000, /big-endian/],
  ])('is refused for %s', async (_what, at, value, message) => {
    await refused(withU32(await write(SAMPLE, [f32]), at, value), 'CHECKPOINT_CORRUPT', message);
  });

  it('is refused for counts beyond its length', async () => {
    const bytes = await write(SAMPLE, [f32]);
    await refused(withU32(bytes, 8, 0x7fffffff), 'SOURCE_TRUNCATED', /number of tensors/);
    await refused(withU32(bytes, 20, 0x7fffffff), 'SOURCE_TRUNCATED', /number of metadata keys/);
    await refused(withU32(bytes, find(bytes, 'deepseek2') - 4, 1), 'SOURCE_TRUNCATED', /length of metadata/);
  });

  it('is refused for keys and tensors given twice', async () => {
    const bytes = await write(new Map([...SAMPLE, ['comet', { type: 'u8', value: 1 } as const]]), [
      { ...f32, name: 'fa' },
      { ...f32, name: 'fb' },
    ]);
    const twice = bytes.slice();
    twice.set(new TextEncoder().encode('count'), find(bytes, 'comet'));
    await refused(twice, 'CHECKPOINT_CORRUPT', /"count" is given twice/);
    bytes.set(new TextEncoder().encode('fa'), find(bytes, 'fb'));
    await refused(bytes, 'CHECKPOINT_CORRUPT', /tensor "fa" is described twice/);
  });

  it('is refused for tensors that overlap, leave holes, or are not aligned', async () => {
    const bytes = await write(SAMPLE, [f32, q8]);
    const offset = find(bytes, 'q') + 1 + 4 + 16 + 4;
    await refused(withU32(bytes, offset, 0), 'CHECKPOINT_CORRUPT', /overlaps/);
    await refused(withU32(bytes, offset, 64), 'CHECKPOINT_CORRUPT', /hole/);
    await refused(withU32(bytes, offset, 33), 'CHECKPOINT_CORRUPT', /no multiple of 32/);
  });

  it('is refused for rows that are no whole number of blocks, and for types that are not known', async () => {
    const bytes = await write(SAMPLE, [q8]);
    const at = find(bytes, 'q') + 1 + 4;
    await refused(withU32(bytes, at, 33), 'CHECKPOINT_CORRUPT', /no whole number of blocks/);
    await refused(withU32(bytes, at + 16, 5), 'CHECKPOINT_CORRUPT', /unknown type 5/);
    await refused(withU32(bytes, at - 4, 5), 'CHECKPOINT_CORRUPT', /5 dimensions/);
    await refused(withU32(bytes, at + 4, 1 << 30), 'CHECKPOINT_CORRUPT', /no file can hold/);
  });

  it('is refused when bytes follow its last tensor', async () => {
    const bytes = await write(SAMPLE, [f32]);
    await refused(Uint8Array.from([...bytes, 0]), 'CHECKPOINT_CORRUPT', /goes on/);
  });

  it('is accepted without the padding after its last tensor, and no byte less', async () => {
    const bytes = await write(SAMPLE, [f32]);
    await open(bytes.subarray(0, bytes.length - 20));
    await refused(bytes.subarray(0, bytes.length - 21), 'SOURCE_TRUNCATED', /tensors need/);
  });
});

describe('writeGguf', () => {
  const refused = async (metadata: [string, unknown][], tensors: unknown[], code = 'INVALID_ARGUMENT') => {
    const sink = new MemorySink();
    const content = { metadata: new Map(metadata), tensors } as never;
    await expect(writeGguf(sink, content)).rejects.toMatchObject({ code });
    return sink.bytes().length;
  };

  it('refuses what no file can say, before it writes', async () => {
    for (const entry of [
      { type: 'u8', value: 256 },
      { type: 'i32', value: 1.5 },
      { type: 'u64', value: 1 },
      { type: 'u64', value: -1n },
      { type: 'string', value: 7 },
      { type: 'string', value: '\ud800' },
      { type: 'array', of: 'u16', value: [1, -1] },
    ]) {
      expect(await refused([['key', entry]], [])).toBe(0);
    }
    expect(await refused([['', { type: 'u8', value: 1 }]], [])).toBe(0);
    expect(await refused([['general.alignment', { type: 'u32', value: 48 }]], [])).toBe(0);
    expect(await refused([], [f32, f32])).toBe(0);
    expect(await refused([], [{ ...f32, name: 'x'.repeat(64) }])).toBe(0);
    expect(await refused([], [{ ...q8, shape: [3, 31] }])).toBe(0);
    expect(await refused([], [{ ...f32, shape: [1, 1, 1, 1, 3] }])).toBe(0);
    await refused([], [{ ...f32, shape: [4] }], 'SHAPE_MISMATCH');
  });

  it('takes content that is made when its turn comes, and sources', async () => {
    const order: string[] = [];
    const lazy = (name: string, content: () => Float32Array): GgufTensorToWrite => ({
      name,
      type: 'F32',
      shape: [3],
      data: async () => {
        order.push(name);
        return content();
      },
    });
    const source = new MemorySource(viewAsBytes(Float32Array.of(4, 5, 6)));
    const file = await open(
      await write(SAMPLE, [
        lazy('a', () => Float32Array.of(1, 2, 3)),
        { name: 'b', type: 'F32', shape: [3], data: source },
        lazy('c', () => Float32Array.of(7, 8, 9)),
      ]),
    );
    expect(order).toEqual(['a', 'c']);
    expect(await file.readF32('b')).toEqual(Float32Array.of(4, 5, 6));
    expect(await file.readF32('c')).toEqual(Float32Array.of(7, 8, 9));
  });
});
