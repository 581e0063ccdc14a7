/**
 * What training does besides products, one function for each kernel: gradients of norms, gates, losses and attention, each
 * in one pass. All tensors are f32 and dense; addresses are in bytes.
 */
import { type Job, KERNEL } from './job.ts';

/** Elements in a unit of the kernels that know no rows. */
const BLOCK = 4096;

export interface SquaredNorm {
  /** f32 [n]. */
  readonly x: number;
  /** f32 [1]. */
  readonly y: number;
  readonly n: number;
}

/** y = sum(x^2), kept in f64, by one thread: the order is that of `reduce`. */
export function squaredNorm(job: Job, o: SquaredNorm): void {
  job
    .segment(KERNEL.squaredNorm, 1, o.n * 0.5 + 4)
    .word(o.x)
    .word(o.y)
    .word(o.n);
}

export interface SwigluGradients {
  /** f32 [n] each. */
  readonly dy: number;
  readonly gate: number;
  readonly up: number;
  readonly dGate: number;
  readonly dUp: number;
  readonly n: number;
}

/** The gradients of gate * sigmoid(gate) * up. */
export function swigluGradients(job: Job, o: SwigluGradients): void {
  job
    .segment(KERNEL.swigluGradients, Math.ceil(o.n / BLOCK), BLOCK * 2)
    .word(o.dy)
    .word(o.gate)
    .word(o.up)
    .word(o.dGate)
    .word(o.dUp)
    .word(o.n);
}

export interface RmsNormGradients {
  /** f32 [rows, width] each. */
  readonly dy: number;
  readonly x: number;
  /** f32 [width]. */
  readonly weight: number;
  /** f32 [rows, width]. */
  readonly dx: number;
  /** f32 [rows, width]: what the gradient of the weight is the sum of. */
  readonly product: number;
  readonly rows: number;
  readonly width: number;
  readonly epsilon: number;
}

/** dx = r (dy w - n mean(dy n w)) and product = dy n, with r = 1 / sqrt(mean(x^2) + epsilon) and n = x r. */
export function rmsNormGradients(job: Job, o: RmsNormGradients): void {
  job
    .segment(KERNEL.rmsNormGradients, o.rows, o.width * 1.5 + 10)
    .word(o.dy)
    .word(o.x)
    .word(o.weight)
    .word(o.dx)
    .word(o.product)
    .word(o.width)
    .float(o.epsilon);
}

export interface SumExponentials {
  /** f32 [rows, width]. */
  readonly x: number;
  /** f32 [rows] each. */
  readonly tops: number;
  readonly sums: number;
  readonly rows: number;
  readonly width: number;
}

/** The largest of each row, and the sum of exp(x - largest). */
export function sumExponentials(job: Job, o: SumExponentials): void {
  job
    .segment(KERNEL.sumExponentials, o.rows, o.width * 1.5 + 10)
    .word(o.x)
    .word(o.tops)
    .word(o.sums)
    .word(o.width);
}

export interface CrossEntropyGradients {
  /** f32 [rows]. */
  readonly dy: number;
  /** f32 [rows, width]. */
  readonly x: number;
  /** f32 [rows]: log(sum(exp(x))). */
  readonly norms: number;
  /** i32 [rows], below `width`. */
  readonly targets: number;
  /** f32 [rows, width]. */
  readonly dx: number;
  readonly rows: number;
  readonly width: number;
}

/** dx = dy (exp(x - norm) - [column is target]). */
export function crossEntropyGradients(job: Job, o: CrossEntropyGradients): void {
  job
    .segment(KERNEL.crossEntropyGradients, o.rows, o.width * 1.5 + 10)
    .word(o.dy)
    .word(o.x)
    .word(o.norms)
    .word(o.targets)
    .word(o.dx)
    .word(o.width);
}

export interface AttentionSlopes {
  /** f32 [batch, heads, queries, keys] each: scores, which become probabilities, and dy v^T, which becomes dS. */
  readonly scores: number;
  readonly slopes: number;
  /** f32 [batch, queries, heads, value] each. */
  readonly dy: number;
  readonly output: number;
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly value: number;
  /** Query i sees keys 0 to start + i. */
  readonly start: number;
  /** Queries that are multiplied together: zeros fill their rows up to the last key that one of them sees. */
  readonly block: number;
}

/** P = softmax(scores) and dS = P (dP - sum(dy o)), in place, over the keys that each query sees. */
export function attentionSlopes(job: Job, o: AttentionSlopes): void {
  job
    .segment(KERNEL.attentionSlopes, o.batch * o.heads * o.queries, o.keys + o.value + 20)
    .word(o.scores)
    .word(o.slopes)
    .word(o.dy)
    .word(o.output)
    .word(o.queries)
    .word(o.keys)
    .word(o.heads)
    .word(o.value)
    .word(o.start)
    .word(o.block);
}
