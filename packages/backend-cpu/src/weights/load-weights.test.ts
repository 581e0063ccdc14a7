/** Weights that are loaded together: in the order asked for, and none left behind where one fails. */
import { MarianaError, MemorySource, quantizeGroups, viewAsBytes, type WeightSource } from '@mariana/core';
import { expect, test } from 'vitest';
import { cpu } from '../index.ts';
import { normal } from '../wasm/test-kit.ts';

const [COUNT, ROWS, COLS] = [11, 24, 96];

/** INT8 as a converted checkpoint has it; the first reads take the longest, so that later weights overtake them. */
function sourceOf(index: number, fault?: string): WeightSource {
  const { codes, scales } = quantizeGroups('int8', normal(ROWS * COLS, index), ROWS, COLS, 128);
  const name = `w${index}`;
  const values = new MemorySource(viewAsBytes(codes), name);
  return {
    name,
    format: 'int8',
    shape: [ROWS, COLS],
    groupSize: 128,
    scales: new MemorySource(viewAsBytes(scales), `${name} scales`),
    values: {
      name,
      byteLength: values.byteLength,
      async read(offset, target) {
        await new Promise((resolve) => setTimeout(resolve, COUNT - index));
        if (fault !== undefined) throw new MarianaError('FILE_UNREADABLE', fault);
        await values.read(offset, target);
      },
      close: async () => {},
    },
  };
}

test('come in the order of their sources', async () => {
  using backend = await cpu({ threads: 1 });
  const weights = await backend.loadWeights(Array.from({ length: COUNT }, (_, i) => sourceOf(i)));
  for (const [index, weight] of weights.entries()) {
    using alone = await backend.loadWeight(sourceOf(index));
    using got = backend.dequantize(weight);
    using want = backend.dequantize(alone);
    expect(await got.floats()).toEqual(await want.floats());
    weight.dispose();
  }
});

test('leave nothing behind where some fail, and the first of those is told', async () => {
  using backend = await cpu({ threads: 1 });
  const before = backend.memory();
  const sources = Array.from({ length: COUNT }, (_, i) => sourceOf(i, i === 4 || i === 6 ? `no ${i}` : undefined));
  await expect(backend.loadWeights(sources)).rejects.toThrow('no 4');
  expect(backend.memory()).toEqual(before);
});
