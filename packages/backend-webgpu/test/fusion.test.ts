/**
 * What is fused is what was asked for: whole decoder layers, step after step, with operations put off and joined against
 * the same kernels one at a time.
 */
import { type ModelConfig, preset, RandomWeights, type Routing } from '@mariana/core';
import { DecoderLayer, PagePool, SingleLayerCache } from '@mariana/layers';
import { expect, test } from 'vitest';
import { type WebGpuBackend, type WebGpuWeights, webgpu } from '../src/index.ts';

const tiny = preset('tiny');
const MOE = tiny.firstKDenseReplace;

/** Tokens of each step: a prompt, of which little is put off, single tokens, and two at once as drafts bring. */
const STEPS = [5, 1, 1, 2];

interface Run {
  readonly config: ModelConfig;
  readonly layer: number;
  readonly dtype: 'f32' | 'bf16';
  readonly onRouting?: (routing: Routing) => Promise<void>;
}

/** What a layer makes of some steps, with what its router said if anybody asks. */
async function run(backend: WebGpuBackend, { config, layer, dtype, onRouting }: Run): Promise<Float32Array[]> {
  using decoder = await DecoderLayer.load(config, new RandomWeights(config), { layer, backend });
  const width = config.kvLoraRank + config.qkRopeHeadDim;
  const pool = new PagePool({ backend, layers: 1, width, maxTokens: 64, initialTokens: 64, dtype });
  using cache = new SingleLayerCache(pool);
  const outputs: Float32Array[] = [];
  for (const [step, tokens] of STEPS.entries()) {
    const values = Float32Array.from({ length: tokens * config.hiddenSize }, (_, i) => Math.sin(i * 1.7 + step));
    using x = backend.upload(values, [tokens, config.hiddenSize]);
    using y = await decoder.forward(x, { cache, ...(onRouting && { onRouting }) });
    outputs.push((await y.read()) as Float32Array);
  }
  return outputs;
}

function expectAlike(actual: readonly Float32Array[], expected: readonly Float32Array[]): void {
  for (const [step, values] of expected.entries()) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = values.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[step]![i]!)), 0);
    expect(worst / largest, `step ${step}`).toBeLessThan(1e-5);
  }
}

test.each<Run & { name: string; weights?: WebGpuWeights }>([
  { name: 'of experts', config: tiny, layer: MOE, dtype: 'f32' },
  {
    ...{ name: 'of experts in fp8, over a cache of bf16, without query compression', weights: 'fp8' },
    ...{ config: { ...tiny, qLoraRank: null }, layer: MOE, dtype: 'bf16' },
  },
  { name: 'without shared experts', config: { ...tiny, nSharedExperts: 0 }, layer: MOE, dtype: 'f32' },
  { name: 'without experts', config: tiny, layer: 0, dtype: 'f32' },
])('a layer $name gives what its operations give one at a time', async ({ weights = 'native', ...options }) => {
  using fused = await webgpu({ weights });
  using plain = await webgpu({ weights, fuse: false });
  expectAlike(await run(fused, options), await run(plain, options));
  expect(fused.memory()).toEqual({ tensors: 0, bytes: 0 });
});

test('who watches the routing sees it, and changes nothing', async () => {
  const seen: { fused: unknown[]; plain: unknown[] } = { fused: [], plain: [] };
  const watch = (name: 'fused' | 'plain') => async (routing: Routing) => {
    seen[name].push(await routing.indices.read());
    expect((await routing.weights.floats()).length).toBe(routing.indices.size);
  };
  using fused = await webgpu();
  using plain = await webgpu({ fuse: false });
  const options = { config: tiny, layer: MOE, dtype: 'f32' } as const;
  const watched = await run(fused, { ...options, onRouting: watch('fused') });
  expectAlike(watched, await run(plain, { ...options, onRouting: watch('plain') }));
  expect(seen.fused).toEqual(seen.plain);
  expectAlike(await run(fused, options), watched);
});

test('values that were put off are those of their time, whatever is written, read or disposed since', async () => {
  using backend = await webgpu();
  using target = backend.upload(Float32Array.of(3, 4, 6, 8), [2, 2]);
  using weight = backend.upload(Float32Array.of(1, 1), [2]);
  using normed = backend.rmsNorm(target, weight, 0);
  const row = backend.upload(Float32Array.of(5, 12), [1, 2]);
  backend.writeRows(target, Int32Array.of(0), row);
  row.dispose();
  const [a, b] = [3 / Math.sqrt(12.5), 4 / Math.sqrt(12.5)];
  const values = (await normed.read()) as Float32Array;
  for (const [i, expected] of [a, b, a, b].entries()) expect(values[i]).toBeCloseTo(expected, 5);
});
