/** How many bytes of weights a token reads, as the backend holds them: what decoding cannot be faster than. */
import { expectedTensors, type WeightFormat } from '@mariana/core';
import { DeepSeekMoE, Linear } from '@mariana/layers';
import type { Model } from '@mariana/runtime';

/** Bytes of every matrix that one token meets: of the embedding nothing worth counting, of the experts those chosen. */
export function weightBytesPerToken({ config, backend, transformer }: Model): number {
  const projections = projectionFormat(transformer.layers.at(-1)?.feedForward);
  const head = transformer.head instanceof Linear ? transformer.head.weight.format : projections;
  let bytes = 0;
  for (const { shape, kind, expert, mtp } of expectedTensors(config)) {
    const [rows, columns] = shape;
    if (mtp || kind === 'embedding' || rows === undefined || columns === undefined) continue;
    const precise = kind === 'router';
    const format = precise ? 'bf16' : kind === 'head' ? head : projections;
    const all = backend.weightBytes({ format, shape: [rows, columns] }, { precise });
    bytes += expert === null ? all : (all * config.numExpertsPerTok) / config.nRoutedExperts;
  }
  return bytes;
}

function projectionFormat(feedForward: unknown): WeightFormat {
  const weight = feedForward instanceof DeepSeekMoE ? feedForward.experts.gate[0] : undefined;
  if (weight === undefined) throw new Error('the model of the benchmark has routed experts in its last layer');
  return weight.format;
}
