/** Weights that are larger than a device binds at once are cut, and nobody sees it. */
import { MemorySource, quantizeBlocks, viewAsBytes, type WeightSource } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FusingBackend } from '../src/fusion/fusing-backend.ts';
import { type WebGpuBackend, webgpu } from '../src/index.ts';
import { linear, matrixOf, weightRows } from '../src/ops/linear.ts';
import { mixture } from '../src/ops/mixture.ts';
import { WebGpuWeight } from '../src/weights/gpu-weight.ts';
import { loadStack, type WeightMemory } from '../src/weights/load-weights.ts';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await webgpu();
});
afterAll(() => backend.dispose());

const values = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 12.9898) * 3);

function fp8(out: number, inputs: number): WeightSource {
  const { codes, scales } = quantizeBlocks(values(out * inputs), out, inputs);
  return {
    name: 'w',
    format: 'fp8',
    shape: [out, inputs],
    blockSize: [128, 128],
    values: new MemorySource(viewAsBytes(codes), 'codes'),
    scales: new MemorySource(viewAsBytes(scales), 'scales'),
  };
}

const f32 = (out: number, inputs: number): WeightSource => ({
  name: 'w',
  format: 'f32',
  shape: [out, inputs],
  values: new MemorySource(viewAsBytes(values(out * inputs)), 'values'),
});

/** The memory of the device, as if it bound no more than this. */
function memoryOf(maxBytes: number): WeightMemory & { readonly made: number[] } {
  const made: number[] = [];
  return {
    maxBytes,
    made,
    async allocate(label, size) {
      made.push(size);
      return backend.device.createBuffer({ label, size, usage: 128 | 8 | 4 });
    },
    write: (buffer, offset, bytes) => backend.device.queue.writeBuffer(buffer, offset, bytes),
    drain: () => backend.device.queue.onSubmittedWorkDone(),
    free: (buffer) => buffer.destroy(),
  };
}

describe.each([
  ['f32', f32(300, 36), 36 * 4 * 70],
  ['fp8', fp8(300, 130), 144 * 140],
] as const)('%s', (_, source, maxBytes) => {
  test('products and rows are the same as in one piece', async () => {
    const [out, inputs] = source.shape;
    using whole = await backend.loadWeight(source);
    const memory = memoryOf(maxBytes);
    using cut = new WebGpuWeight(backend, await loadStack(memory, [source], 'native'), 0, () => {});
    expect(cut.stack.parts.length).toBeGreaterThan(2);
    expect(Math.max(...memory.made)).toBeLessThanOrEqual(maxBytes);
    for (const tokens of [1, 3, 40]) {
      using x = backend.upload(values(tokens * inputs), [tokens, inputs]);
      using expected = backend.linear(x, whole);
      using actual = linear(backend, x, matrixOf(cut), 1, [tokens, out]);
      expect(await actual.read()).toEqual(await expected.read());
    }
    using expected = backend.dequantize(whole);
    using actual = weightRows(backend, matrixOf(cut), null, source.shape);
    expect(await actual.read()).toEqual(await expected.read());
    using ids = backend.upload(Int32Array.of(299, 0, 128, 77), [4]);
    using someExpected = backend.embed(ids, whole);
    using some = weightRows(backend, matrixOf(cut), ids, [4, inputs]);
    expect(await some.read()).toEqual(await someExpected.read());
  });

  test('a stack is cut between its matrices', async () => {
    const [out, inputs] = source.shape;
    const bytes = 16 * Math.ceil(inputs / (source.format === 'f32' ? 4 : 16)) * out;
    const stack = await loadStack(memoryOf(2 * bytes), [source, source, source, source, source], 'native');
    expect(stack.parts.map(({ rows }) => rows / out)).toEqual([2, 2, 1]);
    const weights = Array.from({ length: 5 }, (_, i) => new WebGpuWeight(backend, stack, i, () => {}));
    using whole = await backend.loadWeight(source);
    using expected = backend.dequantize(whole);
    for (const weight of weights) {
      using actual = weightRows(backend, matrixOf(weight), null, source.shape);
      expect(await actual.read()).toEqual(await expected.read());
      weight.dispose();
    }
  });
});

test('experts in several buffers make of their tokens what they make in one', async () => {
  const [tokens, perToken, count, hidden, width] = [2, 3, 5, 40, 12];
  const stacks = async (maxBytes: number) => {
    const load = (shape: readonly [number, number]) =>
      loadStack(
        memoryOf(maxBytes),
        Array.from({ length: count }, () => f32(...shape)),
        'native',
      );
    const [gate, up, down] = [await load([width, hidden]), await load([width, hidden]), await load([hidden, width])];
    const config = { weights: { format: 'f32', scaleBlock: [1, 0] }, hidden, width } as const;
    return { gate, up, down, config, experts: count };
  };
  const [whole, cut] = [await stacks(2 ** 20), await stacks(2 * 4 * hidden * width)];
  expect([whole.down.parts.length, cut.down.parts.length]).toEqual([1, 3]);
  const device = backend as FusingBackend;
  const weights = new Int32Array(Float32Array.of(0.5, 2, -1, 1, 0.25, 3).buffer);
  const choice = Int32Array.from([4, 0, 2, 1, 3, 4].flatMap((expert, slot) => [expert, weights[slot]!]));
  using chosen = backend.upload(choice, [tokens, perToken, 2]);
  using x = backend.upload(values(tokens * hidden), [tokens, hidden]);
  using residual = backend.upload(values(tokens * hidden), [tokens, hidden]);
  using expected = mixture(device, { x, choice: chosen, stacks: whole }, null, residual);
  using actual = mixture(device, { x, choice: chosen, stacks: cut }, null, residual);
  const [a, b] = [(await actual.read()) as Float32Array, (await expected.read()) as Float32Array];
  const largest = Math.max(...b.map(Math.abs));
  for (const [i, value] of b.entries()) expect(Math.abs(a[i]! - value)).toBeLessThan(1e-5 * largest);
});

test('a row that is over the limit is refused, and nothing is left', async () => {
  const source = f32(4, 400);
  await expect(loadStack(memoryOf(1000), [source], 'native')).rejects.toMatchObject({
    name: 'MarianaError',
    code: 'OUT_OF_MEMORY',
  });
});
