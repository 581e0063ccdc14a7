/**
 * The multi-token-prediction objective: each MTP module adds its own cross-entropy, on targets further ahead.
 *
 * Source: DeepSeek-V3 report, section 2.2, eq. 24 and 25. Eq. 24 sums T - k terms and divides by T, the length of the
 * main model's input; Megatron divides by T - k. The report is followed here.
 */
import { type Backend, MarianaError, type Tensor } from '@mariana/core';
import { scaled, sumAll, sumOf } from '../math.ts';
import { crossEntropy } from './cross-entropy.ts';

/** What one MTP module predicted. */
export interface DepthPrediction {
  /** F32 [rows, vocab_size]: B * (T - k) rows at depth k, for B sequences of T inputs. */
  readonly logits: Tensor;
  /** One for each row: the tokens k + 1 positions after each input. */
  readonly targets: ArrayLike<number>;
}

export interface MultiTokenPredictionLossOptions {
  /** B * T: positions of the main model's input, by which each depth's sum is divided. */
  readonly positions: number;
  /** Factor lambda on the mean over depths: 0.3, later 0.1, in DeepSeek-V3's own training. */
  readonly weight: number;
}

export interface MultiTokenPredictionLoss {
  /** F32 scalar: weight / D times the sum of `perDepth`, to be added to the main loss. */
  readonly weighted: Tensor;
  /** F32 scalars, one for each depth: the sum of -log p(target), divided by `positions`. */
  readonly perDepth: readonly Tensor[];
}

/**
 * The MTP loss of D modules.
 *
 * @param depths - Predictions of depth 1, 2, ... D.
 * @throws MarianaError `INVALID_ARGUMENT` without depths, or what `crossEntropy` throws.
 */
export function multiTokenPredictionLoss(
  backend: Backend,
  depths: readonly DepthPrediction[],
  { positions, weight }: MultiTokenPredictionLossOptions,
): MultiTokenPredictionLoss {
  if (depths.length === 0) {
    throw new MarianaError('INVALID_ARGUMENT', 'multiTokenPredictionLoss: takes the predictions of at least one depth');
  }
  return backend.scope(() => {
    const perDepth = depths.map(({ logits, targets }) =>
      scaled(backend, sumAll(backend, crossEntropy(backend, logits, targets).perToken), 1 / positions),
    );
    return { weighted: scaled(backend, sumOf(backend, perDepth), weight / depths.length), perDepth };
  });
}

/** Rows of a batch as one MTP module sees them. */
export interface DepthRows {
  /** Inputs of each sequence that still have a target at this depth: T - k. */
  readonly rowsPerSequence: number;
  /** B * (T - k) tokens at distance k after each input: what the module embeds. */
  readonly nextIds: Int32Array;
  /** B * (T - k) tokens at distance k + 1. */
  readonly targets: Int32Array;
}

/**
 * Cuts what the module of depth k takes out of B sequences of T + 1 tokens. Its rows belong to inputs 0 to T - k - 1 of
 * each sequence.
 *
 * @param tokens - B * (T + 1) tokens, sequence after sequence.
 * @param depth - k, from 1.
 * @throws MarianaError `INVALID_ARGUMENT` if the sequences are too short for the depth.
 */
export function depthRows(tokens: Int32Array, sequences: number, depth: number): DepthRows {
  const stride = tokens.length / sequences;
  const rows = stride - 1 - depth;
  if (!Number.isInteger(stride) || rows < 1) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `${tokens.length} tokens in ${sequences} sequences leave nothing to predict at depth ${depth}; use longer sequences`,
    );
  }
  const take = (distance: number) => {
    const taken = new Int32Array(sequences * rows);
    for (let s = 0; s < sequences; s++) {
      taken.set(tokens.subarray(s * stride + distance, s * stride + distance + rows), s * rows);
    }
    return taken;
  };
  return { rowsPerSequence: rows, nextIds: take(depth), targets: take(depth + 1) };
}
