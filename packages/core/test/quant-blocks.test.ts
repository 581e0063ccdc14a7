/** Block formats against values and bytes that ggml itself made (test/fixtures/quant-blocks): equal to the bit. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BLOCK_LAYOUTS,
  type BlockFormat,
  decodeBlocks,
  encodeBlocks,
  MemorySource,
  SafetensorsFile,
} from '../src/index.ts';

const FORMATS = Object.keys(BLOCK_LAYOUTS) as BlockFormat[];

let expected: SafetensorsFile;

beforeAll(async () => {
  const bytes = readFileSync(new URL('fixtures/quant-blocks/expected.safetensors', import.meta.url));
  expected = await SafetensorsFile.open(new MemorySource(bytes, 'quant-blocks'));
});

function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

describe.each(FORMATS)('%s', (format) => {
  const name = format.toUpperCase();

  it.each(['', 'random_'])('decodes %sblocks to the bit', async (kind) => {
    const bytes = await expected.read(`${name}.${kind}bytes`);
    const values = await expected.readF32(`${name}.${kind}dequant`);
    expect(values.length).toBe((bytes.length / BLOCK_LAYOUTS[format].bytes) * BLOCK_LAYOUTS[format].values);
    expect(bits(decodeBlocks(format, bytes))).toEqual(bits(values));
  });
});

it.each(['q8_0', 'q4_0'] as const)('encodes %s to the bytes of ggml', async (format) => {
  const input = await expected.readF32('input');
  expect(encodeBlocks(format, input)).toEqual(await expected.read(`${format.toUpperCase()}.bytes`));
});
