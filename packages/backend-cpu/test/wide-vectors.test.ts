/** A whole model in 256-bit vectors and without: the same logits to the bit, in prefill and in decoding. */
import { preset, RandomWeights } from '@mariana/core';
import { LatentCache, PagePool, Transformer } from '@mariana/layers';
import { describe, expect, it } from 'vitest';
import { type CpuOptions, cpu } from '../src/index.ts';
import { canWiden } from '../src/wasm/test-kit.ts';

const config = preset('small');

async function logits(options: CpuOptions): Promise<Float32Array[]> {
  const backend = await cpu({ threads: 2, ...options });
  const transformer = await Transformer.load(config, new RandomWeights(config, { seed: 3 }), { backend });
  const width = config.kvLoraRank + config.qkRopeHeadDim;
  const pool = new PagePool({ backend, layers: config.numHiddenLayers, width, maxTokens: 64 });
  const cache = new LatentCache(pool);
  const results: Float32Array[] = [];
  for (const ids of [Array.from({ length: 45 }, (_, i) => (i * 37) % config.vocabSize), [5], [77]]) {
    using output = await transformer.forward(ids, { cache });
    results.push((await output.logits!.read()) as Float32Array);
  }
  cache.dispose();
  pool.dispose();
  transformer.dispose();
  backend.dispose();
  return results;
}

describe.runIf(canWiden())('256-bit vectors', () => {
  it.each(['native', 'int8', 'int4', 'fp8'] as const)('change no logit, weights held as %s', async (weights) => {
    const narrow = await logits({ weights, wideVectors: false });
    expect(await logits({ weights, wideVectors: true })).toEqual(narrow);
  });
});
