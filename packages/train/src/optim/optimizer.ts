/**
 * AdamW, or Muon with AdamW, over all parameters of a model: keeps their moments, by name, and counts the steps.
 */
import { type Backend, MarianaError, type Tensor } from '@mariana/core';
import type { AdamWOptions } from './adamw.ts';
import { isMuonParameter } from './muon.ts';

export interface OptimizerOptions extends Pick<AdamWOptions, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'> {
  /**
   * `muon` moves hidden matrices by Muon and the rest by AdamW, both with the same learning rate and decay (see
   * `isMuonParameter`). Default `adamw`.
   */
  readonly algorithm?: 'adamw' | 'muon';
  /** Momentum of Muon. Default 0.95. */
  readonly momentum?: number;
  /** How moments are stored; BF16 halves their memory, as in DeepSeek-V3's own training. Default `f32`. */
  readonly moments?: 'f32' | 'bf16';
}

/** Moments of one parameter. */
export interface Moments {
  /** Average of gradients; of Muon, its momentum. */
  readonly first: Tensor;
  /** Average of their squares; Muon has none. */
  readonly second: Tensor | null;
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
  updateAll(updates: readonly ParameterUpdate[], options: UpdateOptions): Tensor[] {
    if (this.#step === 0) {
      throw new MarianaError('INVALID_ARGUMENT', 'Optimizer.updateAll: no step has begun; call beginStep first');
    }
    const byMuon = new Set(updates.filter(({ name, parameter }) => this.usesMuon(name, parameter)));
    const rest = updates.filter((update) => !byMuon.has(update));
    const next = new Map([...this.#muon([...byMuon], options), ...this.#adamw(rest, options)]);
    return updates.map((update) => next.get(update)!);
  }

  /** Whether Muon moves a parameter, so that it has no second moment. */
  usesMuon(name: string, parameter: Pick<Tensor, 'rank'>): boolean {
    return this.options.algorithm === 'muon' && isMuonParameter(name, parameter);
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
    for (const tensor of [...moments.values()].flatMap(({ first, second }) => (second ? [first, second] : [first]))) {
      if (tensor.dtype === dtype && tensor.backend === this.backend) continue;
      throw new MarianaError(
        tensor.dtype === dtype ? 'WRONG_BACKEND' : 'DTYPE_MISMATCH',
        `Optimizer.restore: a ${tensor} of ${tensor.backend.name} is no ${dtype} moment on ${this.backend.name}`,
      );
    }
    this.dispose();
    for (const [name, { first, second }] of moments) {
      this.#moments.set(name, { first: this.backend.keep(first), second: second && this.backend.keep(second) });
    }
    this.#step = step;
  }

  /** Frees the moments. */
  dispose(): void {
    for (const { first, second } of this.#moments.values()) {
      first.dispose();
      second?.dispose();
    }
    this.#moments.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #muon(updates: readonly ParameterUpdate[], options: UpdateOptions): [ParameterUpdate, Tensor][] {
    if (updates.length === 0) return [];
    const { momentum, weightDecay } = this.options;
    const states = updates.map(({ name, parameter }) => ({
      parameter,
      momentum: this.#moments.get(name)?.first ?? this.#zeros(parameter),
    }));
    const next = this.backend.muon(
      states,
      updates.map(({ gradient }) => gradient),
      { ...options, ...(momentum !== undefined && { momentum }), ...(weightDecay !== undefined && { weightDecay }) },
    );
    return updates.map((update, i) => {
      states[i]!.momentum.dispose();
      this.#moments.set(update.name, { first: this.backend.keep(next[i]!.momentum), second: null });
      return [update, next[i]!.parameter];
    });
  }

  #adamw(updates: readonly ParameterUpdate[], options: UpdateOptions): [ParameterUpdate, Tensor][] {
    const { algorithm: _algorithm, momentum: _momentum, moments: _moments, ...factors } = this.options;
    const states = updates.map(({ name, parameter }) => {
      const { first, second } = this.#moments.get(name) ?? { first: null, second: null };
      return {
        parameter,
        firstMoment: first ?? this.#zeros(parameter),
        secondMoment: second ?? this.#zeros(parameter),
      };
    });
    const next = this.backend.adamwAll(
      states,
      updates.map(({ gradient }) => gradient),
      { ...factors, ...options, step: this.#step },
    );
    return updates.map((update, i) => {
      states[i]!.firstMoment.dispose();
      states[i]!.secondMoment.dispose();
      const { parameter, firstMoment, secondMoment } = next[i]!;
      const moments = { first: this.backend.keep(firstMoment), second: this.backend.keep(secondMoment) };
      this.#moments.set(update.name, moments);
      return [update, parameter];
    });
  }

  #zeros({ shape, size }: Tensor): Tensor {
    const { moments: dtype = 'f32' } = this.options;
    return this.backend.upload(dtype === 'f32' ? new Float32Array(size) : new Uint16Array(size), shape, dtype);
  }
}
