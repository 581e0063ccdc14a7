/** Metrics on their way to the page, a few at a time: a page that draws each step of a fast run does nothing else. */
import type { StepMetrics } from './train-protocol.ts';

/** Milliseconds between two messages, at least. */
const APART = 100;

export class Batches {
  readonly #send: (lines: readonly StepMetrics[]) => void;
  #waiting: StepMetrics[] = [];
  #sentAt = Number.NEGATIVE_INFINITY;

  constructor(send: (lines: readonly StepMetrics[]) => void) {
    this.#send = send;
  }

  add(line: StepMetrics): void {
    this.#waiting.push(line);
    if (performance.now() - this.#sentAt >= APART) this.flush();
  }

  /** Sends what waits. To be called when no more may come for a while. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    this.#send(this.#waiting);
    this.#waiting = [];
    this.#sentAt = performance.now();
  }
}
