/**
 * The experts of a layer as one recorded operation. Tokens are sorted by expert once; each of the three products, and each
 * of their gradients, is one call for all experts, where the default body makes several calls for each of them. The
 * numbers are the same but for the order in which a token's gradients from its experts are added up.
 *
 * With h = swiglu(gate x, up x), y = down h and the output sum(share y), for the rows of each expert: dy = share d;
 * d share = d . y; d down = dy^T h; dh = dy down; and so on back to x.
 */
import {
  type Backend,
  checkExperts,
  DenseWeight,
  type ExpertTokens,
  type ExpertWeights,
  groupByExpert,
  type Routing,
  type Tensor,
  type Weight,
} from '@mariana/core';
import type { CustomOperation, RecordingBackend } from '../recording-backend.ts';
import { zerosOf } from '../shapes.ts';

/** The tensors of experts that this operation can run: F32 matrices, of one shape for each of the three; else null. */
export function expertTensors({ gate, up, down }: ExpertWeights): ExpertTensors | null {
  const lists = [gate, up, down].map(tensorsOf);
  const [gates, ups, downs] = lists;
  return gates && ups && downs ? { gate: gates, up: ups, down: downs } : null;
}

function tensorsOf(weights: readonly Weight[]): Tensor[] | null {
  const [first] = weights;
  const tensors: Tensor[] = [];
  for (const weight of weights) {
    const same = weight.shape[0] === first!.shape[0] && weight.shape[1] === first!.shape[1];
    if (!(weight instanceof DenseWeight) || weight.format !== 'f32' || !same) return null;
    tensors.push(weight.tensor);
  }
  return tensors;
}

/** [out, in] each, by expert. */
export interface ExpertTensors {
  readonly gate: readonly Tensor[];
  readonly up: readonly Tensor[];
  readonly down: readonly Tensor[];
}

export async function experts(
  backend: RecordingBackend,
  x: Tensor,
  routing: Pick<Routing, 'indices' | 'weights'>,
  weights: ExpertWeights,
  tensors: ExpertTensors,
): Promise<Tensor> {
  const { tokens, topK } = checkExperts(x, routing, weights);
  const indices = (await backend.read(routing.indices)) as Int32Array;
  const groups = groupByExpert(indices, topK, tensors.gate.length);
  if (groups.length === 0) return zerosOf(backend, x.shape);
  // Experts without tokens stay out of the graph: their gradient is zero.
  const used = (list: readonly Tensor[]) => groups.map(({ expert }) => list[expert]!);
  const matrices = [...used(tensors.gate), ...used(tensors.up), ...used(tensors.down)];
  return backend.custom('experts', [x, routing.weights, ...matrices], (inner, operands) =>
    forward(inner, operands, groups, tokens, topK),
  );
}

function forward(
  backend: Backend,
  [x, shares, ...matrices]: readonly Tensor[],
  groups: readonly ExpertTokens[],
  tokens: number,
  topK: number,
): CustomOperation {
  const counts = groups.map((group) => group.tokens.length);
  const slots = groups.flatMap((group) => group.slots);
  const each = <T>(list: readonly T[], i: number) => list.slice(i * groups.length, (i + 1) * groups.length);
  const transposeB = { transposeB: true };

  const places = uploadIndices(
    backend,
    groups.flatMap((group) => group.tokens),
  );
  const rows = backend.gather(x!, places);
  const gates = backend.matmulGroups(rows, counts, each(matrices, 0), transposeB);
  const ups = backend.matmulGroups(rows, counts, each(matrices, 1), transposeB);
  const hidden = backend.swiglu(gates, ups);
  const outputs = backend.matmulGroups(hidden, counts, each(matrices, 2), transposeB);
  const share = backend.gather(backend.reshape(shares!, [tokens * topK, 1]), uploadIndices(backend, slots));
  return {
    output: backend.scatterAdd(places, backend.binary('mul', outputs, share), tokens),
    saved: [places, rows, gates, ups, hidden, outputs, share, ...matrices],
    backward(
      gradient,
      [places, rows, gates, ups, hidden, outputs, share, ...matrices],
      [needsX, needsShares, ...rest],
    ) {
      const [needsInner, needsDown] = [each(rest, 0).concat(each(rest, 1)).some(Boolean), each(rest, 2).some(Boolean)];
      const given = backend.gather(gradient, places!);
      const dShares = needsShares ? sharesGradient(backend, given, outputs!, slots, [tokens, topK]) : undefined;
      const dOutputs = backend.binary('mul', given, share!);
      const dDown = needsDown ? backend.matmulWithinGroups(dOutputs, hidden!, counts) : [];
      if (!needsX && !needsInner) return [undefined, dShares, ...unneeded(2 * groups.length), ...dDown];

      const dHidden = backend.matmulGroups(dOutputs, counts, each(matrices, 2));
      const { gate: dGates, up: dUps } = backend.swigluGradients(dHidden, gates!, ups!);
      const inner = (dy: Tensor) =>
        needsInner ? backend.matmulWithinGroups(dy, rows!, counts) : unneeded(groups.length);
      const [dGate, dUp] = [inner(dGates), inner(dUps)];
      if (!needsX) return [undefined, dShares, ...dGate, ...dUp, ...dDown];
      const dRows = backend.binary(
        'add',
        backend.matmulGroups(dUps, counts, each(matrices, 1)),
        backend.matmulGroups(dGates, counts, each(matrices, 0)),
      );
      return [backend.scatterAdd(places!, dRows, tokens), dShares, ...dGate, ...dUp, ...dDown];
    },
  };
}

/** Each choice of each token is a row of its own: what the row's share has for gradient goes back to its place. */
function sharesGradient(
  backend: Backend,
  gradient: Tensor,
  outputs: Tensor,
  slots: readonly number[],
  shape: readonly [number, number],
): Tensor {
  const sums = backend.reduce('sum', backend.binary('mul', gradient, outputs), -1);
  const rowOf = new Int32Array(slots.length);
  slots.forEach((slot, row) => {
    rowOf[slot] = row;
  });
  return backend.gather(sums, backend.upload(rowOf, shape));
}

const unneeded = (count: number): undefined[] => new Array<undefined>(count).fill(undefined);

function uploadIndices(backend: Backend, numbers: readonly number[]): Tensor {
  return backend.upload(Int32Array.from(numbers), [numbers.length]);
}
