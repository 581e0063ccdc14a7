/**
 * A text of 2,000 tokens takes no more GPU memory at its end than at its beginning. Watched is every buffer that the
 * device makes, whoever asked for it: tensors, weights, what is staged for reads and writes, and what TensorFlow.js makes
 * for itself. The model is the smallest that has every part of a layer with experts, so that a token takes milliseconds
 * on a driver in software too; the cache has room for all tokens from the start, so that nothing has a reason to grow.
 */
import { preset, RandomWeights } from '@mariana/core';
import { LatentCache, PagePool, Transformer } from '@mariana/layers';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type WebGpuBackend, webgpu } from '../src/index.ts';

/** By here every buffer that a step needs has been made: attention goes over a context in parts from 128 tokens on. */
const EARLY = 200;

const config = {
  ...preset('tiny'),
  firstKDenseReplace: 0,
  hiddenSize: 8,
  kvLoraRank: 8,
  moeIntermediateSize: 8,
  nGroup: 1,
  nRoutedExperts: 2,
  numAttentionHeads: 1,
  numExpertsPerTok: 1,
  numHiddenLayers: 1,
  numKeyValueHeads: 1,
  qLoraRank: 8,
  qkNopeHeadDim: 4,
  qkRopeHeadDim: 4,
  topkGroup: 1,
  vHeadDim: 4,
  vocabSize: 16,
};

// The step in which operations are put off holds on to more tensors. A leak shows within some tokens in either.
describe.each([
  { fuse: true, tokens: 2000 },
  { fuse: false, tokens: 300 },
])('GPU memory, fuse: $fuse', ({ fuse, tokens }) => {
  let backend: WebGpuBackend;
  let live: ReadonlySet<GPUBuffer>;
  beforeAll(async () => {
    backend = await webgpu({ fuse });
    live = watchBuffers(backend.device);
  });
  afterAll(() => backend.dispose());

  const held = () => ({
    ...backend.memory(),
    ...backend.gpuMemory(),
    tfjs: tf.memory().numTensors,
    buffers: live.size,
    bufferBytes: Array.from(live, ({ size }) => size).reduce((sum, size) => sum + size, 0),
  });

  test(`is the same after ${EARLY} decoded tokens and after ${tokens}`, { timeout: 600_000 }, async () => {
    using model = await Transformer.load(config, new RandomWeights(config), { backend });
    const width = config.kvLoraRank + config.qkRopeHeadDim;
    const { numHiddenLayers: layers } = config;
    using pool = new PagePool({ backend, layers, width, maxTokens: tokens, initialTokens: tokens });
    using cache = new LatentCache(pool);
    let id = 1;
    const seen: ReturnType<typeof held>[] = [];
    for (let token = 1; token <= tokens; token++) {
      using output = await model.forward([id], { cache, logits: 'last' });
      id = (await backend.candidates(output.logits!, 1)).ids[0]!;
      if (token === EARLY || token === tokens) seen.push(held());
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  test('would be seen to be more by a single tensor', async () => {
    // A read gives the device what it was asked for until here, and only then do freed weights go.
    using something = backend.upload(Float32Array.of(1), [1]);
    await something.read();
    const before = held();
    const bytes = 4 * 12_345;
    using _leaked = backend.upload(new Float32Array(bytes / 4), [bytes / 4]);
    expect(held()).toEqual({
      tensors: before.tensors + 1,
      bytes: before.bytes + bytes,
      used: before.used + bytes,
      allocated: before.allocated + bytes,
      tfjs: before.tfjs + 1,
      buffers: before.buffers + 1,
      bufferBytes: before.bufferBytes + bytes,
    });
  });
});

/** The buffers that a device makes from now on and that were not destroyed. */
function watchBuffers(device: GPUDevice): ReadonlySet<GPUBuffer> {
  const live = new Set<GPUBuffer>();
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy();
    };
    live.add(buffer);
    return buffer;
  };
  return live;
}
