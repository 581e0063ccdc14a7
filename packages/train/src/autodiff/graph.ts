/**
 * The record of a computation, as far as gradients need it: a graph of variables and the nodes that made them.
 *
 * There is no tape to be rewound. Every variable counts who still needs it (its tensor handle, and the nodes that took it
 * as input); with the last of them goes the node that made it, and all that it saved. So a forward pass whose results
 * are disposed leaves nothing behind, whether or not a backward pass came, and two passes may be interleaved.
 *
 * All tensors here are tensors of the wrapped backend.
 */
import { type Backend, MarianaError, type Shape, type Storage, sizeOf, type Tensor } from '@mariana/core';
import { zerosOf } from './shapes.ts';

/**
 * A gradient that is zero but from `start` (included) to `end` (excluded) of one axis, as a slice leaves it. Pieces that do
 * not overlap are put together in one copy, where whole gradients would each be filled up with zeros and added.
 */
export interface Piece {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  /** F32, of the shape of the input but for this axis. */
  readonly gradient: Tensor;
}

/** What a rule may give for an input. */
export type Share = Tensor | Piece;

/**
 * Gradients of the inputs of one operation, given the gradient of its output: F32, of the shape of the input. Called
 * in a scope of the wrapped backend. Inputs that are not `needed` may be left out.
 */
export type BackwardRule = (gradient: Tensor, needed: readonly boolean[]) => readonly (Share | undefined)[];

/** A value kept for the backward pass, with the number of writes that its storage had seen by then. */
export interface Saved {
  readonly tensor: Tensor;
  readonly writes: number;
}

/** How often the storage of a tensor was written to in place. */
export type WriteCounts = WeakMap<Storage, number>;

/** A value that depends on parameters, or is one. */
export interface Variable {
  /** Later variables have larger numbers: the order of the backward pass. */
  readonly id: number;
  readonly shape: Shape;
  /** What made it; null for a parameter, 'used' after a backward pass went through. */
  maker: Node | null | 'used';
  /** Live handles and nodes that refer to it. */
  holders: number;
}

/** An operation that was recorded. */
export interface Node {
  readonly operation: string;
  /** The variables among the inputs; undefined where an input is a constant. */
  readonly inputs: readonly (Variable | undefined)[];
  readonly saved: readonly Saved[];
  readonly backward: BackwardRule;
}

/** Takes a holder away from a variable, and frees what nobody needs any more. */
export function releaseVariable(variable: Variable): void {
  const pending = [variable];
  for (let next = pending.pop(); next; next = pending.pop()) {
    if (--next.holders > 0 || next.maker === null || next.maker === 'used') continue;
    pending.push(...detach(next, next.maker));
  }
}

/** Frees what a node saved, and gives the variables that lose it as a holder. */
function detach(variable: Variable, node: Node): Variable[] {
  variable.maker = 'used';
  for (const { tensor } of node.saved) tensor.dispose();
  return node.inputs.filter((input) => input !== undefined);
}

/** Every variable that `root` was computed from, itself included, latest first. */
function history(root: Variable): Variable[] {
  const found = new Set([root]);
  for (const variable of found) {
    if (variable.maker === 'used') {
      throw new MarianaError(
        'NOT_DIFFERENTIABLE',
        'backward: part of this computation was freed by an earlier backward pass; run the forward pass again, or ' +
          'call the earlier one with { keepGraph: true }',
      );
    }
    for (const input of variable.maker?.inputs ?? []) if (input) found.add(input);
  }
  return [...found].sort((a, b) => b.id - a.id);
}

/**
 * Propagates `seed`, the gradient of `root`, through the graph. Unless the graph is to be kept, each node is freed as
 * soon as it was used, so that the peak of memory is at the start.
 *
 * @returns Gradients of the parameters that `root` depends on; the caller owns them.
 */
export function propagate(
  backend: Backend,
  root: Variable,
  seed: Tensor,
  writes: WriteCounts,
  keepGraph: boolean,
): Map<Variable, Tensor> {
  const order = history(root);
  const sums = new GradientSums(backend);
  sums.add(root, seed);
  // The walk holds what it has not come to yet, for most of it has lost its handle by now.
  for (const variable of order) variable.holders++;
  let done = 0;
  try {
    for (const variable of order) {
      const node = variable.maker;
      if (node !== null && node !== 'used') {
        const gradient = sums.take(variable);
        if (gradient) {
          try {
            checkWrites(node, writes);
            for (const [input, share] of shares(backend, node, gradient)) sums.add(input, share);
          } finally {
            gradient.dispose();
          }
        }
        if (!keepGraph) for (const input of detach(variable, node)) releaseVariable(input);
      }
      releaseVariable(variable);
      done++;
    }
    return sums.takeAll();
  } catch (error) {
    sums[Symbol.dispose]();
    for (const variable of order.slice(done)) releaseVariable(variable);
    throw error;
  }
}

/** Runs the rule of a node; every tensor of the result is a handle of its own, outside all scopes. */
function shares(backend: Backend, node: Node, gradient: Tensor): [Variable, Share][] {
  const needed = node.inputs.map((input) => input !== undefined);
  const results = backend.scope(() => {
    const given = node.backward(gradient, needed);
    return node.inputs.map((input, i) => {
      const result = given[i];
      if (!input || !result) return undefined;
      const { tensor, shape } = partOf(result, input.shape);
      if (tensor.size !== sizeOf(shape) || tensor.dtype !== 'f32') {
        throw new MarianaError(
          'SHAPE_MISMATCH',
          `the backward rule of ${node.operation} gave a ${tensor} for input ${i} of shape [${input.shape.join(', ')}]`,
        );
      }
      // A new handle, since rules may return the incoming gradient, or one tensor for two inputs.
      const own = backend.reshape(tensor, shape);
      return isPiece(result) ? { ...result, gradient: own } : own;
    });
  });
  return node.inputs.flatMap((input, i): [Variable, Share][] => {
    const result = results[i];
    if (!input || !result) return [];
    backend.keep(isPiece(result) ? result.gradient : result);
    return [[input, result]];
  });
}

function isPiece(share: Share): share is Piece {
  return 'gradient' in share;
}

/** The tensor of a share, and the shape that it should have. */
function partOf(share: Share, shape: Shape): { tensor: Tensor; shape: Shape } {
  if (!isPiece(share)) return { tensor: share, shape };
  return { tensor: share.gradient, shape: shape.with(share.axis, share.end - share.start) };
}

/** Gradients while they are added up: of each variable a sum, and pieces that were not added to it yet. */
class GradientSums implements Disposable {
  readonly #backend: Backend;
  readonly #whole = new Map<Variable, Tensor>();
  readonly #pieces = new Map<Variable, Piece[]>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Takes the share over. */
  add(variable: Variable, share: Share): void {
    if (!isPiece(share)) {
      this.#join(variable);
      this.#addWhole(variable, share);
      return;
    }
    const pieces = this.#pieces.get(variable) ?? [];
    const apart = pieces.every(({ axis, start, end }) => {
      return axis === share.axis && (end <= share.start || start >= share.end);
    });
    if (!apart) this.#join(variable);
    this.#pieces.set(variable, apart ? [...pieces, share] : [share]);
  }

  /** The gradient of a variable, which the caller then owns; undefined if it has none. */
  take(variable: Variable): Tensor | undefined {
    this.#join(variable);
    const gradient = this.#whole.get(variable);
    this.#whole.delete(variable);
    return gradient;
  }

  /** All that is left; the caller then owns it. */
  takeAll(): Map<Variable, Tensor> {
    for (const variable of [...this.#pieces.keys()]) this.#join(variable);
    return this.#whole;
  }

  /** Puts the pieces of a variable together and adds them to its sum. */
  #join(variable: Variable): void {
    const pieces = this.#pieces.get(variable);
    if (!pieces) return;
    const backend = this.#backend;
    const joined = backend.scope(() => {
      const { axis } = pieces[0]!;
      const parts: Tensor[] = [];
      let at = 0;
      const fillTo = (place: number) => {
        if (place > at) parts.push(zerosOf(backend, variable.shape.with(axis, place - at)));
        at = place;
      };
      for (const { start, end, gradient } of pieces.toSorted((a, b) => a.start - b.start)) {
        fillTo(start);
        parts.push(gradient);
        at = end;
      }
      fillTo(variable.shape[axis]!);
      return parts.length === 1 ? backend.reshape(parts[0]!, variable.shape) : backend.concat(parts, axis);
    });
    this.#pieces.delete(variable);
    for (const { gradient } of pieces) gradient.dispose();
    this.#addWhole(variable, backend.keep(joined));
  }

  #addWhole(variable: Variable, share: Tensor): void {
    const sum = this.#whole.get(variable);
    if (sum === undefined) {
      this.#whole.set(variable, share);
      return;
    }
    this.#whole.set(variable, this.#backend.keep(this.#backend.binary('add', sum, share)));
    sum.dispose();
    share.dispose();
  }

  [Symbol.dispose](): void {
    for (const gradient of this.#whole.values()) gradient.dispose();
    for (const { gradient } of [...this.#pieces.values()].flat()) gradient.dispose();
  }
}

function checkWrites(node: Node, counts: WriteCounts): void {
  for (const { tensor, writes } of node.saved) {
    if ((counts.get(tensor.storage) ?? 0) !== writes) {
      throw new MarianaError(
        'NOT_DIFFERENTIABLE',
        `backward: a tensor that ${node.operation} needs was changed by writeRows since; copy it before it is used`,
      );
    }
  }
}
