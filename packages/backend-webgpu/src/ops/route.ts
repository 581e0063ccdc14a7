/** `route`: the whole decision in one dispatch, where its tables fit a workgroup. */
import type { Routing, RoutingOptions, Tensor } from '@mariana/core';
import { routerFits, routerKernel } from '../kernels/router.ts';
import { routingPartKernel } from '../kernels/routing-part.ts';
import type { KernelDevice } from './device.ts';

/** Null where the default body must do it: operands that do not fit, or more experts than a workgroup holds. */
export function route(
  device: KernelDevice,
  logits: Tensor,
  bias: Tensor | null,
  options: RoutingOptions,
): Routing | null {
  if (!fits(logits, bias, options)) return null;
  const shape = [logits.shape[0]!, options.topK];
  const indices = device.output(shape, 'i32');
  const weights = device.output(shape, 'f32');
  const scores = device.output(logits.shape, 'f32');
  const results = { indices: indices.buffer, weights: weights.buffer, scores: scores.buffer };
  runRouter(device, { logits, bias, options, packed: false }, results);
  return { indices: indices.tensor, weights: weights.tensor, scores: scores.tensor };
}

/** A routing whose experts and weights lie side by side, as the fused experts take them. */
export interface PackedRouting {
  /** I32 [tokens, topK, 2]: each expert, and the bits of its weight. */
  readonly choice: Tensor;
  /** F32 [tokens, experts]. */
  readonly scores: Tensor;
}

/** The same, packed. */
export function routePacked(
  device: KernelDevice,
  logits: Tensor,
  bias: Tensor | null,
  options: RoutingOptions,
): PackedRouting | null {
  if (!fits(logits, bias, options)) return null;
  const choice = device.output([logits.shape[0]!, options.topK, 2], 'i32');
  const scores = device.output(logits.shape, 'f32');
  runRouter(device, { logits, bias, options, packed: true }, { choice: choice.buffer, scores: scores.buffer });
  return { choice: choice.tensor, scores: scores.tensor };
}

/** Experts (I32) or weights (F32) of a packed choice: [tokens, topK]. */
export function routingPart(device: KernelDevice, choice: Tensor, part: 'indices' | 'weights'): Tensor {
  const { tensor, buffer } = device.output(choice.shape.slice(0, 2), part === 'indices' ? 'i32' : 'f32');
  const { size } = tensor;
  const buffers = { choice: device.buffer(choice), y: buffer };
  device.run(routingPartKernel(), { shape: { size }, buffers, uniforms: { size, part: part === 'indices' ? 0 : 1 } });
  return tensor;
}

function fits(logits: Tensor, bias: Tensor | null, options: RoutingOptions): boolean {
  const [tokens, experts] = logits.shape;
  if (tokens === undefined || experts === undefined || logits.rank !== 2 || logits.size === 0) return false;
  if (logits.dtype !== 'f32' || (bias !== null && (bias.dtype !== 'f32' || bias.rank !== 1 || bias.size !== experts))) {
    return false;
  }
  const { topK, groups, topGroups } = options;
  const inGroups = Number.isInteger(groups) && groups >= 1 && experts % groups === 0;
  const isChoice = (k: number, n: number) => Number.isInteger(k) && k >= 1 && k <= n;
  return inGroups && isChoice(topK, experts) && isChoice(topGroups, groups) && routerFits({ experts, options });
}

interface Decision {
  readonly logits: Tensor;
  readonly bias: Tensor | null;
  readonly options: RoutingOptions;
  readonly packed: boolean;
}

function runRouter(
  device: KernelDevice,
  { logits, bias, options, packed }: Decision,
  results: Readonly<Record<string, GPUBuffer>>,
): void {
  const [tokens, experts] = logits.shape as [number, number];
  device.run(routerKernel({ experts, biased: bias !== null, options, packed }), {
    shape: { tokens },
    buffers: { logits: device.buffer(logits), ...(bias === null ? {} : { bias: device.buffer(bias) }), ...results },
    uniforms: { tokens },
  });
}
