/**
 * Fused kernels against plain operations of TensorFlow.js, on the same adapter: `pnpm bench [--model bench-1b]
 * [--tokens 16] [--prompt 64]`.
 *
 * The same model, with the same random weights, decodes the same tokens twice: on `webgpu()`, and on the adapter of
 * backend-tfjs over tfjs-webgpu's own operations (which holds weights as F32 and reads the routing back). Times on a
 * driver in software say how the two compare and nothing of a GPU; the counts hold anywhere.
 */
import { parseArgs } from 'node:util';
import { tfjs } from '@mariana/backend-tfjs';
import type { Backend } from '@mariana/core';
import { Model } from '@mariana/runtime';
import * as tf from '@tensorflow/tfjs-core';
import { type DeviceCounts, webgpu } from '../src/index.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'small' },
    tokens: { type: 'string', default: '8' },
    prompt: { type: 'string', default: '32' },
  },
});
const [tokens, prompt] = [Number(options.tokens), Number(options.prompt)];

/** Milliseconds for the prompt, and for each token after it. */
async function measure(backend: Backend, counts?: () => DeviceCounts, reset?: () => void) {
  using model = await Model.load(options.model, { backend });
  const { vocabSize } = model.config;
  const ids = Array.from({ length: prompt }, (_, i) => (i * 7919) % vocabSize);
  const greedy = { temperature: 0, ignoreEos: true } as const;
  // Compiles every kernel.
  for await (const _ of model.session().generate(ids, { ...greedy, maxTokens: 3 }));
  const session = model.session();
  const start = performance.now();
  const generation = session.generate(ids, { ...greedy, maxTokens: tokens + 1 });
  await generation.next();
  const read = performance.now();
  reset?.();
  let generated = 0;
  for await (const _ of generation) generated++;
  const decode = (performance.now() - read) / generated;
  return { prefill: read - start, decode, generated, counts: counts?.() };
}

const fused = await webgpu({ tf });
console.log(`${options.model}, ${prompt} tokens of prompt, ${tokens} decoded; adapter: ${fused.adapter}`);
const ours = await measure(
  fused,
  () => fused.counts(),
  () => fused.resetCounts(),
);
const plain = await measure(
  await tfjs({ tf, engine: 'webgpu' }),
  () => fused.counts(),
  () => fused.resetCounts(),
);
const row = (name: string, { prefill, decode, generated, counts }: typeof ours) =>
  [
    name.padEnd(14),
    `prefill ${prefill.toFixed(0)} ms`.padEnd(20),
    `decode ${decode.toFixed(1)} ms a token`.padEnd(26),
    `${(counts!.dispatches / generated).toFixed(0)} dispatches, ${(counts!.reads / generated).toFixed(1)} reads, `,
    `${(counts!.bytesRead / generated).toFixed(0)} bytes read a token`,
  ].join('');
console.log(row('fused', ours));
console.log(row('plain tfjs', plain));
console.log(
  `fused is ${(plain.decode / ours.decode).toFixed(1)} times as fast in decoding, ` +
    `${(plain.prefill / ours.prefill).toFixed(1)} times in reading the prompt`,
);
fused.dispose();
