/** What a token costs on the device, counted: dispatches, reads and bytes. */
import { preset, RandomWeights } from '@mariana/core';
import { DecoderLayer, DeepSeekMoE, PagePool, SingleLayerCache, Transformer } from '@mariana/layers';
import { type GeneratedChunk, Model } from '@mariana/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DeviceCounts, type WebGpuBackend, webgpu } from '../src/index.ts';

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
  test.each([
    { name: 'as in DeepSeek-V3', of: config, most: 12 },
    { name: 'without query compression, as in DeepSeek-V2-Lite', of: { ...config, qLoraRank: null }, most: 11 },
  ])('takes $most dispatches in a decoder layer with experts, all included, $name', async ({ of, most }) => {
    const layer = of.firstKDenseReplace;
    using decoder = await DecoderLayer.load(of, new RandomWeights(of), { layer, backend });
    const width = of.kvLoraRank + of.qkRopeHeadDim;
    const pool = new PagePool({ backend, layers: 1, width, maxTokens: 64, initialTokens: 64 });
    using cache = new SingleLayerCache(pool);
    const step = async (tokens: number) => {
      using x = backend.upload(new Float32Array(tokens * of.hiddenSize).fill(0.1), [tokens, of.hiddenSize]);
      using y = await decoder.forward(x, { cache });
      return y.read();
    };
    await step(9);
    backend.resetCounts();
    await step(1);
    const { dispatches, reads, byKernel } = backend.counts();
    expect(dispatches, JSON.stringify(byKernel)).toBe(most);
    // The one that this test makes, of the result.
    expect(reads).toBe(1);
  });

  test.each([
    { how: 'the best token', options: { temperature: 0 }, bytes: 16 },
    { how: 'one of the best 20', options: { topK: 20, seed: 1 }, bytes: 168 },
    { how: 'the best, with the 5 best shown', options: { temperature: 0, topLogprobs: 5 }, bytes: 48 },
  ])(
    'costs a session one read of $bytes bytes for $how, and gives the same token as the whole row',
    async ({ options, bytes }) => {
      using model = await Model.load('tiny', { backend });
      const prompt = [1, 2, 3];
      const chunks: GeneratedChunk[] = [];
      for await (const chunk of model.session().generate(prompt, { ...options, maxTokens: 8, ignoreEos: true })) {
        chunks.push(chunk);
        if (chunks.length > 2) expectToken(backend.counts(), bytes);
        backend.resetCounts();
      }
      // A bias, even of nothing, is on tokens that need not be among the best: all logits are read.
      const all = { ...options, logitBias: { 0: 0 }, maxTokens: 8, ignoreEos: true };
      const expected: GeneratedChunk[] = [];
      for await (const chunk of model.session().generate(prompt, all)) expected.push(chunk);
      expect(backend.counts().bytesRead).toBe(8 * 4 * model.config.vocabSize);
      expect(chunks.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
      for (const [i, { logprob, topLogprobs }] of chunks.entries()) {
        expect(Math.abs(logprob - expected[i]!.logprob)).toBeLessThan(1e-4);
        expect(topLogprobs.map(({ id }) => id)).toEqual(expected[i]!.topLogprobs.map(({ id }) => id));
      }
    },
  );

  /** What a token of a session may cost: embedding, layers, logits, the best of them; ids and angles that come up. */
  function expectToken({ reads, bytesRead, dispatches, bytesUploaded, byKernel }: DeviceCounts, bytes: number): void {
    expect({ reads, bytesRead }).toEqual({ reads: 1, bytesRead: bytes });
    expect(dispatches, JSON.stringify(byKernel)).toBeLessThanOrEqual(12 * config.numHiddenLayers + 4);
    expect(bytesUploaded).toBeLessThanOrEqual(4 * (1 + config.qkRopeHeadDim));
  }

  test('reads the whole row too where top-p reaches beyond the best', async () => {
    using model = await Model.load('tiny', { backend });
    const options = { temperature: 5, topP: 0.9999, seed: 1, maxTokens: 3, ignoreEos: true };
    const ids: number[] = [];
    for await (const { id } of model.session().generate([1, 2, 3], options)) ids.push(id);
    const expected: number[] = [];
    for await (const { id } of model.session().generate([1, 2, 3], { ...options, logitBias: { 0: 0 } }))
      expected.push(id);
    expect(ids).toEqual(expected);
  });

  test('costs a read of a few bytes where the best tokens are found on the device', async () => {
    using model = await Transformer.load(config, weights, { backend });
    using output = await model.forward([1, 2, 3], { logits: 'last' });
    const logits = (await output.logits!.read()) as Float32Array;
    backend.resetCounts();
    const best = await backend.candidates(output.logits!, 5);
    expect(backend.counts()).toMatchObject({ reads: 1, bytesRead: 48 });
    const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    expect([...best.ids]).toEqual(order.slice(0, 5));
    expect([...best.logits]).toEqual(order.slice(0, 5).map((id) => logits[id]));
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    expect(Math.abs(best.logSumExp - Math.log(sum))).toBeLessThan(logits.length * 2 ** -23);
  });
});
