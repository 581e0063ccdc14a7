/**
 * Progress on standard error: a bar that redraws itself on a terminal, a line now and then elsewhere, and nothing if
 * the work was done before anyone could have looked.
 */
import { duration } from './format.ts';
import type { Io } from './io.ts';

/** Milliseconds between two pictures of the bar, and before the first. */
const REDRAW = 80;
const PATIENCE = 300;
/** Milliseconds between two lines, and before the first. */
const NEXT_LINE = 5000;

const BAR_WIDTH = 24;

export interface ProgressOptions {
  /** What is being done, such as `loading ./model`. */
  readonly label: string;
  /** How amounts are written. */
  readonly amount: (value: number) => string;
  readonly quiet: boolean;
}

export class Progress {
  readonly #io: Io;
  readonly #options: ProgressOptions;
  readonly #started = performance.now();
  readonly #isTerminal: boolean;
  #last: number;
  #drawn = false;

  constructor(io: Io, options: ProgressOptions) {
    this.#io = io;
    this.#options = options;
    this.#isTerminal = io.stderr.isTTY === true;
    this.#last = this.#isTerminal ? this.#started + PATIENCE - REDRAW : this.#started;
  }

  /** Reports how far the work is. */
  update(done: number, total: number): void {
    const now = performance.now();
    if (done >= total && !this.#drawn) return;
    if (this.#options.quiet || now - this.#last < (this.#isTerminal ? REDRAW : NEXT_LINE)) return;
    this.#last = now;
    this.#drawn = true;
    const { label, amount } = this.#options;
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const figures = `${Math.floor(100 * share)}% of ${amount(total)}, ${duration(now - this.#started)}`;
    if (!this.#isTerminal) {
      this.#io.stderr.write(`${label}: ${figures}\n`);
      return;
    }
    const full = Math.round(BAR_WIDTH * share);
    const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
    const room = Math.max(20, (this.#io.stderr.columns ?? 80) - 1);
    this.#io.stderr.write(`\r\x1b[2K${`${label} ${bar} ${figures}`.slice(0, room)}`);
  }

  /** Takes the bar away; what is worth keeping is said by the command. */
  end(): void {
    if (this.#drawn && this.#isTerminal) this.#io.stderr.write('\r\x1b[2K');
    this.#drawn = false;
  }
}
