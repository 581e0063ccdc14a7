/**
 * How well the range of E4M3 serves a training run: how large the groups of values get that share a scale, and what is
 * lost at the small end. With scales made online nothing overflows; what can happen is that one large value makes its
 * neighbours vanish.
 */
import { type Backend, E4M3_MAX, scalar, type Tensor } from '@mariana/core';
import type { Fp8Observer } from './linear.ts';
import type { Fp8Blocks, Fp8Tiles } from './quantize.ts';

type Operand = Parameters<Fp8Observer['observe']>[1];

/** What was measured of one kind of operand. */
export interface Fp8Range {
  /** Magnitude of the smallest group: its largest value, or 1e-4 where that is below. */
  readonly smallestGroup: number;
  /** Magnitude of the largest group. */
  readonly largestGroup: number;
  /** Share of values other than 0 that became 0. */
  readonly underflow: number;
  /** Share of values whose code is the largest, 448, in magnitude: at least one in each group. */
  readonly atMaximum: number;
  readonly values: number;
}

/** By kind of operand; kinds that did not occur are missing. */
export type Fp8Ranges = Readonly<Partial<Record<Operand, Fp8Range>>>;

/**
 * Measures the operands of FP8 products while `active`; give it to a run as `fp8: { observer }`. Measuring changes no
 * number of the run, but reads every operand again, so it is for a step now and then.
 */
export class Fp8RangeRecorder implements Fp8Observer {
  active = false;
  readonly #measured: { operand: Operand; figures: Tensor; values: number }[] = [];

  observe(backend: Backend, operand: Operand, values: Tensor, { codes, scales }: Fp8Tiles | Fp8Blocks): void {
    if (!this.active || values.size === 0) return;
    const figures = backend.scope(() => {
      const flat = (tensor: Tensor) => backend.reshape(tensor, [tensor.size]);
      const [one, none] = [scalar(backend, 1), scalar(backend, 0)];
      const count = (mask: Tensor) => backend.reduce('sum', backend.where(flat(mask), one, none), 0);
      const magnitudes = backend.unary('abs', backend.cast(codes, 'f32'));
      return backend.concat(
        [
          backend.unary('neg', backend.reduce('max', backend.unary('neg', flat(scales)), 0)),
          backend.reduce('max', flat(scales), 0),
          count(backend.binary('equal', magnitudes, none)),
          count(backend.binary('equal', values, none)),
          count(backend.binary('equal', magnitudes, scalar(backend, E4M3_MAX))),
        ].map((figure) => backend.reshape(figure, [1])),
        0,
      );
    });
    // Values are read later: reading waits for the backend, and products do not wait.
    this.#measured.push({ operand, figures: backend.keep(figures), values: values.size });
  }

  /** What was measured since the last call, over all operands of a kind. */
  async take(): Promise<Fp8Ranges> {
    const sums = new Map<Operand, { min: number; max: number; lost: number; zeros: number; top: number; n: number }>();
    for (const { operand, figures, values } of this.#measured.splice(0)) {
      const [min, max, zeroCodes, zeros, top] = (await figures.read()) as Float32Array;
      figures.dispose();
      const sum = sums.get(operand) ?? { min: Number.POSITIVE_INFINITY, max: 0, lost: 0, zeros: 0, top: 0, n: 0 };
      sums.set(operand, {
        min: Math.min(sum.min, min!),
        max: Math.max(sum.max, max!),
        lost: sum.lost + zeroCodes! - zeros!,
        zeros: sum.zeros + zeros!,
        top: sum.top + top!,
        n: sum.n + values,
      });
    }
    return Object.fromEntries(
      Array.from(sums, ([operand, { min, max, lost, zeros, top, n }]): [Operand, Fp8Range] => [
        operand,
        {
          smallestGroup: min * E4M3_MAX,
          largestGroup: max * E4M3_MAX,
          underflow: n > zeros ? lost / (n - zeros) : 0,
          atMaximum: top / n,
          values: n,
        },
      ]),
    );
  }
}
