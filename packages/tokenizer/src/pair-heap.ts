/**
 * The priority queue of the merge search: pairs by how often they occur, equal counts by the smaller pair. Counts fall
 * while pairs wait; an entry is then out of date, and whoever pops it notices and puts it back.
 */

/** A pair of token ids as one number, ordered as the pairs are, and its count when it was put here. */
export interface PairEntry {
  readonly pair: number;
  readonly count: number;
}

function before(a: PairEntry, b: PairEntry): boolean {
  return a.count !== b.count ? a.count > b.count : a.pair < b.pair;
}

/** A binary heap with the most frequent pair on top. */
export class PairHeap {
  readonly #entries: PairEntry[] = [];

  push(entry: PairEntry): void {
    const entries = this.#entries;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, entries[parent]!)) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  pop(): PairEntry | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++;
      if (!before(entries[child]!, last)) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
    return top;
  }
}
