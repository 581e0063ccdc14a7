/**
 * Floating-point operations of a token, from a config alone. A multiply-add counts as two. Counted are the matrix
 * products; norms, softmax, rotation and activation functions are left out, as is usual (about one part in a thousand
 * at these widths).
 */
import type { ModelConfig } from '../config/model-config.ts';
import { isMoeLayer, layerCount, qkHeadDim } from '../config/semantics.ts';
import { MarianaError } from '../errors.ts';

/** Which way latent attention is computed, and over what. */
export interface FlopsOptions {
  /**
   * Tokens of the sequence. In prefill: of the whole prompt, whose causal attention spans (contextLength + 1) / 2 keys
   * on average. In decode: the keys that the one new token attends to, itself included. At least 1.
   */
  contextLength: number;
  phase: 'prefill' | 'decode';
  /**
   * `naive`: keys and values of every head are expanded from the latents. In prefill each token is expanded once; in
   * decode, where only latents are cached, all `contextLength` of them are expanded for every new token.
   * `absorbed`: queries are folded into the latent space and meet the cached latents as they lie.
   */
  form: 'naive' | 'absorbed';
}

/** Operations for one token, by where they are spent. */
export interface Flops {
  /** Projections of attention: queries, latent, output. */
  readonly projections: number;
  /** Expansion of latents to keys and values (naive), or folding into and out of the latent space (absorbed). */
  readonly latent: number;
  /** Scores and weighted values: grows with the context. */
  readonly attention: number;
  /** Dense feed-forwards, chosen experts and shared experts. */
  readonly feedForward: number;
  readonly router: number;
  /** Output head, computed for this token. */
  readonly head: number;
  readonly total: number;
}

/**
 * Operations of the main model for one token (in prefill: the mean over the prompt).
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a context length that is not a whole number from 1 up.
 */
export function flopsPerToken(config: ModelConfig, options: FlopsOptions): Flops {
  return flops(config, config.numHiddenLayers, 1, options);
}

/**
 * Operations of training on one token: forward, and twice that for the gradients of inputs and weights. Attention in
 * its naive form over sequences of `sequenceLength`; the multi-token-prediction layers, each with its `eh_proj` and
 * head, are included. Recomputation of activations, if any, is not.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a sequence length that is not a whole number from 1 up.
 */
export function trainingFlopsPerToken(config: ModelConfig, options: { sequenceLength: number }): number {
  const { sequenceLength: contextLength } = options;
  const extra = config.numNextnPredictLayers;
  const forward = flops(config, layerCount(config), 1 + extra, { contextLength, phase: 'prefill', form: 'naive' });
  return 3 * (forward.total + extra * 2 * 2 * config.hiddenSize * config.hiddenSize);
}

function flops(config: ModelConfig, layers: number, outputs: number, options: FlopsOptions): Flops {
  const { contextLength, phase, form } = options;
  if (!Number.isSafeInteger(contextLength) || contextLength < 1) {
    throw new MarianaError('INVALID_ARGUMENT', `context of ${contextLength} tokens: use a whole number from 1 up`);
  }
  const { hiddenSize, kvLoraRank, qkNopeHeadDim, qkRopeHeadDim, vHeadDim, qLoraRank } = config;
  const heads = config.numAttentionHeads;
  const qk = qkHeadDim(config);

  const query = qLoraRank === null ? hiddenSize * heads * qk : qLoraRank * (hiddenSize + heads * qk);
  const projections = query + hiddenSize * (kvLoraRank + qkRopeHeadDim) + heads * vHeadDim * hiddenSize;
  const keys = phase === 'prefill' ? (contextLength + 1) / 2 : contextLength;
  const perPair = form === 'naive' ? qk + vHeadDim : kvLoraRank + qkRopeHeadDim + kvLoraRank;
  // Folding a query and an output costs as much as expanding one token's keys and values: each head's rows of kv_b.
  const expanded = form === 'naive' && phase === 'decode' ? contextLength : 1;
  const latent = expanded * heads * kvLoraRank * (qkNopeHeadDim + vHeadDim);

  let feedForward = 0;
  let router = 0;
  for (let layer = 0; layer < layers; layer++) {
    if (isMoeLayer(config, layer)) {
      const visited = config.numExpertsPerTok + config.nSharedExperts;
      feedForward += 3 * hiddenSize * config.moeIntermediateSize * visited;
      router += hiddenSize * config.nRoutedExperts;
    } else {
      feedForward += 3 * hiddenSize * config.intermediateSize;
    }
  }
  const parts = {
    projections: 2 * layers * projections,
    latent: 2 * layers * latent,
    attention: 2 * layers * heads * perPair * keys,
    feedForward: 2 * feedForward,
    router: 2 * router,
    head: 2 * outputs * config.vocabSize * hiddenSize,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
