/**
 * Threads that help with a job. The owner (Node's main thread or a worker; in a page the backend sits in a worker)
 * opens a job, works on it itself, closes it, and waits only for threads that are in the middle of a chunk. A hand-over
 * costs one atomic addition while the helpers still spin and one futex wake otherwise. Helpers spin briefly, and not at
 * all when there are more threads than cores, so that a busy machine slows the pool down and never stalls it.
 *
 * Helpers are not needed for progress: a job that starts before they are up, or for which their memory has not
 * arrived yet, is done by the owner alone.
 */
import { MarianaError } from '@mariana/core';
import type { Arena } from './arena.ts';
import type { KernelModule } from './kernel-module.ts';
import { CONTROL, WORKER_SOURCE } from './worker-source.ts';

/** How often a thread looks before it sleeps: some 30 microseconds. */
const SPIN = 15_000;

export interface ThreadPoolOptions {
  /** Threads that work on a job, the owner included. Default 1. */
  threads?: number | undefined;
  /** How often a thread looks before it sleeps. Default: 15,000, or 100 with more threads than cores. */
  spin?: number | undefined;
}

/** What a worker is, in Node and in a browser, as far as the pool is concerned. */
interface Helper {
  post(message: unknown): void;
  terminate(): Promise<void>;
  readonly ready: Promise<void>;
}

export class ThreadPool {
  /** Threads that work on a job, the owner included. */
  readonly threads: number;
  /** Resolves when every helper is up; rejects with MarianaError BACKEND_UNAVAILABLE if one cannot start. */
  readonly ready: Promise<void>;
  readonly #control: Int32Array<ArrayBufferLike>;
  readonly #kernels: KernelModule;
  readonly #helpers: Helper[] = [];
  readonly #spin: number;
  readonly #mayWait: boolean;
  readonly #scratch = new Map<Arena, number[]>();
  #disposed = false;

  /** @throws MarianaError INVALID_ARGUMENT for a thread count below 1, or above 1 without shared memory */
  constructor(kernels: KernelModule, options: ThreadPoolOptions = {}) {
    const threads = options.threads ?? 1;
    if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `Cannot run ${threads} threads: a whole number from 1 to 1024 is needed.`,
      );
    }
    if (threads > 1 && !kernels.shared) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        'More than one thread needs SharedArrayBuffer: serve the page cross-origin isolated, or use one thread.',
      );
    }
    this.threads = threads;
    this.#kernels = kernels;
    const cores = globalThis.navigator?.hardwareConcurrency ?? threads;
    this.#spin = options.spin ?? (threads > cores ? 100 : SPIN);
    const bytes = CONTROL.length * 4;
    this.#control = new Int32Array(kernels.shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
    this.#control[CONTROL.spin] = this.#spin;
    this.#mayWait = threads > 1 && mayWait(this.#control);
    // Counted before they are sent: a worker that has heard fewer goes back to listen.
    Atomics.store(this.#control, CONTROL.messages, 1);
    for (let i = 1; i < threads; i++) {
      const helper = startHelper();
      helper.post({ type: 'start', control: this.#control, module: kernels.module });
      this.#helpers.push(helper);
    }
    this.ready = Promise.all(this.#helpers.map((helper) => helper.ready)).then(() => undefined);
    // A failure is reported to whoever awaits `ready`; without this it would also end the process.
    this.ready.catch(() => undefined);
  }

  /** Lets the helpers work in `arena` too; each gets its scratch memory there. */
  addArena(arena: Arena): void {
    const blocks: number[] = [];
    if (this.#helpers.length > 0) Atomics.add(this.#control, CONTROL.messages, 1);
    for (const helper of this.#helpers) {
      const scratch = arena.alloc(this.#kernels.scratchBytes);
      blocks.push(scratch);
      helper.post({ type: 'arena', index: arena.index, memory: arena.memory, scratch });
    }
    this.#scratch.set(arena, blocks);
    if (blocks.length > 0) this.#raise();
  }

  /**
   * Runs the job at `job` in `arena` to its end; with `alone`, on the calling thread only.
   *
   * @throws MarianaError BACKEND_FAILED if a kernel trapped
   */
  run(arena: Arena, job: number, alone: boolean): void {
    const control = this.#control;
    if (alone || this.threads === 1 || this.#disposed) {
      this.#runHere(arena, job);
      return;
    }
    control[CONTROL.arena] = arena.index;
    control[CONTROL.job] = job;
    Atomics.store(control, CONTROL.open, 1);
    this.#raise();
    let trapped: boolean;
    try {
      this.#runHere(arena, job);
    } finally {
      Atomics.store(control, CONTROL.open, 0);
      this.#waitUntilOut();
      trapped = Atomics.exchange(control, CONTROL.failed, 0) !== 0;
    }
    if (trapped) {
      throw new MarianaError(
        'BACKEND_FAILED',
        'A kernel trapped in a worker thread: an argument pointed outside the memory.',
      );
    }
  }

  /** Stops the helpers. Jobs still run afterwards, on the owner alone. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    Atomics.store(this.#control, CONTROL.stop, 1);
    this.#raise();
    await Promise.all(this.#helpers.map((helper) => helper.terminate()));
    for (const [arena, blocks] of this.#scratch) for (const at of blocks) arena.free(at);
    this.#scratch.clear();
  }

  #runHere(arena: Arena, job: number): void {
    try {
      arena.exports.runJob(job, arena.scratch);
    } catch (cause) {
      throw new MarianaError('BACKEND_FAILED', 'A kernel trapped: an argument pointed outside the memory.', { cause });
    }
  }

  #raise(): void {
    Atomics.add(this.#control, CONTROL.generation, 1);
    // A worker that counts itself as a sleeper after this line compares the generation before it sleeps.
    if (Atomics.load(this.#control, CONTROL.sleepers) > 0) Atomics.notify(this.#control, CONTROL.generation);
  }

  #waitUntilOut(): void {
    const control = this.#control;
    for (let i = this.#spin; i > 0 || !this.#mayWait; i--) {
      if (Atomics.load(control, CONTROL.inside) === 0) return;
    }
    Atomics.store(control, CONTROL.ownerSleeps, 1);
    for (;;) {
      const inside = Atomics.load(control, CONTROL.inside);
      if (inside === 0) break;
      Atomics.wait(control, CONTROL.inside, inside);
    }
    Atomics.store(control, CONTROL.ownerSleeps, 0);
  }
}

/** Whether this thread may block; the main thread of a page may not. */
function mayWait(control: Int32Array<ArrayBufferLike>): boolean {
  try {
    Atomics.wait(control, CONTROL.failed, 1, 0);
    return true;
  } catch {
    return false;
  }
}

function unavailable(cause: unknown): MarianaError {
  return new MarianaError('BACKEND_UNAVAILABLE', 'A worker thread could not start; use one thread.', { cause });
}

function startHelper(): Helper {
  const threads = globalThis.process?.getBuiltinModule?.('node:worker_threads');
  if (threads) {
    // Flags of the parent (loaders, inspectors, an input type) are none of the helper's business.
    const worker = new threads.Worker(WORKER_SOURCE, { eval: true, execArgv: [], env: {} });
    worker.unref();
    const ready = new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', (error) => reject(unavailable(error)));
      worker.once('exit', () => reject(unavailable(undefined)));
    });
    return {
      post: (message) => worker.postMessage(message),
      terminate: () => worker.terminate().then(() => undefined),
      ready,
    };
  }
  const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }));
  const worker = new Worker(url);
  const ready = new Promise<void>((resolve, reject) => {
    worker.addEventListener('message', () => resolve(), { once: true });
    worker.addEventListener('error', (event) => reject(unavailable(event.error)), { once: true });
  });
  ready.finally(() => URL.revokeObjectURL(url)).catch(() => undefined);
  return {
    post: (message) => worker.postMessage(message),
    terminate: async () => worker.terminate(),
    ready,
  };
}
