/** What a token costs on the device, counted: dispatches, reads, bytes, and memory that must not grow. */
import { preset, RandomWeights } from '@mariana/core';
import { DecoderLayer, DeepSeekMoE, LatentCache, PagePool, SingleLayerCache, Transformer } from '@mariana/layers';
import { Model } from '@mariana/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type WebGpuBackend, webgpu } from '../src/index.ts';

const config = preset('tiny');
const weights = new RandomWeights(config);
let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await webgpu();
});
afterAll(() => backend.dispose());

describe('a mixture of experts', () => {
  test.each([1, 5, 40])('%d tokens take at most 12 dispatches, and no read', async (tokens) => {
    using moe = await DeepSeekMoE.load(config, weights, { layer: config.firstKDenseReplace, backend });
    using x = backend.upload(new Float32Array(tokens * config.hiddenSize).fill(0.1), [tokens, config.hiddenSize]);
    backend.resetCounts();
    using y = await moe.forward(x);
    expect(backend.counts().reads).toBe(0);
    expect(await y.read()).toHaveLength(tokens * config.hiddenSize);
    const { dispatches, byKernel } = backend.counts();
    expect(dispatches, JSON.stringify(byKernel)).toBeLessThanOrEqual(12);
  });
});

describe('a decoded token', () => {
  test('takes 17 dispatches in a decoder layer with experts, all included, where operations are fused', async () => {
    using backend = await webgpu({ fuse: true });
    const layer = config.firstKDenseReplace;
    using decoder = await DecoderLayer.load(config, weights, { layer, backend });
    const width = config.kvLoraRank + config.qkRopeHeadDim;
    const pool = new PagePool({ backend, layers: 1, width, maxTokens: 64, initialTokens: 64 });
    const cache = new SingleLayerCache(pool);
    const step = async (tokens: number) => {
      using x = backend.upload(new Float32Array(tokens * config.hiddenSize).fill(0.1), [tokens, config.hiddenSize]);
      using y = await decoder.forward(x, { cache });
      return y.read();
    };
    await step(9);
    backend.resetCounts();
    await step(1);
    const { dispatches, byKernel } = backend.counts();
    expect(dispatches, JSON.stringify(byKernel)).toBeLessThanOrEqual(17);
    cache.dispose();
  });

  test('costs a session one read', async () => {
    using model = await Model.load('tiny', { backend });
    const generation = model.session().generate([1, 2, 3], { temperature: 0, maxTokens: 9, ignoreEos: true });
    for (let i = 0; i < 4; i++) await generation.next();
    backend.resetCounts();
    await generation.next();
    expect(backend.counts().reads).toBe(1);
    await generation.return();
  });

  test('costs a read of a few bytes where the best tokens are found on the device', async () => {
    using model = await Transformer.load(config, weights, { backend });
    using output = await model.forward([1, 2, 3], { logits: 'last' });
    const logits = (await output.logits!.read()) as Float32Array;
    backend.resetCounts();
    const best = await backend.candidates(output.logits!, 5);
    expect(backend.counts()).toMatchObject({ reads: 1, bytesRead: 44 });
    const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    expect([...best.ids]).toEqual(order.slice(0, 5));
    expect([...best.logits]).toEqual(order.slice(0, 5).map((id) => logits[id]));
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    expect(Math.abs(best.logSumExp - Math.log(sum))).toBeLessThan(logits.length * 2 ** -23);
  });
});

describe('memory', () => {
  test('2,000 decoded tokens do not grow it', { timeout: 1_800_000 }, async () => {
    const tokens = 2100;
    using model = await Transformer.load(config, weights, { backend });
    const width = config.kvLoraRank + config.qkRopeHeadDim;
    const layers = config.numHiddenLayers;
    const pool = new PagePool({ backend, layers, width, maxTokens: tokens, initialTokens: tokens, dtype: 'bf16' });
    const cache = new LatentCache(pool);
    let id = 1;
    let early: ReturnType<typeof held> | undefined;
    for (let i = 0; i < 2000; i++) {
      using output = await model.forward([id], { cache, logits: 'last', form: 'absorbed' });
      id = (await backend.candidates(output.logits!, 1)).ids[0]!;
      // Past the first split of a context, from where on every buffer has been made.
      if (i === 200) early = held();
    }
    expect(held()).toEqual(early);
    cache.dispose();
    pool.dispose();
  });

  const held = () => ({ ...backend.memory(), ...backend.gpuMemory() });
});
