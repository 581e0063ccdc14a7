/** AdamW over all parameters of a model: keeps their moments, by name, and counts the steps. */
import { type Backend, MarianaError, type Tensor } from '@mariana/core';
import { type AdamWOptions, adamwStep } from './adamw.ts';

export interface OptimizerOptions extends Pick<AdamWOptions, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'> {
  /** How moments are stored; BF16 halves their memory, as in DeepSeek-V3's own training. Default `f32`. */
  readonly moments?: 'f32' | 'bf16';
}

/** Moments of one parameter. */
export interface Moments {
  readonly first: Tensor;
  readonly second: Tensor;
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
    const { backend } = this;
    const { moments: dtype = 'f32', ...options } = this.options;
    const { first, second } = this.#moments.get(name) ?? this.#zeros(parameter, dtype);
    const next = adamwStep(backend, { parameter, firstMoment: first, secondMoment: second }, gradient, {
      ...options,
      step: this.#step,
      learningRate,
    });
    first.dispose();
    second.dispose();
    this.#moments.set(name, { first: backend.keep(next.firstMoment), second: backend.keep(next.secondMoment) });
    return next.parameter;
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
