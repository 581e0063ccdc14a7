import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesPerElement, DTYPES } from '../../dtype/index.ts';
import { type ByteSink, MemorySink } from '../sink.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { SafetensorsFile } from './safetensors-file.ts';
import { planShards } from './shards.ts';
import { type TensorToWrite, tensorBytes, type WriteSafetensorsOptions, writeSafetensors } from './writer.ts';

async function write(tensors: Iterable<TensorToWrite>, options?: WriteSafetensorsOptions): Promise<Uint8Array> {
  const sink = new MemorySink();
  const length = await writeSafetensors(sink, tensors, options);
  expect(sink.bytes()).toHaveLength(length);
  return sink.bytes();
}

const open = (bytes: Uint8Array) => SafetensorsFile.open(new MemorySource(bytes));

/** Tensors of every dtype, odd shapes and names, with random bytes. */
const someTensors = fc.uniqueArray(
  fc
    .record({
      name: fc
        .string({ unit: 'grapheme', maxLength: 12 })
        .filter((name) => name !== '__metadata__' && name.isWellFormed()),
      dtype: fc.constantFrom(...DTYPES),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
    })
    .chain(({ name, dtype, shape }) => {
      const length = tensorBytes({ dtype, shape });
      return fc.uint8Array({ minLength: length, maxLength: length }).map((data) => ({ name, dtype, shape, data }));
    }),
  { selector: ({ name }) => name, maxLength: 8 },
);

describe('writeSafetensors', () => {
  it('writes what reads back the same, however the values are given', async () => {
    const strings = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(someTensors, strings, fc.constantFrom('aligned', 'given'), async (tensors, metadata, order) => {
        const given = tensors.map(
          (tensor, i): TensorToWrite => ({
            ...tensor,
            data: [tensor.data, () => tensor.data, async () => new MemorySource(tensor.data)][i % 3]!,
          }),
        );
        const bytes = await write(given, { metadata, order });
        const file = await open(bytes);
        expect(new Set(file.names())).toEqual(new Set(tensors.map(({ name }) => name)));
        for (const { name, dtype, shape, data } of tensors) {
          expect(file.info(name)).toMatchObject({ dtype, shape, byteLength: data.length });
          expect(await file.read(name)).toEqual(data);
        }
        expect(Object.fromEntries(file.metadata)).toEqual({ ...metadata });
        expect(new DataView(bytes.buffer).getBigUint64(0, true) % 8n).toBe(0n);
      }),
    );
  });

  it('gives the same file for the same tensors in any order, each aligned to its elements', async () => {
    await fc.assert(
      fc.asyncProperty(someTensors, fc.infiniteStream(fc.nat()), async (tensors, random) => {
        const shuffled = tensors.map((tensor) => ({ tensor, key: random.next().value as number }));
        shuffled.sort((a, b) => a.key - b.key);
        const bytes = await write(tensors);
        expect(await write(shuffled.map(({ tensor }) => tensor))).toEqual(bytes);
        let offset = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
        const file = await open(bytes);
        for (const name of file.names()) {
          const { dtype, byteLength } = file.info(name);
          expect(offset % bytesPerElement(dtype)).toBe(0);
          offset += byteLength;
        }
      }),
    );
  });

  it('writes the header that other implementations write', async () => {
    const bytes = await write(
      [
        { name: 'b', dtype: 'e4m3', shape: [3], data: Uint8Array.of(1, 2, 3) },
        { name: 'a', dtype: 'f32', shape: [1, 2], data: Float32Array.of(1, -1) },
        { name: 'c', dtype: 'f32', shape: [], data: Float32Array.of(0.5) },
      ],
      { metadata: { format: 'pt' } },
    );
    const json =
      '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},' +
      '"c":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"b":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[12,15]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length))).toBe(padded);
    expect([...bytes.subarray(8 + padded.length)]).toEqual([
      0, 0, 0x80, 0x3f, 0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f, 1, 2, 3,
    ]);
  });

  it('makes one tensor after another, each when its turn comes', async () => {
    const events: string[] = [];
    const tensor = (name: string): TensorToWrite => ({
      name,
      dtype: 'u8',
      shape: [2],
      data: async () => {
        events.push(`make ${name}`);
        return new Uint8Array(2);
      },
    });
    await writeSafetensors({ write: async (bytes) => void events.push(`write ${bytes.length}`) }, [
      tensor('b'),
      tensor('a'),
    ]);
    expect(events).toEqual([expect.stringMatching(/^write/), 'make a', 'write 2', 'make b', 'write 2']);
  });

  it('copies a large source piece by piece', async () => {
    const data = Uint8Array.from({ length: 9_000_000 }, (_, i) => i % 241);
    let largest = 0;
    const sink = new MemorySink();
    const measuring: ByteSink = {
      async write(bytes) {
        largest = Math.max(largest, bytes.length);
        await sink.write(bytes);
      },
    };
    await writeSafetensors(measuring, [{ name: 't', dtype: 'u8', shape: [9_000_000], data: new MemorySource(data) }]);
    expect(largest).toBeLessThan(5_000_000);
    expect(Buffer.compare(await (await open(sink.bytes())).read('t'), data)).toBe(0);
    expect(Buffer.compare(new Uint8Array(await sink.blob().arrayBuffer()), sink.bytes())).toBe(0);
  });

  it('refuses before writing anything', async () => {
    const good: TensorToWrite = { name: 't', dtype: 'u8', shape: [1], data: new Uint8Array(1) };
    const bad: readonly Partial<TensorToWrite>[] = [
      { name: '__metadata__' },
      { name: '\ud800' },
      { name: 'good' },
      { shape: [-1] },
      { shape: [0.5] },
      { shape: [2 ** 40, 2 ** 40] },
      { dtype: 'f4' as never },
    ];
    for (const change of bad) {
      const sink = new MemorySink();
      const tensors = [
        { ...good, name: 'good' },
        { ...good, ...change },
      ];
      await expect(writeSafetensors(sink, tensors)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(sink.bytes()).toHaveLength(0);
    }
  });

  it('refuses values that are not as many bytes as the shape says', async () => {
    const tensor: TensorToWrite = { name: 'w', dtype: 'bf16', shape: [2, 3], data: new Float32Array(6) };
    await expect(writeSafetensors(new MemorySink(), [tensor])).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(/"w": bf16 of shape \[2, 3\] takes 12 bytes, its values have 24/),
    });
  });
});

describe('planShards', () => {
  const tensor = (name: string, bytes: number): TensorToWrite => ({
    name,
    dtype: 'u8',
    shape: [bytes],
    data: new Uint8Array(bytes),
  });

  it('needs no index for one file', () => {
    const plan = planShards([tensor('b', 5), tensor('a', 5)], 10);
    expect(plan.files.map(({ name }) => name)).toEqual(['model.safetensors']);
    expect(plan.index).toBeUndefined();
    expect(plan.totalBytes).toBe(10);
  });

  it('fills files in the order given, and gives one of its own to what is too large', () => {
    const plan = planShards([tensor('c', 6), tensor('b', 4), tensor('big', 30), tensor('a', 1)], 10);
    expect(plan.files.map(({ name, tensors }) => [name, tensors.map((member) => member.name)])).toEqual([
      ['model-00001-of-000003.safetensors', ['c', 'b']],
      ['model-00002-of-000003.safetensors', ['big']],
      ['model-00003-of-000003.safetensors', ['a']],
    ]);
    expect(plan.index).toEqual({
      metadata: { total_size: 41 },
      weight_map: {
        a: 'model-00003-of-000003.safetensors',
        b: 'model-00001-of-000003.safetensors',
        big: 'model-00002-of-000003.safetensors',
        c: 'model-00001-of-000003.safetensors',
      },
    });
    expect(Object.keys(plan.index?.weight_map ?? {})).toEqual(['a', 'b', 'big', 'c']);
  });

  it('refuses a name given twice and limits below one', () => {
    expect(() => planShards([tensor('a', 6), tensor('a', 6)], 10)).toThrow(/"a" is given twice/);
    for (const limit of [0, -1, Number.NaN]) {
      expect(() => planShards([], limit)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });
});
