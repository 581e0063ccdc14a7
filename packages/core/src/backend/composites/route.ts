/**
 * Default body of the router: scores, groups, choice, weights, in the order of TRAPS.md section 4.
 *
 * Source: DeepSeek-V3 report, section 2.1.2; `Gate.forward` in DeepSeek's inference/model.py.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { Routing, RoutingOptions } from '../operations.ts';
import { range, scalar } from '../scalar.ts';
import type { Tensor } from '../tensor.ts';

export function route(backend: Backend, logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
  const [tokens, experts] = logits.shape;
  if (tokens === undefined || experts === undefined || logits.rank !== 2 || experts % options.groups !== 0) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `route: takes [tokens, experts] with experts in ${options.groups} equal groups, not a ${logits}`,
    );
  }
  return backend.scope(() => {
    const scores = options.scoring === 'sigmoid' ? backend.unary('sigmoid', logits) : backend.softmax(logits);
    const biased = bias === null ? scores : backend.binary('add', scores, bias);
    const choice = options.groups > 1 ? maskGroups(backend, biased, options) : biased;
    const { indices } = backend.topK(choice, options.topK);
    const chosen = takeAlongLastAxis(backend, scores, indices);
    return { indices, weights: scaleWeights(backend, chosen, options), scores };
  });
}

/** Sets the scores of all groups but the best `topGroups` to minus infinity. */
function maskGroups(backend: Backend, choice: Tensor, { groups, topGroups, groupScore }: RoutingOptions): Tensor {
  const [tokens, experts] = choice.shape as [number, number];
  const size = experts / groups;
  const grouped = backend.reshape(choice, [tokens, groups, size]);
  const best = backend.topK(grouped, groupScore === 'top2' ? Math.min(2, size) : 1).values;
  const { indices } = backend.topK(backend.reduce('sum', best, -1), topGroups);
  const isGroup = backend.binary('equal', backend.reshape(indices, [tokens, topGroups, 1]), range(backend, groups));
  const kept = backend.reduce('max', backend.cast(isGroup, 'f32'), 1);
  const condition = backend.cast(backend.reshape(kept, [tokens, groups, 1]), 'i32');
  const masked = backend.where(condition, grouped, scalar(backend, Number.NEGATIVE_INFINITY));
  return backend.reshape(masked, choice.shape);
}

/** values[t, indices[t, i]] for values [T, N] and indices [T, k]. */
function takeAlongLastAxis(backend: Backend, values: Tensor, indices: Tensor): Tensor {
  const [tokens, width] = values.shape as [number, number];
  const rowStart = backend.reshape(range(backend, tokens, width), [tokens, 1]);
  return backend.gather(backend.reshape(values, [values.size]), backend.binary('add', indices, rowStart));
}

function scaleWeights(backend: Backend, chosen: Tensor, { normalize, scale }: RoutingOptions): Tensor {
  const weights = normalize ? backend.binary('div', chosen, normalizer(backend, chosen)) : chosen;
  return scale === 1 ? weights : backend.binary('mul', weights, scalar(backend, scale));
}

/** The sum of the chosen scores; 1e-20 keeps a row of zeros finite, as in the checkpoints' own code. */
function normalizer(backend: Backend, chosen: Tensor): Tensor {
  return backend.binary('add', backend.reduce('sum', chosen, -1, { keepDims: true }), scalar(backend, 1e-20));
}
