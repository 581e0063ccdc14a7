/** What a sampler needs of a row of logits, found on the device and brought to the host in one small read. */
import { MarianaError, type Tensor } from '@mariana/core';
import { logSumExpKernel } from '../kernels/log-sum-exp.ts';
import { TOP_K_LIMIT, topKKernel, topKStages } from '../kernels/sampling-top-k.ts';
import type { KernelDevice } from './device.ts';

/** The best tokens of a vocabulary. */
export interface Candidates {
  /** Token ids, the most probable first; of equal ones the lower id. */
  readonly ids: Int32Array;
  /** Their logits. */
  readonly logits: Float32Array;
  /** Natural logarithm of the sum of exp(logit) over the vocabulary: logit - logSumExp is a token's log-probability. */
  readonly logSumExp: number;
}

export async function candidates(device: KernelDevice, logits: Tensor, k: number): Promise<Candidates> {
  const width = logits.shape.at(-1) ?? 0;
  if (logits.rank === 0 || width !== logits.size || width === 0) {
    throw new MarianaError('SHAPE_MISMATCH', `candidates: takes one row of logits, not a ${logits}`);
  }
  if (!Number.isInteger(k) || k < 1 || k > Math.min(width, TOP_K_LIMIT)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `candidates: k is ${k}; it must be a whole number from 1 to ${Math.min(width, TOP_K_LIMIT)}`,
    );
  }
  // Bits and place of each candidate, and behind them the logarithm.
  const result = device.output([2 * k + 1], 'i32');
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
  device.run(logSumExpKernel(), {
    shape: { rows: 1 },
    buffers: { x: device.buffer(logits), y: result.buffer },
    uniforms: { rows: 1, length: width, stride: 2 * k + 1, place: 2 * k },
  });
  for (const tensor of temporaries) tensor.dispose();
  const reading = result.tensor.read();
  result.tensor.dispose();
  const words = (await reading) as Int32Array;
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  return {
    ids: Int32Array.from({ length: k }, (_, i) => words[2 * i + 1]!),
    logits: Float32Array.from({ length: k }, (_, i) => floats[2 * i]!),
    logSumExp: floats[2 * k]!,
  };
}
