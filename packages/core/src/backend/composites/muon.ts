/**
 * Default body of a Muon update, in primitives: matrices of one shape are stacked, so that a product is one for all of
 * them.
 *
 * Sources: Keller Jordan, "Muon: An optimizer for hidden layers in neural networks" (2024), for the momentum, the
 * iteration and its coefficients; "Muon is Scalable for LLM Training" (arXiv 2502.16982), section 2.2, for the weight decay
 * and the scale of the update.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { MuonOptions, MuonState } from '../operations.ts';
import { scalar } from '../scalar.ts';
import { checkDtype } from '../shapes.ts';
import type { Tensor } from '../tensor.ts';

/** X <- a X + b (X X^T) X + c (X X^T)^2 X, five times, brings singular values from (0, 1] near 1. */
export const NEWTON_SCHULZ = { a: 3.4445, b: -4.775, c: 2.0315, steps: 5 } as const;

/** Smaller Frobenius norms count as this one, so that a zero matrix stays one. */
export const LEAST_NORM = 1e-7;

/** The numbers of one update, every default filled in. */
export interface MuonFactors {
  readonly momentum: number;
  /** What is left of a parameter: 1 - learningRate * weightDecay. */
  readonly keep: number;
  /** What the orthogonal matrix of a parameter is multiplied by: 0.2 learningRate sqrt(max(rows, columns)). */
  stepSize(parameter: Tensor): number;
}

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for a momentum that is none */
export function muonFactors(
  states: readonly MuonState[],
  gradients: readonly Tensor[],
  { learningRate, momentum = 0.95, weightDecay = 0.1, gradientScale }: MuonOptions,
): MuonFactors {
  const mismatch = (message: string) => new MarianaError('SHAPE_MISMATCH', `muon: ${message}`);
  if (states.length !== gradients.length) {
    throw mismatch(`${gradients.length} gradients for ${states.length} parameters; takes one for each`);
  }
  if (!(momentum >= 0 && momentum < 1)) {
    throw new MarianaError('INVALID_ARGUMENT', `muon: a momentum is from 0 to below 1, not ${momentum}`);
  }
  for (const [i, { parameter, momentum: average }] of states.entries()) {
    if (parameter.rank !== 2) throw mismatch(`moves matrices, not a ${parameter}; leave it to AdamW`);
    for (const other of [gradients[i]!, average]) {
      if (other.shape.join() !== parameter.shape.join()) throw mismatch(`a ${other} does not belong to a ${parameter}`);
    }
    checkDtype('muon', parameter, 'f32');
    checkDtype('muon', gradients[i]!, 'f32');
    checkDtype('muon', average, 'f32', 'bf16');
  }
  if (gradientScale !== undefined) {
    checkDtype('muon', gradientScale, 'f32');
    if (gradientScale.size !== 1) throw mismatch(`a factor on all gradients is one number, not a ${gradientScale}`);
  }
  return {
    momentum,
    keep: 1 - learningRate * weightDecay,
    stepSize: ({ shape }) => 0.2 * learningRate * Math.sqrt(Math.max(...shape)),
  };
}

/** Indices of states by the shape of their parameters, so that equal ones can be moved together. */
export function muonGroups(states: readonly MuonState[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [i, { parameter, momentum }] of states.entries()) {
    const key = `${parameter.shape.join()} ${momentum.dtype}`;
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  }
  return [...groups.values()];
}

export function muon(
  backend: Backend,
  states: readonly MuonState[],
  gradients: readonly Tensor[],
  options: MuonOptions,
): MuonState[] {
  const factors = muonFactors(states, gradients, options);
  const { gradientScale } = options;
  return backend.scope(() => {
    const scale = gradientScale && backend.reshape(gradientScale, []);
    const moved: MuonState[] = [];
    for (const group of muonGroups(states)) {
      const next = backend.scope(() => {
        const gradient = stack(backend, group.map((i) => gradients[i]!)); // biome-ignore format: one line
        return moveGroup(backend, {
          states: group.map((i) => states[i]!),
          gradient: scale ? backend.binary('mul', gradient, scale) : gradient,
          factors,
        });
      });
      for (const [j, i] of group.entries()) moved[i] = next[j]!;
    }
    return moved;
  });
}

interface Group {
  /** Of one shape. */
  readonly states: readonly MuonState[];
  /** F32 [states, rows, columns]. */
  readonly gradient: Tensor;
  readonly factors: MuonFactors;
}

function moveGroup(backend: Backend, { states, gradient, factors }: Group): MuonState[] {
  const { momentum: beta, keep, stepSize } = factors;
  const { parameter: first, momentum: average } = states[0]!;
  const { shape } = first;
  const scaled = (x: Tensor, factor: number) => backend.binary('mul', x, scalar(backend, factor));
  const fresh = scaled(gradient, 1 - beta);
  const before = stack(backend, states.map(({ momentum }) => momentum)); // biome-ignore format: one line
  const momentum = backend.binary('add', scaled(backend.cast(before, 'f32'), beta), fresh);
  const nesterov = backend.binary('add', scaled(momentum, beta), fresh);
  const update = gradient.size === 0 ? nesterov : orthogonalize(backend, nesterov);
  const parameters = stack(backend, states.map(({ parameter }) => parameter)); // biome-ignore format: one line
  const moved = backend.binary('sub', scaled(parameters, keep), scaled(update, stepSize(first)));
  const kept = backend.cast(momentum, average.dtype);
  const part = (x: Tensor, i: number) => backend.reshape(backend.slice(x, 0, i, i + 1), shape);
  return states.map((_, i) => ({ parameter: part(moved, i), momentum: part(kept, i) }));
}

function stack(backend: Backend, matrices: readonly Tensor[]): Tensor {
  return backend.concat(
    matrices.map((x) => backend.reshape(x, [1, ...x.shape])),
    0,
  );
}

/**
 * Newton-Schulz: the matrices with singular values near 1 in place of their own.
 *
 * @param matrices - F32 [count, rows, columns].
 */
function orthogonalize(backend: Backend, matrices: Tensor): Tensor {
  const [count, rows, columns] = matrices.shape as [number, number, number];
  // The products of rows with each other are the smaller ones of a wide matrix.
  const isTall = rows > columns;
  const turned = (x: Tensor) => (isTall ? backend.transpose(x, [0, 2, 1]) : x);
  const scaled = (x: Tensor, factor: number) => backend.binary('mul', x, scalar(backend, factor));
  const squares = backend.reshape(backend.binary('mul', matrices, matrices), [count, rows * columns]);
  const norm = backend.unary('sqrt', backend.reduce('sum', squares, 1));
  const divisor = backend.reshape(backend.binary('max', norm, scalar(backend, LEAST_NORM)), [count, 1, 1]);
  let x = turned(backend.binary('div', matrices, divisor));
  const { a, b, c, steps } = NEWTON_SCHULZ;
  for (let step = 0; step < steps; step++) {
    const gram = backend.matmul(x, x, { transposeB: true });
    const factor = backend.binary('add', scaled(gram, b), scaled(backend.matmul(gram, gram), c));
    x = backend.binary('add', scaled(x, a), backend.matmul(factor, x));
  }
  return turned(x);
}
