/**
 * Muon, some matrices of one shape at a time, so that what the products read stays in the cache.
 *
 * Newton-Schulz multiplies x from the left by a polynomial of x x^T only, and such polynomials commute. So the five steps
 * are taken on the small square matrices alone, and their product meets x once: for experts, three times as wide as high, a
 * third less work than five steps on x. With A = x x^T sqrt(c), a step is
 *
 *   P = a I + (b / sqrt(c)) A + A^2 = (A + h I)^2 + (a - h^2) I with h = b / (2 sqrt(c)),   A <- A P P,   Q <- P Q,
 *
 * so that all but products is a number added to diagonals.
 */
import {
  LEAST_NORM,
  type MuonFactors,
  type MuonOptions,
  type MuonState,
  muonFactors,
  muonGroups,
  NEWTON_SCHULZ,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { binary, gemm } from '../wasm/index.ts';

const { a, b, c, steps: STEPS } = NEWTON_SCHULZ;
const ROOT = Math.sqrt(c);
/** What is added to the diagonal of A before it is squared, and after. */
const BEFORE = b / (2 * ROOT);
const AFTER = a - BEFORE ** 2;
/** Values of the five square matrices of all matrices that are moved together: half a second-level cache. */
const CHUNK_VALUES = 64 * 1024;

/** Null for BF16 momenta, which the default body rounds. */
export function muon(
  backend: CpuBackend,
  states: readonly MuonState[],
  gradients: readonly Tensor[],
  options: MuonOptions,
): MuonState[] | null {
  const factors = muonFactors(states, gradients, options);
  if (states.some(({ momentum }) => momentum.dtype !== 'f32')) return null;
  const { gradientScale } = options;
  if (gradientScale) backend.pointer(gradientScale);
  for (const [i, { parameter, momentum }] of states.entries()) {
    for (const tensor of [parameter, momentum, gradients[i]!]) backend.pointer(tensor);
  }
  const scale = gradientScale ? backend.view(gradientScale)[0]! : 1;
  const next = states.map(({ parameter: { shape } }) => ({
    parameter: backend.output(shape),
    momentum: backend.output(shape),
  }));
  for (const group of muonGroups(states)) {
    if (states[group[0]!]!.parameter.size === 0) continue;
    const updates = group.map((i) => ({ state: states[i]!, gradient: gradients[i]!, next: next[i]! }));
    backend.scope(() => {
      const mover = new Mover(backend, states[group[0]!]!.parameter, updates.length, factors, scale);
      for (let at = 0; at < updates.length; at += mover.most) mover.move(updates.slice(at, at + mover.most));
    });
  }
  return next;
}

/** One matrix, and where its new values go. */
interface Update {
  readonly state: MuonState;
  readonly gradient: Tensor;
  readonly next: MuonState;
}

/** Moves matrices of one shape, a chunk after the other, in the same scratch memory. */
class Mover {
  /** Matrices in a chunk. */
  readonly most: number;
  readonly #backend: CpuBackend;
  readonly #size: number;
  readonly #isTall: boolean;
  /** The smaller and the larger of rows and columns. */
  readonly #small: number;
  readonly #large: number;
  readonly #stepSize: number;
  /** Addresses: numbers, then matrices of a chunk one after the other, of the shape of the parameter or [small, small]. */
  readonly #numbers: number;
  readonly #factors: number;
  readonly #fresh: number;
  readonly #update: number;
  readonly #squares: readonly number[];

  constructor(backend: CpuBackend, like: Tensor, count: number, factors: MuonFactors, gradientScale: number) {
    const [rows, columns] = like.shape as [number, number];
    this.#backend = backend;
    this.#size = like.size;
    this.#isTall = rows > columns;
    this.#small = Math.min(rows, columns);
    this.#large = Math.max(rows, columns);
    this.#stepSize = factors.stepSize(like);
    const square = this.#small ** 2;
    const { threads } = backend.capabilities;
    this.most = Math.min(count, Math.max(1, Math.floor(CHUNK_VALUES / (5 * square)), square < 9216 ? threads : 1));
    const scratch = (values: number) => backend.pointer(backend.output([values]));
    this.#numbers = scratch(3);
    this.#factors = scratch(this.most);
    this.#fresh = scratch(this.most * this.#size);
    this.#update = scratch(this.most * this.#size);
    this.#squares = [1, 2, 3, 4, 5].map(() => scratch(this.most * square));
    const { momentum, keep } = factors;
    backend.engine.arena.f32.set([momentum, gradientScale * (1 - momentum), keep], this.#numbers / 4);
  }

  move(updates: readonly Update[]): void {
    this.#average(updates);
    const [gram, ...spare] = this.#squares as [number, number, number, number, number];
    const stepSizes = this.#multiplyRows(updates.length, gram);
    // Nothing has reached these matrices yet, as those of an MTP module whose loss begins later.
    if (stepSizes === null) return;
    const factor = this.#iterate(updates.length, gram, spare);
    this.#scale(factor, stepSizes);
    this.#apply(updates, factor);
  }

  /** New momenta, what they move by (not yet orthogonal), and decayed parameters. */
  #average(updates: readonly Update[]): void {
    const [momentum, share, keep] = [this.#numbers, this.#numbers + 4, this.#numbers + 8];
    const at = (tensor: Tensor) => this.#backend.pointer(tensor);
    const n = this.#size;
    const job = this.#backend.engine.job();
    const scaled = (x: number, by: number, y: number) =>
      binary(job, { op: 'mul', a: x, b: by, y, sizes: [n], steps: [[1], [0]] });
    const add = (x: number, y: number, count = n) =>
      binary(job, { op: 'add', a: y, b: x, y, sizes: [count], steps: [[1], [1]] });
    for (const [i, { state, gradient, next }] of updates.entries()) {
      scaled(at(state.momentum), momentum, at(next.momentum));
      scaled(at(gradient), share, this.#fresh + 4 * n * i);
      scaled(at(state.parameter), keep, at(next.parameter));
    }
    job.run();
    for (const [i, { next }] of updates.entries()) add(this.#fresh + 4 * n * i, at(next.momentum));
    job.run();
    for (const [i, { next }] of updates.entries()) scaled(at(next.momentum), momentum, this.#update + 4 * n * i);
    job.run();
    add(this.#fresh, this.#update, n * updates.length);
    job.run();
  }

  /**
   * sqrt(c) x x^T of the updates u, of which x = u / ||u|| (of tall ones x^T x). Returns what each u has to be multiplied by
   * in the end, or null if all of them are zeros.
   */
  #multiplyRows(count: number, gram: number): number[] | null {
    const small = this.#small;
    const job = this.#backend.engine.job();
    gemm(job, {
      a: this.#update,
      b: this.#update,
      c: gram,
      m: small,
      n: small,
      k: this.#large,
      transposeA: this.#isTall,
      transposeB: !this.#isTall,
      batch: count,
      strideA: this.#size,
      strideB: this.#size,
      strideC: small ** 2,
    });
    job.run();
    const { f32 } = this.#backend.engine.arena;
    const norms = Array.from({ length: count }, (_, matrix) => {
      let trace = 0;
      for (let i = 0; i < small; i++) trace += f32[gram / 4 + matrix * small ** 2 + i * (small + 1)]!;
      return Math.sqrt(trace);
    });
    if (norms.every((norm) => norm === 0)) return null;
    const divisors = norms.map((norm) => Math.max(norm, LEAST_NORM));
    this.#scale(
      gram,
      divisors.map((divisor) => ROOT / divisor ** 2),
    );
    return divisors.map((divisor) => -this.#stepSize / divisor);
  }

  /** The five steps; gives the address of Q, the product of all P. */
  #iterate(count: number, gram: number, [p, q, ...others]: readonly number[]): number {
    const small = this.#small;
    let [P, Q, R, T] = [p!, q!, others[0]!, others[1]!];
    const job = this.#backend.engine.job();
    const multiply = (left: number, right: number, to: number) =>
      gemm(job, {
        a: left,
        b: right,
        c: to,
        m: small,
        n: small,
        k: small,
        batch: count,
        strideA: small ** 2,
        strideB: small ** 2,
        strideC: small ** 2,
      });
    for (let step = 1; step <= STEPS; step++) {
      this.#shift(count, gram, BEFORE);
      multiply(gram, gram, P);
      job.run();
      this.#shift(count, gram, -BEFORE);
      this.#shift(count, P, AFTER);
      if (step < STEPS) multiply(gram, P, R);
      if (step > 1) multiply(P, Q, T);
      job.run();
      if (step < STEPS) multiply(R, P, gram);
      job.run();
      if (step === 1) [P, Q] = [Q, P];
      else [Q, T] = [T, Q];
    }
    return Q;
  }

  /** Adds a number to the diagonal of each square matrix. */
  #shift(count: number, squares: number, by: number): void {
    const small = this.#small;
    const { f32 } = this.#backend.engine.arena;
    for (let matrix = 0; matrix < count; matrix++) {
      const first = squares / 4 + matrix * small ** 2;
      for (let i = 0; i < small; i++) f32[first + i * (small + 1)]! += by;
    }
  }

  /** Multiplies each square matrix by a number of its own. */
  #scale(squares: number, factors: readonly number[]): void {
    const { engine } = this.#backend;
    engine.arena.f32.set(factors, this.#factors / 4);
    const square = this.#small ** 2;
    const job = engine.job();
    binary(job, {
      op: 'mul',
      a: squares,
      b: this.#factors,
      y: squares,
      sizes: [square, factors.length],
      steps: [
        [1, square],
        [0, 1],
      ],
    });
    job.run();
  }

  /** Adds Q u (of tall ones u Q) to each parameter. */
  #apply(updates: readonly Update[], factor: number): void {
    const [small, large, isTall] = [this.#small, this.#large, this.#isTall];
    const job = this.#backend.engine.job();
    for (const [i, { next }] of updates.entries()) {
      const q = factor + 4 * small ** 2 * i;
      const u = this.#update + 4 * this.#size * i;
      gemm(job, {
        a: isTall ? u : q,
        b: isTall ? q : u,
        c: this.#backend.pointer(next.parameter),
        m: isTall ? large : small,
        n: isTall ? small : large,
        k: small,
        accumulate: true,
      });
    }
    job.run();
  }
}
