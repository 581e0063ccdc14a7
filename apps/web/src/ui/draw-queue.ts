/**
 * When pictures are drawn. Each waits its turn; a frame draws as many as fit into a few milliseconds, so that the page
 * answers at once to whoever uses it. While a model computes, drawing takes no more than a small share of the time: the
 * model has threads on all processors, and every millisecond of drawing is one that it stands still.
 */

/** Milliseconds of a frame after which no other picture is begun. */
const FRAME = 6;

/** Share of the time that drawing may take while something computes. */
const SHARE = 0.04;

/**
 * Milliseconds of rest after each frame, at least, while something computes. A page does not learn what putting a frame on
 * the screen costs after it was painted, which is much where no graphics processor does it.
 */
const REST = 200;

export interface Clock {
  readonly now: () => number;
  /** Calls back when the next frame is made. */
  readonly frame: (callback: () => void) => void;
  /** Calls back when the frame that is being made is laid out and painted. */
  readonly afterFrame: (callback: () => void) => void;
  /** Calls back after so many milliseconds; what it returns ends the waiting. */
  readonly wait: (callback: () => void, milliseconds: number) => () => void;
}

export class DrawQueue {
  readonly #clock: Clock;
  /** In the order of their turns. */
  readonly #jobs = new Map<object, () => void>();
  #state: 'idle' | 'waiting' | 'drawing' = 'idle';
  #stopWaiting: (() => void) | null = null;
  #restUntil = 0;
  #isHurried = false;
  /** Whether something computes that drawing must not hold up. */
  isSparing: () => boolean = () => false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Draws something in its turn. Asked for again under the same key before that, it keeps its turn. */
  add(key: object, draw: () => void): void {
    this.#jobs.set(key, draw);
    this.#ask();
  }

  /** Resolves when all that waits now has been drawn. */
  drained(): Promise<void> {
    return new Promise((resolve) => this.add({}, resolve));
  }

  /** Draws it no more. */
  drop(key: object): void {
    this.#jobs.delete(key);
  }

  /** Somebody did something and looks for the answer: what waits is drawn with the next frame. */
  hurry(): void {
    this.#restUntil = 0;
    this.#isHurried = this.#state === 'drawing';
    if (this.#stopWaiting === null) return;
    this.#stopWaiting();
    this.#stopWaiting = null;
    this.#state = 'idle';
    this.#ask();
  }

  #ask(): void {
    if (this.#state !== 'idle' || this.#jobs.size === 0) return;
    this.#state = 'waiting';
    const rest = this.isSparing() ? this.#restUntil - this.#clock.now() : 0;
    const draw = () => {
      this.#stopWaiting = null;
      this.#clock.frame(() => void this.#draw());
    };
    if (rest <= 0) draw();
    else this.#stopWaiting = this.#clock.wait(draw, rest);
  }

  async #draw(): Promise<void> {
    this.#state = 'drawing';
    const begun = this.#clock.now();
    for (const [key, draw] of this.#jobs) {
      this.#jobs.delete(key);
      try {
        draw();
      } catch (error) {
        // One picture that cannot be drawn holds up no other; the browser reports it as any error that nobody caught.
        reportError(error);
      }
      // Components are rendered in a microtask after what they show has changed.
      await null;
      if (this.#clock.now() - begun >= FRAME) break;
    }
    this.#clock.afterFrame(() => {
      const end = this.#clock.now();
      this.#restUntil = this.#isHurried ? 0 : end + Math.max(REST, (end - begun) * (1 / SHARE - 1));
      this.#isHurried = false;
      this.#state = 'idle';
      this.#ask();
    });
  }
}

/** The clock of a page. In a hidden tab, which has no frames, timers stand in for them. */
function pageClock(): Clock {
  const channel = new MessageChannel();
  let painted: (() => void) | null = null;
  channel.port1.onmessage = () => {
    const callback = painted;
    painted = null;
    callback?.();
  };
  return {
    now: () => performance.now(),
    frame(callback) {
      // Whichever comes first: a tab may be hidden, or shown again, while it waits.
      let isDone = false;
      const once = () => {
        if (isDone) return;
        isDone = true;
        cancelAnimationFrame(frame);
        clearTimeout(timer);
        callback();
      };
      const frame = requestAnimationFrame(once);
      const timer = setTimeout(once, 250);
    },
    afterFrame(callback) {
      painted = callback;
      channel.port2.postMessage(null);
    },
    wait(callback, milliseconds) {
      const timer = setTimeout(callback, milliseconds);
      return () => clearTimeout(timer);
    },
  };
}

let pageQueue: DrawQueue | null = null;

/** The queue of this page. */
export function drawing(): DrawQueue {
  pageQueue ??= new DrawQueue(pageClock());
  return pageQueue;
}
