/**
 * Lets the event loop run during long work. A backend that computes on the calling thread resolves its promises at
 * once, so a loop over them would keep timers, ctrl-C and the page waiting until it ends, and nobody could abort it.
 */

/** Milliseconds of work between two moments that are left to the rest of the program. */
const SLICE = 50;

/** A function to be awaited now and then: does nothing until a slice of work is done, then waits for the event loop. */
export function createPauses(): () => Promise<void> | void {
  let last = performance.now();
  return () => {
    if (performance.now() - last < SLICE) return;
    return new Promise<void>((resolve) => setTimeout(resolve, 0)).then(() => {
      last = performance.now();
    });
  };
}
