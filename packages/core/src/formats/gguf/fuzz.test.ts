/** Damaged and hostile files: whatever the bytes, the reader gives tensors that fit the file or a typed error. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { isMarianaError } from '../../errors.ts';
import { MemorySink } from '../sink.ts';
import type { ByteSource } from '../source.ts';
import { MemorySource } from '../sources/memory-source.ts';
import { GgufFile } from './gguf-file.ts';
import type { GgufValue } from './value.ts';
import { writeGguf } from './writer.ts';

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
    const file = await GgufFile.open(guarded(bytes));
    let total = 0;
    for (const name of file.names()) {
      total += file.entry(name).byteLength;
      if (file.entry(name).type.format !== null) await file.readF32(name);
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

let sample: Uint8Array;

beforeAll(async () => {
  const sink = new MemorySink();
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: 'deepseek2' }],
    ['general.alignment', { type: 'u32', value: 32 }],
    ['tokens', { type: 'array', of: 'string', value: ['a', 'bc', 'ü'] }],
    ['types', { type: 'array', of: 'i32', value: [1, 1, 3] }],
    ['flag', { type: 'bool', value: true }],
    ['big', { type: 'u64', value: 2n ** 60n }],
  ]);
  await writeGguf(sink, {
    metadata,
    tensors: [
      { name: 'norm', type: 'F32', shape: [5], data: new Float32Array(5) },
      { name: 'blk.0.attn_k_b.weight', type: 'Q5_0', shape: [2, 1, 32], data: new Uint8Array(44) },
      { name: 'blk.0.ffn_down.weight', type: 'Q4_K', shape: [1, 256], data: new Uint8Array(144) },
    ],
  });
  sample = sink.bytes();
});

describe('a GGUF file', () => {
  it('is refused when cut at any byte before its last value', async () => {
    expect(await survives(sample)).toBe(true);
    for (let length = 0; length < sample.length - 16; length++) {
      expect(await survives(sample.subarray(0, length)), `cut to ${length} bytes`).toBe(false);
    }
    expect(await survives(Uint8Array.from([...sample, 0]))).toBe(false);
  });

  it('survives any change of its bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(sample.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        async (changes) => {
          const changed = sample.slice();
          for (const [at, value] of changes) changed[at] = value;
          await survives(changed);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('survives any 64-bit number anywhere', async () => {
    const number = fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 61n, 2n ** 63n, 2n ** 64n - 1n);
    await fc.assert(
      fc.asyncProperty(fc.nat(sample.length - 8), number, async (at, value) => {
        const changed = sample.slice();
        new DataView(changed.buffer).setBigUint64(at, value, true);
        await survives(changed);
      }),
      { numRuns: 3000 },
    );
  });

  it('survives any other order of its parts, and random bytes behind a true beginning', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(sample.length), fc.uint8Array({ maxLength: 300 }), async (at, bytes) => {
        const changed = Uint8Array.from([...sample.subarray(0, at), ...bytes, ...sample.subarray(at)]);
        await survives(changed);
        await survives(Uint8Array.from([...sample.subarray(0, at), ...bytes]));
      }),
      { numRuns: 1500 },
    );
  });
});
