/**
 * How well a model predicts documents, each from its beginning and none knowing of another: what a checkpoint is measured
 * by. Every token and every byte counts once, however long a document is.
 */
import { MarianaError } from '@mariana/core';
import { type Model, score } from '@mariana/runtime';
import type { Tokenizer } from '@mariana/tokenizer';
import type { DocumentPiece } from '@mariana/train';

/** Documents as tokens. */
export interface EncodedDocuments {
  /** Tokens of each, behind the token that begins it. */
  readonly documents: readonly Int32Array[];
  /** Tokens in all, the beginnings not counted. */
  readonly tokens: number;
  /** Bytes of all texts in UTF-8. */
  readonly bytes: number;
}

/**
 * Encodes documents. Each begins with the token that the tokenizer puts before a text, or else with the end-of-text
 * token, which is what training puts between documents; so the first token of the text is predicted from something, too.
 *
 * @throws MarianaError `DATA_INVALID` if there is no text at all; `TOKENIZER_INVALID` if nothing can begin a document;
 *   what `pieces` throws.
 */
export async function encodeDocuments(
  pieces: AsyncIterable<DocumentPiece>,
  tokenizer: Tokenizer,
  signal?: AbortSignal,
): Promise<EncodedDocuments> {
  const begin = beginning(tokenizer);
  const documents: Int32Array[] = [];
  let [tokens, bytes] = [0, 0];
  let parts: number[][] = [];
  for await (const { text, isFirst, isLast } of pieces) {
    signal?.throwIfAborted();
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    parts = isFirst ? [[begin], ids] : [...parts, ids];
    tokens += ids.length;
    bytes += Buffer.byteLength(text);
    if (isLast) documents.push(Int32Array.from(parts.flat()));
  }
  if (tokens > 0) return { documents, tokens, bytes };
  throw new MarianaError('DATA_INVALID', 'the data has no text in it; check what was named with --data');
}

function beginning(tokenizer: Tokenizer): number {
  const [first] = tokenizer.encode('');
  const begin = first ?? tokenizer.eosTokenId ?? tokenizer.bosTokenId;
  if (begin !== undefined) return begin;
  throw new MarianaError(
    'TOKENIZER_INVALID',
    'the tokenizer has no token that begins or ends a text; name one as eos_token in tokenizer_config.json',
  );
}

export interface ScoreDocumentsOptions {
  /** Most tokens that the model sees at once. Default: as many as it allows. */
  readonly context?: number;
  /** Called with the tokens that have been scored. */
  readonly onProgress?: (tokens: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Natural log-probability of all documents together. What does not fit the context is scored in windows, each of which
 * begins in the middle of the one before: behind the first window, a token is predicted from at least half a context.
 *
 * @throws MarianaError as `score`; `INVALID_ARGUMENT` for a context of less than two tokens.
 */
export async function scoreDocuments(
  model: Model,
  documents: readonly Int32Array[],
  { context = model.config.maxPositionEmbeddings, onProgress, signal }: ScoreDocumentsOptions = {},
): Promise<number> {
  if (context < 2) {
    throw new MarianaError('INVALID_ARGUMENT', `a context of ${context} has room for no token and the one before it`);
  }
  if (context > model.config.maxPositionEmbeddings) {
    throw new MarianaError(
      'CONTEXT_EXCEEDED',
      `a context of ${context} is more than the model's ${model.config.maxPositionEmbeddings}; choose a smaller one`,
      { details: { tokens: context, contextLength: model.config.maxPositionEmbeddings } },
    );
  }
  let [total, done] = [0, 0];
  for (const document of documents) {
    let known = 1; // the first token begins the document and is no part of it
    for (let start = 0; known < document.length; start += Math.floor(context / 2)) {
      const window = document.subarray(start, start + context);
      const { logprobs } = await score(model, Array.from(window), signal ? { signal } : {});
      for (const logprob of logprobs.slice(known - start)) total += logprob!;
      done += start + window.length - known;
      known = start + window.length;
      onProgress?.(done);
    }
  }
  return total;
}
