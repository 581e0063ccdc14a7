/** In which format a weight is held, given how it comes and what the user asked for. */
import { GROUP_SIZE, type WeightFormat, type WeightSource } from '@mariana/core';
import { FORMAT_TEXTS, type HeldFormat } from '../kernels/held-format.ts';
import type { StackLayout } from '../weights/gpu-weight.ts';

/** What decides how a weight is held. Without blocks and groups, those that are usual. */
export type Incoming = Pick<WeightSource, 'format' | 'shape'> & {
  readonly blockSize?: readonly [number, number];
  readonly groupSize?: number;
};

const FP8_BLOCK = [128, 128] as const;

/** How a weight will lie, and whether its codes come as they will be held. */
export interface HeldAs {
  readonly layout: Omit<StackLayout, 'count'>;
  readonly asItComes: boolean;
}

export function heldAs(incoming: Incoming, wanted: WeightFormat | 'native'): HeldAs {
  const { shape } = incoming;
  const format = heldFormat(incoming, wanted);
  const asItComes = format === incoming.format;
  return { layout: { format, shape, scaleBlock: scaleBlock(format, asItComes ? incoming : {}) }, asItComes };
}

function heldFormat(incoming: Incoming, wanted: WeightFormat | 'native'): HeldFormat {
  const target = wanted === 'native' ? incoming.format : wanted;
  if (target === 'f16') return 'f32'; // no kernel reads F16
  // What need not be made anew is kept only if a vector of codes never has two scales.
  if (target === incoming.format) return hasWholeVectors(incoming) ? target : 'f32';
  if (target !== 'int4' || incoming.shape[1] % 2 === 0) return target;
  // As on the CPU: two integers a byte do not fit an odd number of inputs.
  return incoming.format !== 'int8' || hasWholeVectors(incoming) ? 'int8' : 'f32';
}

function hasWholeVectors(incoming: Incoming): boolean {
  const format = incoming.format === 'f16' ? 'f32' : incoming.format;
  const { inputs, scaled } = FORMAT_TEXTS[format];
  return !scaled || scaleBlock(format, incoming)[1] % inputs === 0;
}

function scaleBlock(
  format: HeldFormat,
  { blockSize = FP8_BLOCK, groupSize }: Partial<Pick<Incoming, 'blockSize' | 'groupSize'>>,
): readonly [number, number] {
  if (format === 'fp8') return blockSize;
  if (format === 'int8' || format === 'int4') return [1, groupSize ?? GROUP_SIZE[format]];
  return [1, 0];
}
