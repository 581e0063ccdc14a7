/** The router in one kernel. */
import { checkDtype, type Routing, type RoutingOptions, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { route as routeKernel } from '../wasm/index.ts';

/** Null where the shapes do not fit: the default body says why. */
export function route(
  backend: CpuBackend,
  logits: Tensor,
  bias: Tensor | null,
  options: RoutingOptions,
): Routing | null {
  const [tokens, experts] = logits.shape;
  const fits = logits.rank === 2 && experts !== undefined && experts > 0 && experts % options.groups === 0;
  if (tokens === undefined || !fits || options.topK > experts || options.topGroups > options.groups) return null;
  if (bias !== null && (bias.rank !== 1 || bias.size !== experts)) return null;
  checkDtype('route', logits, 'f32');
  if (bias !== null) checkDtype('route', bias, 'f32');
  backend.pointer(logits);
  if (bias !== null) backend.pointer(bias);
  const indices = backend.output([tokens, options.topK], 'i32');
  const weights = backend.output([tokens, options.topK]);
  const scores = backend.output(logits.shape);
  const job = backend.engine.job();
  routeKernel(job, {
    ...options,
    logits: backend.pointer(logits),
    tokens,
    experts,
    bias: bias === null ? undefined : backend.pointer(bias),
    indices: backend.pointer(indices),
    weights: backend.pointer(weights),
    scores: backend.pointer(scores),
  });
  job.run();
  return { indices, weights, scores };
}
