/**
 * What a worker thread runs, as text: the one form that starts alike from sources, from `dist` and from a bundle for
 * the browser, with no file to resolve. The worker is given the compiled module, the memories and the control words
 * by message; while it serves, it sits in a loop on the control words and hears no messages, so the pool counts the
 * messages it has sent, and a worker that has missed one goes back to its event loop to fetch it.
 *
 * Taking part in a job: the worker counts itself in, then looks whether the job is still open. The pool closes the job,
 * then waits until nobody is in. Both are sequentially consistent, so that a worker that comes late (its core was
 * busy) sees a closed job and touches nothing, and nobody waits for it.
 */

/** Indices into the control words, a cache line apart where threads write. */
export const CONTROL = {
  /** Raised with every job and every message; workers wait on it. */
  generation: 0,
  /** 1 while the job may be entered. */
  open: 16,
  /** How many workers are in the job. */
  inside: 32,
  /** How many workers sleep on `generation`. */
  sleepers: 48,
  arena: 64,
  job: 65,
  messages: 66,
  /** How often a worker looks at `generation` before it sleeps. */
  spin: 67,
  stop: 68,
  /** Set by a worker whose kernel trapped. */
  failed: 80,
  /** 1 while the owner sleeps on `inside`. */
  ownerSleeps: 96,
  /** Length of the control words. */
  length: 112,
} as const;

const C = CONTROL;

export const WORKER_SOURCE = `
'use strict';
const node = globalThis.process?.getBuiltinModule?.('node:worker_threads');
const port = node ? node.parentPort : globalThis;
const arenas = [];
let control, module, seen = 0, handled = 0;
function receive(message) {
  handled++;
  if (message.type === 'start') {
    control = message.control;
    module = message.module;
    port.postMessage('ready');
  } else {
    const instance = new WebAssembly.Instance(module, { env: { memory: message.memory } });
    arenas[message.index] = { run: instance.exports.runJob, scratch: message.scratch };
  }
  serve();
}
function serve() {
  for (;;) {
    if (Atomics.load(control, ${C.messages}) !== handled) return;
    if (Atomics.load(control, ${C.stop}) !== 0) return;
    let generation = Atomics.load(control, ${C.generation});
    for (let i = Atomics.load(control, ${C.spin}); i > 0 && generation === seen; i--) {
      generation = Atomics.load(control, ${C.generation});
    }
    while (generation === seen) {
      Atomics.add(control, ${C.sleepers}, 1);
      Atomics.wait(control, ${C.generation}, seen);
      Atomics.sub(control, ${C.sleepers}, 1);
      generation = Atomics.load(control, ${C.generation});
    }
    seen = generation;
    Atomics.add(control, ${C.inside}, 1);
    if (Atomics.load(control, ${C.open}) === 1) {
      const arena = arenas[Atomics.load(control, ${C.arena})];
      try {
        if (arena) arena.run(Atomics.load(control, ${C.job}), arena.scratch);
      } catch (error) {
        Atomics.store(control, ${C.failed}, 1);
      }
    }
    if (Atomics.sub(control, ${C.inside}, 1) === 1 && Atomics.load(control, ${C.ownerSleeps}) === 1) {
      Atomics.notify(control, ${C.inside});
    }
  }
}
if (node) port.on('message', receive);
else port.onmessage = (event) => receive(event.data);
`;
