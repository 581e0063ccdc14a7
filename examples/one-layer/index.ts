/** One attention layer of DeepSeek-V3's kind, used alone: a prompt of three tokens, then one more against the cache. */
import { cpu } from '@mariana/backend-cpu';
import { preset, RandomWeights } from '@mariana/core';
import { MultiHeadLatentAttention } from '@mariana/layers';

const backend = await cpu();
const config = preset('tiny');
const weights = new RandomWeights(config); // or: await Checkpoint.open(new DirectoryFiles('./DeepSeek-V2-Lite'))
using attention = await MultiHeadLatentAttention.load(config, weights, { layer: 1, backend });
using cache = attention.createCache({ tokens: 4096 });

using prompt = backend.upload(new Float32Array(3 * config.hiddenSize).fill(0.1), [3, config.hiddenSize]);
using y = await attention.forward(prompt, { cache }); // [tokens, hidden_size]
using next = backend.upload(new Float32Array(config.hiddenSize).fill(0.2), [1, config.hiddenSize]);
using z = await attention.forward(next, { cache });
console.log(
  y.shape,
  z.shape,
  `${cache.length} tokens cached, ${config.kvLoraRank + config.qkRopeHeadDim} numbers each`,
);
