/** Damaged metadata: whatever a file says of itself, it is a model that fits its tensors, or refused with a typed error. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { validateCheckpoint } from '../../../accounting/validate-checkpoint.ts';
import { RandomWeights } from '../../../checkpoint/random-weights.ts';
import { parseConfig } from '../../../config/parse-config.ts';
import { tiny } from '../../../config/presets-small.ts';
import { isMarianaError } from '../../../errors.ts';
import { MemorySink } from '../../sink.ts';
import { MemorySource } from '../../sources/memory-source.ts';
import { GgufFile } from '../gguf-file.ts';
import { tokenizerFromGguf } from '../tokenizer/from-metadata.ts';
import type { GgufMetadata, GgufValue } from '../value.ts';
import { type GgufContent, writeGguf } from '../writer.ts';
import { ggufCheckpoint } from './gguf-checkpoint.ts';
import { ggufModel } from './gguf-model.ts';

const config = parseConfig({
  ...tiny,
  num_hidden_layers: 2,
  rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 64 },
});

let content: GgufContent;
let headerBytes: number;
let sample: Uint8Array;

async function bytesOf(metadata: GgufMetadata): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeGguf(sink, { ...content, metadata });
  return sink.bytes();
}

beforeAll(async () => {
  content = ggufModel(config, new RandomWeights(config), { quant: 'q8_0' });
  sample = await bytesOf(content.metadata);
  const file = await GgufFile.open(new MemorySource(sample));
  // Made once: the tests write the file anew hundreds of times.
  content = {
    ...content,
    tensors: [...content.tensors].map((tensor) => ({ ...tensor, data: file.stored(tensor.name) })),
  };
  headerBytes = Math.min(...file.names().map((name) => file.entry(name).offset));
});

/** True if the file is a whole model; false after a typed error; any other error fails the test. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  try {
    const file = await GgufFile.open(new MemorySource(bytes, 'fuzzed'));
    tokenizerFromGguf(file);
    const checkpoint = ggufCheckpoint(file);
    validateCheckpoint(checkpoint.config, checkpoint);
    await checkpoint.readF32('model.layers.0.self_attn.kv_b_proj.weight');
    return true;
  } catch (error) {
    if (!isMarianaError(error)) throw error;
    expect(error.message).not.toContain('\n');
    return false;
  }
}

describe('a model', () => {
  it('survives any change of the bytes of its header', async () => {
    expect(await survives(sample)).toBe(true);
    const changes = fc.array(fc.tuple(fc.nat(headerBytes - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const changed = sample.slice();
        for (const [at, value] of list) changed[at] = value;
        await survives(changed);
      }),
      { numRuns: 800 },
    );
  });

  it('survives any values of its keys', async () => {
    const value: fc.Arbitrary<GgufValue | null> = fc.oneof(
      fc
        .constantFrom(0, 1, 2, 3, 27, 255, 65_535, 2 ** 31, 2 ** 32 - 1)
        .map((n) => ({ type: 'u32' as const, value: n })),
      fc
        .constantFrom(0, -1, 1e-6, 1e30, Number.NaN, Number.POSITIVE_INFINITY)
        .map((x) => ({ type: 'f32' as const, value: x })),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => ({ type: 'i64' as const, value: n })),
      fc.string().map((text) => ({ type: 'string' as const, value: text })),
      fc.boolean().map((flag) => ({ type: 'bool' as const, value: flag })),
      fc
        .array(fc.string(), { maxLength: 3 })
        .map((list) => ({ type: 'array' as const, of: 'string' as const, value: list })),
      fc
        .array(fc.nat(9), { maxLength: 3 })
        .map((list) => ({ type: 'array' as const, of: 'u32' as const, value: list })),
      fc.constant(null),
    );
    const keys = [...content.metadata.keys(), 'split.count', 'tokenizer.huggingface.json', 'tokenizer.chat_templates'];
    const changes = fc.array(fc.tuple(fc.constantFrom(...keys), value), { minLength: 1, maxLength: 3 });
    let whole = 0;
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const metadata = new Map(content.metadata);
        for (const [key, changed] of list) {
          if (changed === null) metadata.delete(key);
          else metadata.set(key, changed);
        }
        if (await survives(await bytesOf(metadata))) whole++;
      }),
      { numRuns: 400 },
    );
    expect(whole).toBeGreaterThan(0); // some keys have defaults, or do not matter
  });
});
