/**
 * The two auxiliary losses that push a router towards even load: DeepSeek-V3's complementary one, which looks at each
 * sequence on its own and is weak on purpose, and the classic one over the whole batch, for comparison.
 *
 * Both multiply, for each expert, how often it is among the best (a count, no gradient) with its mean share of the scores
 * (where the gradient flows), and are smallest when both are even.
 */
import { type Backend, MarianaError, scalar, type Tensor } from '@mariana/core';
import { scaled, sumAll } from '../math.ts';

export interface SequenceBalanceOptions {
  /** Number of experts for each token (`num_experts_per_tok`). */
  readonly topK: number;
  /** Factor alpha; 1e-4 in DeepSeek-V3's own training (the published config's `aux_loss_alpha` 0.001 is not it). */
  readonly alpha: number;
  /** Tokens of each sequence, in order; they must add up to T. */
  readonly sequenceLengths: readonly number[];
  /**
   * Count these choices, I32 [T, topK], instead of the best unbiased scores. DeepSeek-V2's code counts the real routing
   * so; the V3 report (eq. 18) does not.
   */
  readonly chosen?: Tensor;
}

export interface SequenceBalanceLoss {
  /** F32 scalar: the mean over sequences. */
  readonly loss: Tensor;
  /** F32 [sequences]: alpha * sum of f * P. */
  readonly perSequence: Tensor;
  /** F32 [sequences, experts]: f, the number of tokens with the expert among their best, relative to an even load. */
  readonly fractions: Tensor;
  /** F32 [sequences, experts]: P, the mean over tokens of the expert's share in the sum of all scores. */
  readonly means: Tensor;
}

/**
 * The complementary sequence-wise balance loss of one MoE layer.
 *
 * For each sequence: f_i = experts / (topK * T) * (tokens whose topK best scores contain expert i), by UNBIASED scores
 * and without groups; P_i = mean of s_i / sum(s) over ALL experts; loss = alpha * sum of f_i P_i. Then the plain mean over
 * sequences.
 *
 * @param scores - F32 [T, experts]: sigmoid or softmax scores without bias (`Routing.scores`).
 * @throws MarianaError `SHAPE_MISMATCH`.
 *
 * Source: DeepSeek-V3 report, section 2.1.2, eq. 17 to 20.
 */
export function sequenceBalanceLoss(
  backend: Backend,
  scores: Tensor,
  { topK, alpha, sequenceLengths, chosen }: SequenceBalanceOptions,
): SequenceBalanceLoss {
  const [tokens, experts] = sizes('sequenceBalanceLoss', scores);
  if (sequenceLengths.reduce((a, b) => a + b, 0) !== tokens || sequenceLengths.some((length) => !(length > 0))) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `sequenceBalanceLoss: sequences of ${sequenceLengths.join(' + ')} tokens do not make up ${tokens} rows of scores`,
    );
  }
  const sequences = sequenceLengths.length;
  const sequenceOf = Int32Array.from(sequenceLengths.flatMap((length, s) => new Array<number>(length).fill(s)));
  return backend.scope(() => {
    const owner = backend.upload(sequenceOf, [tokens]);
    const lengths = backend.upload(Float32Array.from(sequenceLengths), [sequences, 1]);
    const best = chosen ?? backend.topK(scores, topK).indices;
    const counts = countChoices(backend, best, owner, sequences, experts);
    // Integers divided by integers: rounded once, so that balance is exactly 1.
    const fractions = backend.binary('div', scaled(backend, counts, experts), scaled(backend, lengths, topK));
    const shares = normalizeScores(backend, scores);
    const means = backend.binary('div', backend.scatterAdd(owner, shares, sequences), lengths);
    const products = backend.reduce('sum', backend.binary('mul', fractions, means), -1);
    const perSequence = scaled(backend, products, alpha);
    return { loss: scaled(backend, sumAll(backend, perSequence), 1 / sequences), perSequence, fractions, means };
  });
}

export interface SwitchBalanceOptions {
  /** Experts counted for each token; 1 is the loss of Switch Transformer. */
  readonly topK: number;
  /** Factor alpha; 0.01 is usual. */
  readonly alpha: number;
}

export interface SwitchBalanceLoss {
  /** F32 scalar. */
  readonly loss: Tensor;
  /** F32 [experts]: f, the share of all choices that fell on the expert; they sum to 1. */
  readonly fractions: Tensor;
  /** F32 [experts]: P, the mean over all tokens of the expert's share of the scores. */
  readonly means: Tensor;
}

/**
 * The classic auxiliary loss over the whole batch: alpha * experts * sum of f_i P_i, with f divided by topK (as Megatron;
 * transformers' Mixtral loss leaves it out and is topK times larger).
 *
 * @param scores - F32 [T, experts], softmax or sigmoid; each row is divided by its sum.
 * @throws MarianaError `SHAPE_MISMATCH`.
 *
 * Source: Switch Transformer (arXiv 2101.03961), eq. 4 to 6; Megatron-LM `switch_load_balancing_loss_func`.
 */
export function switchBalanceLoss(
  backend: Backend,
  scores: Tensor,
  { topK, alpha }: SwitchBalanceOptions,
): SwitchBalanceLoss {
  const [tokens, experts] = sizes('switchBalanceLoss', scores);
  return backend.scope(() => {
    const owner = backend.upload(new Int32Array(tokens), [tokens]);
    const counts = countChoices(backend, backend.topK(scores, topK).indices, owner, 1, experts);
    const fractions = backend.binary('div', backend.reshape(counts, [experts]), scalar(backend, topK * tokens));
    const shares = backend.reduce('sum', normalizeScores(backend, scores), 0);
    const means = scaled(backend, shares, 1 / tokens);
    const loss = scaled(backend, sumAll(backend, backend.binary('mul', fractions, means)), alpha * experts);
    return { loss, fractions, means };
  });
}

/** Each row divided by its sum over all experts. */
function normalizeScores(backend: Backend, scores: Tensor): Tensor {
  return backend.binary('div', scores, backend.reduce('sum', scores, -1, { keepDims: true }));
}

/** F32 [owners, experts]: how often the choices [T, k] of each owner's tokens name each expert. */
function countChoices(backend: Backend, choices: Tensor, owner: Tensor, owners: number, experts: number): Tensor {
  const [tokens, k] = choices.shape as [number, number];
  const width = backend.upload(Int32Array.of(experts), []);
  const row = backend.reshape(backend.binary('mul', owner, width), [tokens, 1]);
  const places = backend.reshape(backend.binary('add', choices, row), [tokens * k]);
  const ones = backend.upload(new Float32Array(tokens * k).fill(1), [tokens * k]);
  return backend.reshape(backend.scatterAdd(places, ones, owners * experts), [owners, experts]);
}

function sizes(operation: string, scores: Tensor): [number, number] {
  const [tokens, experts] = scores.shape;
  if (scores.rank !== 2 || !tokens || !experts) {
    throw new MarianaError('SHAPE_MISMATCH', `${operation}: takes scores [T, experts], T at least 1, not a ${scores}`);
  }
  return [tokens, experts];
}
