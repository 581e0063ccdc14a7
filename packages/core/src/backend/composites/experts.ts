/**
 * Default body of the routed experts: read which tokens each expert got, run each expert once over its tokens, add the
 * weighted outputs up. Experts without tokens cost nothing.
 *
 * Source: `MoE.forward` in DeepSeek's inference/model.py.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend, ExpertWeights } from '../backend.ts';
import type { Routing } from '../operations.ts';
import type { Tensor } from '../tensor.ts';

/** The places of one expert's tokens: `slots` index the flattened [T, k] routing, `tokens` the rows of x. */
export interface ExpertTokens {
  readonly expert: number;
  readonly tokens: number[];
  readonly slots: number[];
}

/** Groups the flattened routing choices by expert, in ascending order of the experts. */
export function groupByExpert(indices: Int32Array, topK: number, experts: number): ExpertTokens[] {
  const groups = new Map<number, ExpertTokens>();
  indices.forEach((expert, slot) => {
    if (expert < 0 || expert >= experts) {
      throw new MarianaError('INVALID_ARGUMENT', `experts: there is no expert ${expert} among ${experts}`);
    }
    const group = groups.get(expert) ?? { expert, tokens: [], slots: [] };
    groups.set(expert, group);
    group.tokens.push(Math.floor(slot / topK));
    group.slots.push(slot);
  });
  return [...groups.values()].sort((a, b) => a.expert - b.expert);
}

/**
 * The number of choices for each token.
 *
 * @throws MarianaError `SHAPE_MISMATCH` for a routing that does not fit the tokens, or matrices that do not pair
 */
export function checkExperts(
  x: Tensor,
  { indices }: Pick<Routing, 'indices'>,
  { gate, up, down }: ExpertWeights,
): { tokens: number; topK: number } {
  const [tokens, topK] = indices.shape;
  if (x.rank !== 2 || tokens === undefined || topK === undefined || tokens !== x.shape[0]) {
    throw new MarianaError('SHAPE_MISMATCH', `experts: routing ${indices} does not fit tokens ${x}`);
  }
  if (up.length !== gate.length || down.length !== gate.length) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `experts: ${gate.length} gate, ${up.length} up and ${down.length} down matrices do not pair`,
    );
  }
  return { tokens, topK };
}

export async function experts(
  backend: Backend,
  x: Tensor,
  routing: Pick<Routing, 'indices' | 'weights'>,
  weights: ExpertWeights,
): Promise<Tensor> {
  const { tokens, topK } = checkExperts(x, routing, weights);
  const indices = (await backend.read(routing.indices)) as Int32Array;
  const groups = groupByExpert(indices, topK, weights.gate.length);
  return backend.scope(() => {
    const width = x.shape[1]!;
    if (groups.length === 0) return backend.upload(new Float32Array(tokens * width), [tokens, width]);
    const slotWeights = backend.reshape(routing.weights, [tokens * topK, 1]);
    const outputs = groups.map((group) => {
      const rows = backend.gather(x, upload(backend, group.tokens));
      const { gate, up, down } = expertMatrices(weights, group.expert);
      const inner = backend.swiglu(backend.linear(rows, gate), backend.linear(rows, up));
      const share = backend.gather(slotWeights, upload(backend, group.slots));
      return backend.binary('mul', backend.linear(inner, down), share);
    });
    const places = groups.flatMap((group) => group.tokens);
    return backend.scatterAdd(upload(backend, places), backend.concat(outputs, 0), tokens);
  });
}

function expertMatrices({ gate, up, down }: ExpertWeights, expert: number) {
  return { gate: gate[expert]!, up: up[expert]!, down: down[expert]! };
}

function upload(backend: Backend, numbers: readonly number[]): Tensor {
  return backend.upload(Int32Array.from(numbers), [numbers.length]);
}
