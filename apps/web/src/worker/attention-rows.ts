/**
 * Attention of one layer for the newest tokens. A token looks at all tokens before it, so what there is to keep grows with
 * the square of the text; this keeps as many rows as a fixed amount of memory holds, whole, and forgets the oldest.
 */
import type { TokenAttention } from './model-api.ts';

/** Weights that are kept at most: 16 MiB. Of four heads, a text of 1,400 tokens whole, or the last 200 of 4,096. */
export const MOST_WEIGHTS: number = 2 ** 22;

export class AttentionRows {
  readonly #most: number;
  readonly #rows = new Map<number, TokenAttention>();
  #weights = 0;
  #first = 0;

  /** @param most - Weights that are kept at most; one row is kept in any case. */
  constructor(most: number = MOST_WEIGHTS) {
    this.#most = most;
  }

  /** Rows before this position have been forgotten for want of room; 0 if none were. */
  get first(): number {
    return this.#first;
  }

  /** Weights that are kept. */
  get weights(): number {
    return this.#weights;
  }

  at(position: number): TokenAttention | undefined {
    return this.#rows.get(position);
  }

  values(): Iterable<TokenAttention> {
    return this.#rows.values();
  }

  /** Takes a row, in place of another of its position. */
  add(row: TokenAttention): void {
    if (row.position < this.#first) return;
    this.#remove(row.position);
    this.#rows.set(row.position, row);
    this.#weights += row.weights.length;
    if (this.#weights <= this.#most) return;
    // A quarter at once: pictures of rows move seldom then.
    const goal = 0.75 * this.#most;
    while (this.#weights > goal && this.#rows.size > 1) this.#remove(this.#first++);
  }

  /** Forgets rows from a position on. */
  truncate(position: number): void {
    for (const known of this.#rows.keys()) if (known >= position) this.#remove(known);
    if (this.#rows.size === 0) this.#first = 0;
  }

  clear(): void {
    this.truncate(0);
  }

  #remove(position: number): void {
    const row = this.#rows.get(position);
    if (row === undefined) return;
    this.#rows.delete(position);
    this.#weights -= row.weights.length;
  }
}
