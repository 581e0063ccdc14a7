/**
 * Training data as one long stream of tokens, cut into sequences that are shuffled anew in every epoch.
 *
 * The order is a function of the seed and of how many sequences were taken: nothing has to be remembered to go on where a
 * run stopped.
 */
import { MarianaError } from '@mariana/core';
import type { TokenBatch } from '../model/model-loss.ts';

/** Where a training run gets its batches from. */
export interface TrainingData {
  /** Inputs of each sequence, T; a sequence has T + 1 tokens. */
  readonly sequenceLength: number;
  /** Changes with the tokens, the length and the order: a run is not to be resumed with other data. */
  readonly fingerprint: string;
  /** Batch `index` (from 0) of `count` sequences; the same for the same arguments, always. */
  batch(index: number, count: number): TokenBatch | Promise<TokenBatch>;
}

/**
 * Documents as one stream, each followed by a separator.
 *
 * @param separator - Token between documents, such as the end-of-text token; null for none.
 */
export function packDocuments(documents: Iterable<ArrayLike<number>>, separator: number | null): Int32Array {
  let stream = new Int32Array(1024);
  let length = 0;
  for (const document of documents) {
    const needed = length + document.length + 1;
    if (needed > stream.length) {
      const longer = new Int32Array(Math.max(needed, 2 * stream.length));
      longer.set(stream.subarray(0, length));
      stream = longer;
    }
    stream.set(document, length);
    length += document.length;
    if (separator !== null) stream[length++] = separator;
  }
  return stream.slice(0, length);
}

export interface PackedDataOptions {
  /** Inputs of each sequence, T. */
  readonly sequenceLength: number;
  /** Order of the sequences. Default 0. */
  readonly seed?: number;
}

/** A stream of tokens as training data. Sequence i covers tokens i * T to (i + 1) * T, so that each is a target once. */
export class PackedData implements TrainingData {
  readonly sequenceLength: number;
  /** Different sequences: an epoch. Tokens at the end that fill none are left out. */
  readonly sequences: number;
  readonly seed: number;
  readonly #tokens: ArrayLike<number>;
  #fingerprint: string | undefined;
  #order: { readonly epoch: number; readonly places: Uint32Array } | undefined;

  /** @throws MarianaError `INVALID_ARGUMENT` if the tokens do not fill one sequence, or the length is no whole number. */
  constructor(tokens: ArrayLike<number>, { sequenceLength, seed = 0 }: PackedDataOptions) {
    if (!Number.isInteger(sequenceLength) || sequenceLength < 1 || !Number.isInteger(seed)) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `training data in sequences of ${sequenceLength} with seed ${seed}: both must be whole numbers, the first from 1`,
      );
    }
    this.sequenceLength = sequenceLength;
    this.sequences = Math.floor((tokens.length - 1) / sequenceLength);
    this.seed = seed;
    this.#tokens = tokens;
    if (this.sequences < 1) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `${tokens.length} tokens do not fill one sequence of ${sequenceLength} and its last target; use more text`,
      );
    }
  }

  get fingerprint(): string {
    this.#fingerprint ??= `${hash(this.#tokens).toString(16)}:${this.#tokens.length}:${this.sequenceLength}:${this.seed}`;
    return this.#fingerprint;
  }

  batch(index: number, count: number): TokenBatch {
    const stride = this.sequenceLength + 1;
    const tokens = new Int32Array(count * stride);
    for (let i = 0; i < count; i++) {
      const start = this.#place(index * count + i) * this.sequenceLength;
      for (let j = 0; j < stride; j++) tokens[i * stride + j] = this.#tokens[start + j]!;
    }
    return { tokens, sequences: count };
  }

  /** Which sequence is the `taken`-th. */
  #place(taken: number): number {
    const epoch = Math.floor(taken / this.sequences);
    if (this.#order?.epoch !== epoch) this.#order = { epoch, places: shuffled(this.sequences, this.seed, epoch) };
    return this.#order.places[taken % this.sequences]!;
  }
}

/** The numbers 0 to count - 1 in an order of their own for each seed and epoch (Fisher and Yates). */
function shuffled(count: number, seed: number, epoch: number): Uint32Array {
  const places = Uint32Array.from({ length: count }, (_, i) => i);
  const random = generator(seed, epoch);
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [places[i], places[other]] = [places[other]!, places[i]!];
  }
  return places;
}

/** Numbers in [0, 1): the additive generator with an avalanche on its output known as splitmix32. */
function generator(seed: number, epoch: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b)) >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** FNV-1a over numbers. */
function hash(values: ArrayLike<number>): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < values.length; i++) state = Math.imul(state ^ values[i]!, 0x01000193);
  return state >>> 0;
}
