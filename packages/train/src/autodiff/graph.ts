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

/**
 * Gradients of the inputs of one operation, given the gradient of its output: F32, of the shape of the input. Called
 * in a scope of the wrapped backend. Inputs that are not `needed` may be left out.
 */
export type BackwardRule = (gradient: Tensor, needed: readonly boolean[]) => readonly (Tensor | undefined)[];

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
  const gradients = new Map<Variable, Tensor>([[root, seed]]);
  // The walk holds what it has not come to yet, for most of it has lost its handle by now.
  for (const variable of order) variable.holders++;
  let done = 0;
  try {
    for (const variable of order) {
      const node = variable.maker;
      if (node !== null && node !== 'used') {
        const gradient = gradients.get(variable);
        if (gradient) {
          gradients.delete(variable);
          try {
            checkWrites(node, writes);
            for (const [input, share] of shares(backend, node, gradient)) add(backend, gradients, input, share);
          } finally {
            gradient.dispose();
          }
        }
        if (!keepGraph) for (const input of detach(variable, node)) releaseVariable(input);
      }
      releaseVariable(variable);
      done++;
    }
  } catch (error) {
    for (const gradient of gradients.values()) gradient.dispose();
    for (const variable of order.slice(done)) releaseVariable(variable);
    throw error;
  }
  return gradients;
}

/** Runs the rule of a node; every tensor of the result is a handle of its own, outside all scopes. */
function shares(backend: Backend, node: Node, gradient: Tensor): [Variable, Tensor][] {
  const needed = node.inputs.map((input) => input !== undefined);
  const results = backend.scope(() => {
    const given = node.backward(gradient, needed);
    return node.inputs.map((input, i) => {
      const result = given[i];
      if (!input || !result) return undefined;
      if (result.size !== sizeOf(input.shape) || result.dtype !== 'f32') {
        throw new MarianaError(
          'SHAPE_MISMATCH',
          `the backward rule of ${node.operation} gave a ${result} for input ${i} of shape [${input.shape.join(', ')}]`,
        );
      }
      // A new handle, since rules may return the incoming gradient, or one tensor for two inputs.
      return backend.reshape(result, input.shape);
    });
  });
  return node.inputs.flatMap((input, i): [Variable, Tensor][] =>
    input && results[i] ? [[input, backend.keep(results[i])]] : [],
  );
}

function add(backend: Backend, gradients: Map<Variable, Tensor>, variable: Variable, share: Tensor): void {
  const sum = gradients.get(variable);
  if (sum === undefined) {
    gradients.set(variable, share);
    return;
  }
  gradients.set(variable, backend.keep(backend.binary('add', sum, share)));
  sum.dispose();
  share.dispose();
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
