/**
 * Ctrl-C. By default the first one aborts the signal that every command heeds, so that files half written are removed,
 * and a second one ends the program on the spot. A command in a dialogue takes ctrl-C over for as long as it wants.
 */

/** The exit code of a program that was interrupted: 128 + SIGINT, as shells count. */
export const INTERRUPTED = 130;

export class Interrupts {
  readonly #controller = new AbortController();
  readonly #handlers: (() => void)[] = [];
  readonly #exit: () => void;

  /** @param exit - Ends the program at once. */
  constructor(exit: () => void) {
    this.#exit = exit;
  }

  /** Aborted by the first ctrl-C that no handler took. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ctrl-C was pressed. */
  interrupt(): void {
    const handler = this.#handlers.at(-1);
    if (handler !== undefined) handler();
    else if (this.signal.aborted) this.#exit();
    else this.#controller.abort();
  }

  /** Gives ctrl-C to `handler` until the result is disposed. */
  handle(handler: () => void): Disposable {
    this.#handlers.push(handler);
    return { [Symbol.dispose]: () => void this.#handlers.splice(this.#handlers.indexOf(handler), 1) };
  }
}
