/**
 * Documents as tokens: each is encoded as a prompt would be (with the begin-of-text token where the tokenizer puts one)
 * and followed by the end-of-text token, all in one stream that `PackedData` cuts into sequences. Some documents can be
 * held out, to evaluate on.
 */
import { MarianaError } from '@mariana/core';
import type { Tokenizer } from '@mariana/tokenizer';
import type { DocumentPiece } from './documents.ts';

/** Tokens of documents, one after the other. */
export interface TokenStream {
  readonly tokens: Uint16Array | Int32Array;
  /** Whole documents in it. */
  readonly documents: number;
  /** Bytes of text in UTF-8 that the tokens stand for; special tokens stand for none. */
  readonly bytes: number;
}

export interface TokenizedDocuments {
  readonly training: TokenStream;
  /** Empty unless something is held out. */
  readonly heldOut: TokenStream;
}

export interface TokenizeOptions {
  /**
   * Share of documents that is held out: of every 1 / share documents the last. Where there are fewer documents than
   * that, it is the end of the stream. Default 0.
   */
  readonly holdOut?: number;
  /** Called after each piece with the tokens so far. */
  readonly onProgress?: (tokens: number) => void;
  /** Ends the work with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Tokenises documents. Tokens are held in two bytes each if the vocabulary allows, else in four.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a share that is not from 0 to 0.5; `DATA_INVALID` if there is no text at
 *   all; `TOKENIZER_INVALID` for a tokenizer without an end-of-text token; what `documents` throws.
 */
export async function tokenizeDocuments(
  documents: AsyncIterable<DocumentPiece> | Iterable<DocumentPiece>,
  tokenizer: Tokenizer,
  { holdOut = 0, onProgress, signal }: TokenizeOptions = {},
): Promise<TokenizedDocuments> {
  if (!(holdOut >= 0 && holdOut <= 0.5)) {
    throw new MarianaError('INVALID_ARGUMENT', `a held-out share of ${holdOut} is not between 0 and 0.5`);
  }
  const { eosTokenId: eos } = tokenizer;
  if (eos === undefined) {
    throw new MarianaError(
      'TOKENIZER_INVALID',
      'the tokenizer has no end-of-text token to put between documents; name one as eos_token in tokenizer_config.json',
    );
  }
  const every = holdOut > 0 ? Math.round(1 / holdOut) : Number.POSITIVE_INFINITY;
  const [training, heldOut] = [new StreamBuilder(tokenizer.vocabSize), new StreamBuilder(tokenizer.vocabSize)];
  let count = 0;
  let rested = performance.now();
  for await (const { text, isFirst, isLast } of documents) {
    signal?.throwIfAborted();
    const stream = (count + 1) % every === 0 ? heldOut : training;
    stream.add(tokenizer.encode(text, { addSpecialTokens: isFirst }));
    if (isLast) {
      stream.add([eos]);
      stream.documents++;
      count++;
    }
    onProgress?.(training.length + heldOut.length);
    if (performance.now() - rested < 50) continue;
    // Timers, and ctrl-C, have to wait for nothing else.
    await new Promise((resolve) => setTimeout(resolve, 0));
    rested = performance.now();
  }
  signal?.throwIfAborted();
  if (count === 0) throw new MarianaError('DATA_INVALID', 'the data has no text in it; check what was named as data');
  if (count >= every || every === Number.POSITIVE_INFINITY) {
    return { training: training.finish(tokenizer), heldOut: heldOut.finish(tokenizer) };
  }
  const border = training.length - Math.floor(training.length / every);
  return {
    training: training.finish(tokenizer, 0, border),
    heldOut: { ...training.finish(tokenizer, border), documents: 0 },
  };
}

/** A stream of tokens that grows. */
class StreamBuilder {
  length = 0;
  documents = 0;
  #tokens: Uint16Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

  constructor(vocabSize: number) {
    this.#tokens = vocabSize <= 2 ** 16 ? new Uint16Array(1024) : new Int32Array(1024);
  }

  add(ids: readonly number[]): void {
    const needed = this.length + ids.length;
    if (needed > this.#tokens.length) {
      const capacity = Math.max(needed, 2 * this.#tokens.length);
      const longer = this.#tokens instanceof Uint16Array ? new Uint16Array(capacity) : new Int32Array(capacity);
      longer.set(this.#tokens.subarray(0, this.length));
      this.#tokens = longer;
    }
    this.#tokens.set(ids, this.length);
    this.length = needed;
  }

  finish(tokenizer: Tokenizer, from = 0, to = this.length): TokenStream {
    const tokens = this.#tokens.slice(from, to);
    const sizes = new Int32Array(tokenizer.vocabSize).fill(-1);
    let bytes = 0;
    for (const id of tokens) {
      if (sizes[id] === -1) sizes[id] = tokenizer.specialTokenIds.has(id) ? 0 : tokenizer.tokenBytes(id).length;
      bytes += sizes[id]!;
    }
    return { tokens, documents: this.documents, bytes };
  }
}
