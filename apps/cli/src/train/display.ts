/** What is shown while a run trains: a line that redraws itself on a terminal, a line now and then elsewhere. */
import { exact } from '../format.ts';
import type { Io } from '../io.ts';
import type { Metrics } from './metrics.ts';

/** Milliseconds between two pictures of the line on a terminal, and between two lines elsewhere. */
const REDRAW = 100;
const NEXT_LINE = 5000;

export class TrainingDisplay {
  readonly #io: Io;
  readonly #quiet: boolean;
  readonly #steps: number;
  readonly #begun = performance.now();
  readonly #firstStep: number;
  #last = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(io: Io, { steps, step, quiet }: { steps: number; step: number; quiet: boolean }) {
    this.#io = io;
    this.#quiet = quiet;
    this.#steps = steps;
    this.#firstStep = step;
  }

  /** Shows a step, if it is time for that. */
  update(metrics: Metrics): void {
    const isTerminal = this.#io.stderr.isTTY === true;
    const now = performance.now();
    const isDue = now - this.#last >= (isTerminal ? REDRAW : NEXT_LINE) || metrics.step === this.#steps;
    if (this.#quiet || !isDue) return;
    this.#last = now;
    const line = `${progressLine(metrics, this.#steps)}${this.#ending(metrics.step, now)}`;
    if (!isTerminal) {
      this.#io.stderr.write(`${line}\n`);
      return;
    }
    this.#drawn = true;
    this.#io.stderr.write(`\r\x1b[2K${line.slice(0, Math.max(20, (this.#io.stderr.columns ?? 80) - 1))}`);
  }

  /** Says something that stays. */
  note(line: string): void {
    if (this.#quiet) return;
    this.end();
    this.#io.stderr.write(`${line}\n`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#drawn) this.#io.stderr.write('\r\x1b[2K');
    this.#drawn = false;
  }

  /** When the run is expected to end, by the speed of this part of it, evaluations and checkpoints included. */
  #ending(step: number, now: number): string {
    if (step >= this.#steps) return '';
    const left = ((now - this.#begun) / (step - this.#firstStep)) * (this.#steps - step);
    const time = new Date(Date.now() + left).toTimeString().slice(0, 5);
    return `  ends ${time} (in ${span(left / 1000)})`;
  }
}

/** The figures of a step. */
export function progressLine({ step, loss, tokensPerSecond, maxViolation, load }: Metrics, steps: number): string {
  const balance = Object.keys(load).length > 0 ? `  MaxViolation ${maxViolation.toFixed(2)}` : '';
  return `step ${step}/${steps}  loss ${loss.toFixed(4)}  ${exact(Math.round(tokensPerSecond))} tokens/s${balance}`;
}

/** Seconds as people say them: 42 s, 12 min, 3 h 20 min. */
export function span(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
