/**
 * What a layer does to rows besides products, one function for each kernel. All matrices are f32 and row-major;
 * strides are in elements and default to the width.
 */
import { type Job, KERNEL } from './job.ts';

interface Rows {
  /** f32 [tokens, width]. */
  readonly x: number;
  /** f32 [tokens, width]; may be x. */
  readonly y: number;
  readonly tokens: number;
  readonly width: number;
  readonly xStride?: number | undefined;
  readonly yStride?: number | undefined;
}

export interface RmsNorm extends Rows {
  /** f32 [width]. */
  readonly weight: number;
  readonly epsilon: number;
  /** f32 [tokens, width]: added to x first, and x keeps the sum (the residual stream). */
  readonly plus?: number | undefined;
  readonly plusStride?: number | undefined;
}

/** y = x / sqrt(mean(x^2) + epsilon) * weight. */
export function rmsNorm(job: Job, o: RmsNorm): void {
  job
    .segment(KERNEL.rmsNorm, o.tokens, o.width * 0.4)
    .word(o.x)
    .word(o.weight)
    .word(o.y)
    .word(o.width)
    .word(o.xStride ?? o.width)
    .word(o.yStride ?? o.width)
    .float(o.epsilon)
    .word(o.plus ?? 0)
    .word(o.plusStride ?? o.width);
}

export interface AddRows extends Rows {
  /** f32 [tokens, width]. */
  readonly plus: number;
  readonly plusStride?: number | undefined;
  /** Default 1. */
  readonly scale?: number | undefined;
}

/** y = x + scale * plus. */
export function addRows(job: Job, o: AddRows): void {
  job
    .segment(KERNEL.addRows, o.tokens, o.width * 0.3)
    .word(o.x)
    .word(o.plus)
    .word(o.y)
    .word(o.width)
    .word(o.xStride ?? o.width)
    .word(o.plusStride ?? o.width)
    .word(o.yStride ?? o.width)
    .float(o.scale ?? 1);
}

export interface Rotary {
  /** f32 [tokens, heads, dim]: x, and y, which may be x. */
  readonly x: number;
  readonly y: number;
  readonly tokens: number;
  readonly heads: number;
  /** Even. */
  readonly dim: number;
  /** f32 [rows, dim / 2] each. */
  readonly cos: number;
  readonly sin: number;
  /** i32 [tokens]: the row of cos and sin for each token. Default: its own number. */
  readonly positions?: number | undefined;
  /** Elements from token to token and from head to head. Default: dense. */
  readonly xStride?: number | undefined;
  readonly xHead?: number | undefined;
  readonly yStride?: number | undefined;
  readonly yHead?: number | undefined;
  /** Turns the other way: the gradient. */
  readonly inverse?: boolean | undefined;
}

/** Turns the pairs (2i, 2i + 1): y = (a cos - b sin, a sin + b cos), as DeepSeek's `apply_rotary_emb`. */
export function rotary(job: Job, o: Rotary): void {
  job
    .segment(KERNEL.rotary, o.tokens, o.heads * o.dim)
    .word(o.x)
    .word(o.y)
    .word(o.heads)
    .word(o.dim)
    .word(o.cos)
    .word(o.sin)
    .word(o.xStride ?? o.heads * o.dim)
    .word(o.xHead ?? o.dim)
    .word(o.yStride ?? o.heads * o.dim)
    .word(o.yHead ?? o.dim)
    .word(o.positions ?? 0)
    .word(o.inverse ? 1 : 0);
}

export interface Swiglu {
  /** f32 [tokens, width] each; y may be gate or up. */
  readonly gate: number;
  readonly up: number;
  readonly y: number;
  readonly tokens: number;
  readonly width: number;
  readonly gateStride?: number | undefined;
  readonly upStride?: number | undefined;
  readonly yStride?: number | undefined;
}

/** y = gate / (1 + exp(-gate)) * up; exp is within 2 ulp (`assembly/math.ts`). */
export function swiglu(job: Job, o: Swiglu): void {
  job
    .segment(KERNEL.swiglu, o.tokens, o.width * 1.5)
    .word(o.gate)
    .word(o.up)
    .word(o.y)
    .word(o.width)
    .word(o.gateStride ?? o.width)
    .word(o.upStride ?? o.width)
    .word(o.yStride ?? o.width);
}

/** y = exp(x - max) / sum(exp(x - max)) over the width. */
export function softmax(job: Job, o: Rows): void {
  job
    .segment(KERNEL.softmax, o.tokens, o.width * 1.5)
    .word(o.x)
    .word(o.y)
    .word(o.width)
    .word(o.xStride ?? o.width)
    .word(o.yStride ?? o.width);
}

export interface TopK {
  /** f32 [tokens, width]. */
  readonly x: number;
  readonly tokens: number;
  readonly width: number;
  /** At most `width`. */
  readonly k: number;
  /** f32 and i32 [tokens, k]. */
  readonly values: number;
  readonly indices: number;
  readonly xStride?: number | undefined;
}

/** The k largest of each row, largest first; equal ones by index, NaN after all numbers. */
export function topK(job: Job, o: TopK): void {
  job
    .segment(KERNEL.topK, o.tokens, o.width * 1.5)
    .word(o.x)
    .word(o.width)
    .word(o.xStride ?? o.width)
    .word(o.k)
    .word(o.values)
    .word(o.indices);
}

export interface GatherRows {
  /** f32 or BF16 [*, width]. */
  readonly from: number;
  readonly format: 'f32' | 'bf16';
  readonly width: number;
  /** i32 [tokens]: numbers of existing rows. */
  readonly rows: number;
  readonly tokens: number;
  /** f32 [tokens, width]. */
  readonly y: number;
  readonly fromStride?: number | undefined;
  readonly yStride?: number | undefined;
}

/** y[t] = from[rows[t]] as f32: embeddings, and tokens of an expert. */
export function gatherRows(job: Job, o: GatherRows): void {
  job
    .segment(KERNEL.gatherRows, o.tokens, o.width * 0.3)
    .word(o.from)
    .word(o.format === 'bf16' ? 1 : 0)
    .word(o.rows)
    .word(o.y)
    .word(o.width)
    .word(o.fromStride ?? o.width)
    .word(o.yStride ?? o.width);
}

export interface CombineRows {
  /** f32 [*, width]: outputs of the experts. */
  readonly x: number;
  /** f32 [tokens, k]. */
  readonly weights: number;
  /** i32 [tokens, k]: rows of x; a negative one is left out. */
  readonly slots: number;
  readonly k: number;
  /** f32 [tokens, width]. */
  readonly y: number;
  readonly tokens: number;
  readonly width: number;
  readonly xStride?: number | undefined;
  readonly yStride?: number | undefined;
  /** Adds to y instead of writing it. */
  readonly accumulate?: boolean | undefined;
}

/** y[t] = sum over j of weights[t, j] * x[slots[t, j]], in the order of j. */
export function combineRows(job: Job, o: CombineRows): void {
  job
    .segment(KERNEL.combineRows, o.tokens, o.width * o.k * 0.3)
    .word(o.x)
    .word(o.weights)
    .word(o.slots)
    .word(o.y)
    .word(o.width)
    .word(o.k)
    .word(o.xStride ?? o.width)
    .word(o.yStride ?? o.width)
    .word(o.accumulate ? 1 : 0);
}

export interface Route {
  /** f32 [tokens, experts]. */
  readonly logits: number;
  readonly tokens: number;
  readonly experts: number;
  readonly logitsStride?: number | undefined;
  readonly scoring: 'sigmoid' | 'softmax';
  /** f32 [experts]: counts for the choice, not for the weights. */
  readonly bias?: number | undefined;
  /** Equal groups; 1 for none. */
  readonly groups: number;
  readonly topGroups: number;
  /** A group counts by the sum of its two best scores, or by its best. */
  readonly groupScore: 'top2' | 'max';
  readonly topK: number;
  /** Divides the weights by their sum + 1e-20. */
  readonly normalize: boolean;
  readonly scale: number;
  /** i32 and f32 [tokens, topK]. */
  readonly indices: number;
  readonly weights: number;
  /** f32 [tokens, experts]: the scores of all, if wanted. */
  readonly scores?: number | undefined;
}

/** The router (DeepSeek's `Gate.forward`), with dropped groups at -infinity. The indices of a token always differ. */
export function route(job: Job, o: Route): void {
  job
    .segment(KERNEL.route, o.tokens, o.experts * 8)
    .word(o.logits)
    .word(o.experts)
    .word(o.logitsStride ?? o.experts)
    .word(o.scoring === 'sigmoid' ? 1 : 0)
    .word(o.bias ?? 0)
    .word(o.groups)
    .word(o.topGroups)
    .word(o.groupScore === 'top2' ? 1 : 0)
    .word(o.topK)
    .word(o.normalize ? 1 : 0)
    .float(1e-20)
    .float(o.scale)
    .word(o.indices)
    .word(o.weights)
    .word(o.scores ?? 0);
}
