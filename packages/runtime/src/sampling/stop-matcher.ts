/**
 * Finds stop strings in text that arrives in pieces. Text that may be the beginning of a stop string is held back until
 * it is clear, so that a caller never sees a part of one.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';

  /** @param stops - None of them empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /**
   * Takes a piece of text; returns what may be shown, and whether a stop string was met (nothing after it counts). Of
   * several the one that is complete first ends the text, the longest of those, however the text is cut into pieces.
   */
  push(piece: string): { text: string; stopped: boolean } {
    const text = this.#held + piece;
    const met = this.#stops
      .map((stop) => ({ at: text.indexOf(stop), length: stop.length }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at + a.length - (b.at + b.length) || a.at - b.at);
    if (met[0] !== undefined) {
      this.#held = '';
      return { text: text.slice(0, met[0].at), stopped: true };
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stopped: false };
  }

  /** What was held back, once no more text comes. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

/** Length of the longest end of `text` with which `stop` begins. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
