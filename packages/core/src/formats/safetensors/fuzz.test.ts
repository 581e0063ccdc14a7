/** Damaged and hostile files: whatever the bytes, the reader gives tensors that fit the file or a typed error. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMarianaError } from '../../errors.ts';
import { MemorySink } from '../sink.ts';
import type { ByteSource } from '../source.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { SafetensorsFile } from './safetensors-file.ts';
import { writeSafetensors } from './writer.ts';

/** A `ByteSource` that fails the test if it is asked for more memory than the file has. */
function guarded(bytes: Uint8Array): ByteSource {
  const inner = new MemorySource(bytes, 'fuzzed');
  return {
    name: inner.name,
    byteLength: inner.byteLength,
    async read(offset, target) {
      expect(target.byteLength).toBeLessThanOrEqual(bytes.length);
      await inner.read(offset, target);
    },
    close: () => inner.close(),
  };
}

/** Opens and reads everything. True if it could be read; false after a typed error; any other error fails the test. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  try {
    const file = await SafetensorsFile.open(guarded(bytes));
    let total = 0;
    for (const name of file.names()) {
      total += file.info(name).byteLength;
      await file.read(name);
      await file.readF32(name);
    }
    expect(total).toBeLessThanOrEqual(bytes.length);
    return true;
  } catch (error) {
    if (!isMarianaError(error)) throw error;
    expect(['CHECKPOINT_CORRUPT', 'SOURCE_TRUNCATED']).toContain(error.code);
    expect(error.message).not.toContain('\n');
    return false;
  }
}

async function sample(): Promise<Uint8Array> {
  const sink = new MemorySink();
  const tensors = [
    { name: 'model.weight', dtype: 'e4m3', shape: [3, 5], data: new Uint8Array(15) },
    { name: 'model.weight_scale_inv', dtype: 'f32', shape: [1, 1], data: Float32Array.of(1) },
    { name: 'norm', dtype: 'bf16', shape: [4], data: new Uint16Array(4) },
  ] as const;
  await writeSafetensors(sink, tensors, { metadata: { format: 'pt' } });
  return sink.bytes();
}

function withHeader(json: string, data: Uint8Array): Uint8Array {
  const header = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + header.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  bytes.set(data, 8 + header.length);
  return bytes;
}

describe('a safetensors file', () => {
  it('is refused when cut at any byte', async () => {
    const bytes = await sample();
    expect(await survives(bytes)).toBe(true);
    for (let length = 0; length < bytes.length; length++) {
      expect(await survives(bytes.subarray(0, length)), `cut to ${length} bytes`).toBe(false);
    }
    expect(await survives(Uint8Array.from([...bytes, 0]))).toBe(false);
  });

  it('survives any change of its bytes', async () => {
    const bytes = await sample();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        async (changes) => {
          const changed = bytes.slice();
          for (const [at, value] of changes) changed[at] = value;
          await survives(changed);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('survives any change of the text of its header', async () => {
    const bytes = await sample();
    const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const json = new TextDecoder().decode(bytes.subarray(8, headerEnd)).trimEnd();
    const tokens = [
      '"',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '-',
      '0',
      '1e9',
      '9007199254740992',
      '1e400',
      '"F64"',
      'null',
      '\\',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(json.length), fc.nat(8), fc.constantFrom(...tokens)), { minLength: 1, maxLength: 3 }),
        async (changes) => {
          let text = json;
          for (const [at, cut, token] of changes) text = text.slice(0, at) + token + text.slice(at + cut);
          await survives(withHeader(text, bytes.subarray(headerEnd)));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('survives any header of the right form with the wrong numbers', async () => {
    const number = fc.oneof(
      fc.integer({ min: -2, max: 40 }),
      fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53, 2 ** 60, 1e308, 0.5),
      fc.constantFrom<unknown>('1', null, [], {}),
    );
    const entry = fc.record(
      {
        dtype: fc.constantFrom<unknown>('F32', 'BF16', 'F8_E4M3', 'U8', 'F64', 'F4', 'f32', '', 7, null),
        shape: fc.oneof(fc.array(number, { maxLength: 4 }), number),
        data_offsets: fc.oneof(fc.tuple(number, number), fc.array(number, { maxLength: 3 }), number),
      },
      { requiredKeys: [] },
    );
    const headers = fc.dictionary(fc.oneof(fc.constantFrom('a', 'b', '__metadata__'), fc.string()), entry, {
      maxKeys: 4,
    });
    await fc.assert(
      fc.asyncProperty(headers, fc.uint8Array({ maxLength: 40 }), async (header, data) => {
        await survives(withHeader(JSON.stringify(header), data));
      }),
      { numRuns: 2000 },
    );
  });

  it('survives random bytes, also behind a length that fits', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, fits) => {
        const changed = bytes.slice();
        if (fits && changed.length >= 8) new DataView(changed.buffer).setBigUint64(0, BigInt(changed.length - 8), true);
        expect(await survives(changed)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });
});
