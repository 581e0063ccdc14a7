/** AdamW over all parameters of a model: keeps their moments, by name, and counts the steps. */
import { type Backend, MarianaError, type Tensor } from '@mariana/core';
import type { AdamWOptions } from './adamw.ts';

export interface OptimizerOptions extends Pick<AdamWOptions, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'> {
  /** How moments are stored; BF16 halves their memory, as in DeepSeek-V3's own training. Default `f32`. */
  readonly moments?: 'f32' | 'bf16';
}

/** Moments of one parameter. */
export interface Moments {
  readonly first: Tensor;
  readonly second: Tensor;
}

/** One parameter with its gradient. */
export interface ParameterUpdate {
  readonly name: string;
  /** F32, of the optimizer's backend. */
  readonly parameter: Tensor;
  /** F32 of the same shape. */
  readonly gradient: Tensor;
}

export interface UpdateOptions {
  readonly learningRate: number;
  /** F32 of one element that gradients are multiplied by first, as clipping does. Default: 1. */
  readonly gradientScale?: Tensor;
}

export class Optimizer implements Disposable {
  /** Holds the moments and computes the updates. */
  readonly backend: Backend;
  readonly options: OptimizerOptions;
  readonly #moments = new Map<string, Moments>();
  #step = 0;

  /** @param backend - The one that computes: for an autodiff backend, the one it wraps. */
  constructor(backend: Backend, options: OptimizerOptions = {}) {
    this.backend = backend;
    this.options = options;
  }

  /** Steps begun so far. */
  get step(): number {
    return this.#step;
  }

  /** Begins a step; each parameter is to be updated once in it. */
  beginStep(): void {
    this.#step++;
  }

  /**
   * The next values of one parameter, in the current step; its moments are replaced.
   *
   * @param parameter - F32, of `backend`.
   * @param gradient - F32 of the same shape, clipped already.
   * @throws MarianaError `INVALID_ARGUMENT` before the first `beginStep`, `SHAPE_MISMATCH`.
   */
  update(name: string, parameter: Tensor, gradient: Tensor, learningRate: number): Tensor {
    return this.updateAll([{ name, parameter, gradient }], { learningRate })[0]!;
  }

  /**
   * The next values of several parameters, in the order given; their moments are replaced. A backend may take them all in
   * one pass.
   *
   * @throws MarianaError `INVALID_ARGUMENT` before the first `beginStep`, `SHAPE_MISMATCH`.
   */
  updateAll(updates: readonly ParameterUpdate[], { learningRate, gradientScale }: UpdateOptions): Tensor[] {
    const { backend } = this;
    const { moments: dtype = 'f32', ...options } = this.options;
    const states = updates.map(({ name, parameter }) => {
      const { first, second } = this.#moments.get(name) ?? this.#zeros(parameter, dtype);
      return { parameter, firstMoment: first, secondMoment: second };
    });
    const gradients = updates.map(({ gradient }) => gradient);
    const next = backend.adamwAll(states, gradients, {
      ...options,
      step: this.#step,
      learningRate,
      ...(gradientScale && { gradientScale }),
    });
    return next.map(({ parameter, firstMoment, secondMoment }, i) => {
      states[i]!.firstMoment.dispose();
      states[i]!.secondMoment.dispose();
      const moments = { first: backend.keep(firstMoment), second: backend.keep(secondMoment) };
      this.#moments.set(updates[i]!.name, moments);
      return parameter;
    });
  }

  /** The moments of each parameter updated so far, for a checkpoint. The optimizer keeps owning them. */
  moments(): ReadonlyMap<string, Moments> {
    return this.#moments;
  }

  /**
   * Goes on from a checkpoint.
   *
   * @param moments - Of `backend`, in the dtype of the options; taken over.
   * @throws MarianaError `DTYPE_MISMATCH`, `WRONG_BACKEND`.
   */
  restore(step: number, moments: ReadonlyMap<string, Moments>): void {
    const { moments: dtype = 'f32' } = this.options;
    for (const tensor of [...moments.values()].flatMap(({ first, second }) => [first, second])) {
      if (tensor.dtype === dtype && tensor.backend === this.backend) continue;
      throw new MarianaError(
        tensor.dtype === dtype ? 'WRONG_BACKEND' : 'DTYPE_MISMATCH',
        `Optimizer.restore: a ${tensor} of ${tensor.backend.name} is no ${dtype} moment on ${this.backend.name}`,
      );
    }
    this.dispose();
    for (const [name, { first, second }] of moments) {
      this.#moments.set(name, { first: this.backend.keep(first), second: this.backend.keep(second) });
    }
    this.#step = step;
  }

  /** Frees the moments. */
  dispose(): void {
    for (const { first, second } of this.#moments.values()) {
      first.dispose();
      second.dispose();
    }
    this.#moments.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #zeros({ shape, size }: Tensor, dtype: 'f32' | 'bf16'): Moments {
    const { backend } = this;
    const zeros = () => backend.upload(dtype === 'f32' ? new Float32Array(size) : new Uint16Array(size), shape, dtype);
    return { first: zeros(), second: zeros() };
  }
}
