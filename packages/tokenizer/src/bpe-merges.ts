/**
 * Second half of training: which pair of tokens to merge next (Sennrich et al. 2016, "Neural Machine Translation of
 * Rare Words with Subword Units", over bytes as in GPT-2). The most frequent pair of neighbours becomes a token, over
 * and over. Words lie one after another in flat arrays as linked lists of tokens, and every pair knows where it occurs,
 * so a merge touches only those places and their neighbours.
 *
 * The choice is that of Hugging Face's `BpeTrainer`: highest count first, equal counts by the smaller ids; in a run of
 * one token ("aaa") every neighbouring pair counts, and merging goes from left to right.
 */
import { PairHeap } from './pair-heap.ts';

/** Ids stay below this, so that a pair of them is one exact number. */
const ID_LIMIT = 2 ** 24;

interface Occurrences {
  count: number;
  /** Where the pair's left token lies or once lay; a place counts only if the pair is still there. */
  readonly places: number[];
}

/** The merge search over a table of words. */
export class MergeSearch {
  // One entry a token: its id (-1 once merged into its left neighbour), its neighbours' places (-1 at a word's ends),
  // and how often its word occurs.
  readonly #symbol: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  readonly #weight: Float64Array;
  readonly #pairs = new Map<number, Occurrences>();
  readonly #heap = new PairHeap();

  /** `words` are token ids with the word's count; `size` is the number of ids in all of them. */
  constructor(words: Iterable<readonly [ids: ArrayLike<number>, count: number]>, size: number) {
    this.#symbol = new Int32Array(size);
    this.#previous = new Int32Array(size).fill(-1);
    this.#next = new Int32Array(size).fill(-1);
    this.#weight = new Float64Array(size);
    let place = 0;
    for (const [ids, count] of words) {
      for (let i = 0; i < ids.length; i++, place++) {
        this.#symbol[place] = ids[i]!;
        this.#weight[place] = count;
        if (i === 0) continue;
        this.#previous[place] = place - 1;
        this.#next[place - 1] = place;
        this.#add(ids[i - 1]!, ids[i]!, place - 1, count);
      }
    }
    for (const [pair, { count }] of this.#pairs) this.#heap.push({ pair, count });
  }

  /** The pair that occurs most often, if it does so `minCount` times; it is not considered again. */
  next(minCount: number): [left: number, right: number] | undefined {
    for (let top = this.#heap.pop(); top !== undefined; top = this.#heap.pop()) {
      const { pair } = top;
      const { count } = this.#pairs.get(pair)!;
      if (count === top.count) return count >= minCount ? [Math.floor(pair / ID_LIMIT), pair % ID_LIMIT] : undefined;
      if (count >= minCount) this.#heap.push({ pair, count });
    }
    return undefined;
  }

  /** Makes `merged`, an id not used so far, of `left` and `right` wherever they are neighbours. */
  merge(left: number, right: number, merged: number): void {
    const symbol = this.#symbol;
    const fresh = new Set<number>();
    // Places come in the order of the text, which matters only in runs of one token: there the first pair goes first.
    for (const place of this.#pairs.get(left * ID_LIMIT + right)!.places) {
      const second = this.#next[place]!;
      if (symbol[place] !== left || second < 0 || symbol[second] !== right) continue;
      const weight = this.#weight[place]!;
      const before = this.#previous[place]!;
      const after = this.#next[second]!;
      symbol[place] = merged;
      symbol[second] = -1;
      this.#next[place] = after;
      if (before >= 0) {
        this.#remove(symbol[before]!, left, weight);
        fresh.add(this.#add(symbol[before]!, merged, before, weight));
      }
      if (after >= 0) {
        this.#previous[after] = place;
        this.#remove(right, symbol[after]!, weight);
        fresh.add(this.#add(merged, symbol[after]!, place, weight));
      }
    }
    this.#pairs.delete(left * ID_LIMIT + right);
    for (const pair of fresh) {
      const found = this.#pairs.get(pair);
      if (found !== undefined) this.#heap.push({ pair, count: found.count });
    }
  }

  #add(left: number, right: number, place: number, weight: number): number {
    const pair = left * ID_LIMIT + right;
    const found = this.#pairs.get(pair);
    if (found === undefined) {
      this.#pairs.set(pair, { count: weight, places: [place] });
    } else {
      found.count += weight;
      found.places.push(place);
    }
    return pair;
  }

  #remove(left: number, right: number, weight: number): void {
    this.#pairs.get(left * ID_LIMIT + right)!.count -= weight;
  }
}
