/** One attention layer of DeepSeek-V3's kind on the GPU of whoever visits: 64 tokens, then one more against the cache. */
import { webgpu } from '@mariana/backend-webgpu';
import { preset, RandomWeights } from '@mariana/core';
import { MultiHeadLatentAttention } from '@mariana/layers';

const said = document.getElementById('said')!;
try {
  using backend = await webgpu();
  const config = preset('tiny');
  using attention = await MultiHeadLatentAttention.load(config, new RandomWeights(config), { layer: 1, backend });
  using cache = attention.createCache({ tokens: 256 });

  using prompt = backend.upload(new Float32Array(64 * config.hiddenSize).fill(0.1), [64, config.hiddenSize]);
  using y = await attention.forward(prompt, { cache }); // stays on the GPU
  using next = backend.upload(new Float32Array(config.hiddenSize).fill(0.2), [1, config.hiddenSize]);
  using z = await attention.forward(next, { cache });

  const values = await z.floats(); // the one place where the page waits for the GPU
  said.append(`${y.shape} and ${z.shape} on ${backend.name}, ${cache.length} tokens cached\n`);
  said.append(`${Array.from(values.slice(0, 4), (value) => value.toFixed(4)).join(' ')} ...`);
} catch (error) {
  said.append(`${error}`); // no WebGPU here: the error says what is missing
}
