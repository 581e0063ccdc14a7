/** What a sampler needs of a row of logits, found on the device and brought to the host in one small read. */
import { checkCandidates, type Tensor, type TokenCandidates } from '@mariana/core';
import { logSumExpKernel } from '../kernels/log-sum-exp.ts';
import { topKKernel, topKStages } from '../kernels/sampling-top-k.ts';
import type { KernelDevice } from './device.ts';

/** What 1 / temperature is kept within, so that F32 holds it: beyond, temperatures are all alike. */
const [LEAST, MOST] = [1e-30, 3.4028234e38];

export async function candidates(
  device: KernelDevice,
  logits: Tensor,
  k: number,
  temperature: number,
): Promise<TokenCandidates> {
  checkCandidates(logits, k, temperature);
  const width = logits.size;
  // Bits and place of each candidate, and behind them two logarithms.
  const result = device.output([2 * k + 2], 'i32');
  const temporaries: Tensor[] = [];
  let values = device.buffer(logits);
  let places = values;
  for (const stage of topKStages(1, width, k)) {
    const outputs = stage.last
      ? []
      : [device.output([stage.pieces * k], 'f32'), device.output([stage.pieces * k], 'i32')];
    const [topValues, topPlaces] = outputs;
    device.run(topKKernel(stage, 'pairs'), {
      shape: stage,
      buffers: {
        values,
        ...(stage.first ? {} : { places }),
        ...(topValues && topPlaces
          ? { top_values: topValues.buffer, top_places: topPlaces.buffer }
          : { top_pairs: result.buffer }),
      },
      uniforms: { width: stage.width, k },
    });
    temporaries.push(...outputs.map(({ tensor }) => tensor));
    if (topValues && topPlaces) [values, places] = [topValues.buffer, topPlaces.buffer];
  }
  const scale = Math.max(LEAST, Math.min(1 / temperature, MOST));
  device.run(logSumExpKernel(), {
    shape: { rows: 1 },
    buffers: { x: device.buffer(logits), y: result.buffer },
    uniforms: { rows: 1, length: width, stride: 2 * k + 2, place: 2 * k, scale },
  });
  for (const tensor of temporaries) tensor.dispose();
  const reading = result.tensor.read();
  result.tensor.dispose();
  const words = (await reading) as Int32Array;
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  return {
    ids: Int32Array.from({ length: k }, (_, i) => words[2 * i + 1]!),
    logits: Float32Array.from({ length: k }, (_, i) => floats[2 * i]!),
    logSumExp: floats[0]! + floats[2 * k]!,
    scaledLogSumExp: floats[0]! / temperature + floats[2 * k + 1]!,
  };
}
