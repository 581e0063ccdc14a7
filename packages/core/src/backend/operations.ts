/**
 * Names and options of the operations in the contract. Operations are data: one method takes the name, so that a
 * backend implements a table and not a hundred methods.
 */
import type { Tensor } from './tensor.ts';

/** Elementwise functions of one F32 tensor. `exp2` of an integer and `log2` of a power of two are exact. */
export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'sign' // -1, 0 or 1; NaN stays NaN
  | 'floor'
  | 'ceil'
  | 'exp'
  | 'exp2'
  | 'log'
  | 'log2'
  | 'sqrt'
  | 'rsqrt'
  | 'sigmoid';

/** Elementwise functions of two tensors of one dtype. `div` is F32 only; comparisons give I32 zeros and ones. */
export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'max' | 'min' | ComparisonOp;

/** Comparisons; false where an operand is NaN. */
export type ComparisonOp = 'equal' | 'less' | 'lessEqual';

/** Reductions over one axis. An empty axis gives 0 for `sum` and -infinity for `max`. NaN in, NaN out. */
export type ReduceOp = 'sum' | 'max';

export const UNARY_OPS: readonly UnaryOp[] = [
  'neg',
  'abs',
  'sign',
  'floor',
  'ceil',
  'exp',
  'exp2',
  'log',
  'log2',
  'sqrt',
  'rsqrt',
  'sigmoid',
];
export const COMPARISON_OPS: readonly ComparisonOp[] = ['equal', 'less', 'lessEqual'];
export const BINARY_OPS: readonly BinaryOp[] = ['add', 'sub', 'mul', 'div', 'max', 'min', ...COMPARISON_OPS];
export const REDUCE_OPS: readonly ReduceOp[] = ['sum', 'max'];

export interface MatmulOptions {
  /** Read `a` as [..., K, M] instead of [..., M, K]. Default false. */
  readonly transposeA?: boolean;
  /** Read `b` as [..., N, K] instead of [..., K, N]. Default false. */
  readonly transposeB?: boolean;
}

export interface MatmulGroupsOptions {
  /** Read each matrix as [N, K] instead of [K, N]. Default false. */
  readonly transposeB?: boolean;
}

export interface ReduceOptions {
  /** Keep the reduced axis with size 1. Default false. */
  readonly keepDims?: boolean;
}

/** How a router turns scores into a choice of experts (TRAPS.md section 4; DeepSeek-V3 report, section 2.1.2). */
export interface RoutingOptions {
  /** Function of the logits, over all experts. */
  readonly scoring: 'sigmoid' | 'softmax';
  /** Number of experts chosen for each token (`num_experts_per_tok`). */
  readonly topK: number;
  /** Number of groups the experts are divided into, in order (`n_group`). 1 switches grouping off. */
  readonly groups: number;
  /** Number of groups from which experts may be chosen (`topk_group`). */
  readonly topGroups: number;
  /** Score of a group: the sum of its two best experts (`noaux_tc`) or its best one (`group_limited_greedy`). */
  readonly groupScore: 'top2' | 'max';
  /** Divide the chosen scores by their sum (`norm_topk_prob`). */
  readonly normalize: boolean;
  /** Factor on the final weights (`routed_scaling_factor`). */
  readonly scale: number;
}

/** What a router decided for T tokens. */
export interface Routing {
  /** I32 [T, topK]: chosen experts, best first. */
  readonly indices: Tensor;
  /** F32 [T, topK]: their weights, in the order of `indices`. */
  readonly weights: Tensor;
  /** F32 [T, experts]: sigmoid or softmax scores of all experts, without the correction bias. */
  readonly scores: Tensor;
}

export interface AttentionOptions {
  /** Factor on the scores before the softmax. */
  readonly scale: number;
  /** Position of the first query among the keys: query i sees keys 0 to queryStart + i. Default 0. */
  readonly queryStart?: number;
}

/**
 * One layer of a latent cache: rows of [normed latent | roped key], `kv_lora_rank + qk_rope_head_dim` numbers a token,
 * in pages that need not follow each other.
 */
export interface LatentCacheView {
  /** [rows, latent + rope], dtype `f32` or `bf16`; page p is rows p * pageSize up to (p + 1) * pageSize. */
  readonly pool: Tensor;
  /** Tokens in a page. */
  readonly pageSize: number;
  /** The pages of this sequence in the order of its tokens. */
  readonly pages: Int32Array;
  /** Number of tokens in the sequence, those of the queries included. */
  readonly length: number;
}

export interface LatentAttentionOptions extends AttentionOptions {
  /** Width of the latent part of a row (`kv_lora_rank`); the rest is the rotary key. */
  readonly latentDim: number;
}

export interface QuantizeActivationsOptions {
  /** Consecutive values of the last axis that share a scale; the last tile may be shorter. Default 128. */
  readonly tile?: number;
  /** `f32`: scale = amax / 448. `ue8m0`: that rounded up to a power of two. Default `f32`. */
  readonly scaleFormat?: 'f32' | 'ue8m0';
}

/** Activations in E4M3: value = code * scale of its tile. */
export interface QuantizedActivations {
  /** E4M3, the shape of the input. */
  readonly codes: Tensor;
  /** F32 [..., ceil(last / tile)]. */
  readonly scales: Tensor;
}

/** How parameters move. */
export interface AdamWOptions {
  /** Number of this update, from 1: bias correction divides by 1 - beta^step. */
  readonly step: number;
  readonly learningRate: number;
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.95. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decay a step is learningRate * weightDecay, of tensors with two or more axes. Default 0.1. */
  readonly weightDecay?: number;
}

/** A parameter with its moments. */
export interface AdamWState {
  /** F32. */
  readonly parameter: Tensor;
  /** F32 or BF16, of the shape of the parameter; zeros before the first step. */
  readonly firstMoment: Tensor;
  /** F32 or BF16. */
  readonly secondMoment: Tensor;
}

/** How all parameters of a model move. */
export interface AdamWAllOptions extends AdamWOptions {
  /** F32 of one element: what all gradients are multiplied by first, as clipping does. Default: 1. */
  readonly gradientScale?: Tensor;
}

/** The most probable tokens of a row of logits. */
export interface TokenCandidates {
  /** Token ids, the most probable first; of equal ones the lower id. */
  readonly ids: Int32Array;
  /** Their logits, to the bit. */
  readonly logits: Float32Array;
  /** Natural logarithm of the sum of exp(logit) over the row: logit - logSumExp is a token's log-probability. */
  readonly logSumExp: number;
  /** The same of logits divided by the temperature. */
  readonly scaledLogSumExp: number;
}

/** A matrix that Muon moves, with its momentum. */
export interface MuonState {
  /** F32 [rows, columns]. */
  readonly parameter: Tensor;
  /** F32 or BF16, of the shape of the parameter; zeros before the first step. */
  readonly momentum: Tensor;
}

/** How Muon moves matrices. */
export interface MuonOptions {
  readonly learningRate: number;
  /** Share of the average that a step keeps. Default 0.95. */
  readonly momentum?: number;
  /** Decay a step is learningRate * weightDecay. Default 0.1. */
  readonly weightDecay?: number;
  /** F32 of one element: what all gradients are multiplied by first, as clipping does. Default: 1. */
  readonly gradientScale?: Tensor;
}

/** Gradients of `swiglu`, of the shape of its operands. */
export interface SwigluGradients {
  readonly gate: Tensor;
  readonly up: Tensor;
}

/** Gradients of `rmsNorm`. */
export interface RmsNormGradients {
  /** F32 [..., D]. */
  readonly x: Tensor;
  /** F32 [D]. */
  readonly weight: Tensor;
}

/** Cross-entropy of T rows of logits. */
export interface CrossEntropy {
  /** F32 [T]: normalizer - x[target], in nats. */
  readonly losses: Tensor;
  /** F32 [T]: log(sum(exp(x))). */
  readonly normalizers: Tensor;
}

/** What the gradient of attention needs of the forward pass: its operands and its result. */
export interface AttentionPass {
  /** F32 [batch, queries, heads, D]. */
  readonly q: Tensor;
  /** F32 [batch, keys, heads, D]. */
  readonly k: Tensor;
  /** F32 [batch, keys, heads, V]. */
  readonly v: Tensor;
  /** F32 [batch, queries, heads, V]. */
  readonly output: Tensor;
}

/** Gradients of `attention`, of the shapes of its operands. */
export type AttentionGradients = Pick<AttentionPass, 'q' | 'k' | 'v'>;
