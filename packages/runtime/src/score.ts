/** How probable a text is under a model: log-probabilities token by token, perplexity, bits per byte. */
import { MarianaError, type Tensor } from '@mariana/core';
import { checkTokens, LatentCache } from '@mariana/layers';
import type { Model } from './model.ts';
import { createPauses } from './pauses.ts';
import { argmax, logSoftmax } from './sampling/sample.ts';

export interface ScoreOptions {
  /** Tokens run at once. Default 256. */
  readonly chunk?: number;
  /** Also run the first multi-token-prediction module, for `onMtpLogits`. Default false. */
  readonly mtp?: boolean;
  /** Takes the logits of each chunk, [tokens, vocab_size], in order. */
  readonly onLogits?: (logits: Float32Array) => void | Promise<void>;
  /** Takes the logits of the multi-token-prediction module: row i predicts token i + 2. */
  readonly onMtpLogits?: (logits: Float32Array) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface Score {
  /** Natural log-probability of each token given those before it; null for the first, which has none. */
  readonly logprobs: readonly (number | null)[];
  /** Sum over the tokens that have one. */
  readonly totalLogprob: number;
  /** exp of the mean negative log-probability; null if no token has one. */
  readonly perplexity: number | null;
}

/**
 * Scores a list of tokens.
 *
 * @throws MarianaError `TOKEN_OUT_OF_RANGE`, `CONTEXT_EXCEEDED`, `INVALID_ARGUMENT` for an empty list.
 */
export async function score(model: Model, ids: readonly number[], options: ScoreOptions = {}): Promise<Score> {
  const { chunk = 256, mtp = false, onLogits, onMtpLogits, signal } = options;
  const { config, transformer } = model;
  const limit = config.maxPositionEmbeddings;
  if (!Number.isInteger(chunk) || chunk < 1) {
    throw new MarianaError('INVALID_ARGUMENT', `chunk is ${chunk}; it must be a whole number from 1 up`);
  }
  if (ids.length === 0) {
    throw new MarianaError('INVALID_ARGUMENT', 'there is nothing to score; give at least one token');
  }
  checkTokens(ids, config.vocabSize);
  if (ids.length > limit) {
    throw new MarianaError('CONTEXT_EXCEEDED', `${ids.length} tokens do not fit the model's context of ${limit}`, {
      details: { tokens: ids.length, contextLength: limit },
    });
  }
  const drafter = mtp ? requireMtp(model) : undefined;
  const logprobs: (number | null)[] = [null];
  using cache = new LatentCache(model.cachePool);
  using draftCache = new LatentCache(model.cachePool);
  const pause = createPauses();
  const onHidden = () => {
    signal?.throwIfAborted();
    return pause();
  };
  for (let start = 0; start < ids.length; start += chunk) {
    const part = ids.slice(start, start + chunk);
    using output = await transformer.forward(part, { cache, onHidden });
    const logits = await output.logits!.floats();
    for (let i = 0; i < part.length; i++) {
      const next = ids[start + i + 1];
      if (next === undefined) break;
      logprobs.push(logSoftmax(row(logits, i, config.vocabSize))[next]!);
    }
    await onLogits?.(logits);
    if (drafter !== undefined) {
      const after = ids[start + part.length] ?? argmax(row(logits, part.length - 1, config.vocabSize));
      const nextIds = [...part.slice(1), after];
      await onMtpLogits?.(await draft(nextIds, output.hidden));
    }
  }
  const known = logprobs.filter((logprob) => logprob !== null);
  const totalLogprob = known.reduce((sum, logprob) => sum + logprob, 0);
  return { logprobs, totalLogprob, perplexity: known.length === 0 ? null : Math.exp(-totalLogprob / known.length) };

  async function draft(next: readonly number[], hidden: Tensor): Promise<Float32Array> {
    using nextIds = model.backend.upload(Int32Array.from(next), [next.length]);
    const layer = draftCache.layer(config.numHiddenLayers);
    const drafts = await drafter!.forward({ nextIds, hidden }, { cache: layer });
    draftCache.advance(next.length);
    try {
      return await drafts.logits.floats();
    } finally {
      drafts.hidden.dispose();
      drafts.logits.dispose();
    }
  }
}

function row(logits: Float32Array, index: number, width: number): Float32Array {
  return logits.subarray(index * width, (index + 1) * width);
}

function requireMtp(model: Model) {
  const [first] = model.transformer.mtp;
  if (first !== undefined) return first;
  throw new MarianaError('INVALID_ARGUMENT', `${model.name}: was loaded without its multi-token-prediction module`);
}
