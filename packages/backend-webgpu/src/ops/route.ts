/** `route`: the whole decision in one dispatch, where its tables fit a workgroup. */
import type { Routing, RoutingOptions, Tensor } from '@mariana/core';
import { routerFits, routerKernel } from '../kernels/router.ts';
import type { KernelDevice } from './device.ts';

/** Null where the default body must do it: operands that do not fit, or more experts than a workgroup holds. */
export function route(
  device: KernelDevice,
  logits: Tensor,
  bias: Tensor | null,
  options: RoutingOptions,
): Routing | null {
  const [tokens, experts] = logits.shape;
  if (tokens === undefined || experts === undefined || logits.rank !== 2 || logits.size === 0) return null;
  if (logits.dtype !== 'f32' || (bias !== null && (bias.dtype !== 'f32' || bias.rank !== 1 || bias.size !== experts))) {
    return null;
  }
  const { topK, groups, topGroups } = options;
  const inGroups = Number.isInteger(groups) && groups >= 1 && experts % groups === 0;
  const isChoice = (k: number, n: number) => Number.isInteger(k) && k >= 1 && k <= n;
  if (!inGroups || !isChoice(topK, experts) || !isChoice(topGroups, groups)) return null;
  if (!routerFits({ experts, options })) return null;
  const indices = device.output([tokens, topK], 'i32');
  const weights = device.output([tokens, topK], 'f32');
  const scores = device.output([tokens, experts], 'f32');
  device.run(routerKernel({ experts, biased: bias !== null, options }), {
    shape: { tokens },
    buffers: {
      logits: device.buffer(logits),
      ...(bias === null ? {} : { bias: device.buffer(bias) }),
      indices: indices.buffer,
      weights: weights.buffer,
      scores: scores.buffer,
    },
    uniforms: { tokens },
  });
  return { indices: indices.tensor, weights: weights.tensor, scores: scores.tensor };
}
