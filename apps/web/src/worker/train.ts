/** The worker that trains: the session of `train-session.ts` with this browser's CPU, storage and locks. */
import { cpu } from '@mariana/backend-cpu';
import { type Backend, MarianaError } from '@mariana/core';
import { serve } from './serve.ts';
import type { RunEvent, RunOrder, TrainApi } from './train-protocol.ts';
import { TrainSession, type Unlock } from './train-session.ts';
import { openRunStore, type RunStore } from './train-store.ts';

/** All tabs of this page share one kept run. */
const LOCK = 'mariana-train';

let backend: Promise<Backend> | undefined;
let store: Promise<RunStore | null> | undefined;

const session = new TrainSession({
  backend: () => {
    backend ??= cpu().catch((error) => {
      // Another attempt may find what this one missed (memory, a policy that was changed).
      backend = undefined;
      throw error;
    });
    return backend;
  },
  store: () => {
    store ??= openRunStore();
    return store;
  },
  lock,
});

/** @throws MarianaError `USAGE` if another tab has it */
function lock(): Promise<Unlock> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(LOCK, { ifAvailable: true }, (granted) => {
      if (granted === null) {
        throw new MarianaError('USAGE', 'this page trains in another tab; go on there, or close it and try again here');
      }
      return new Promise<void>((release) => {
        resolve(async () => {
          release();
          await held;
        });
      });
    });
    held.catch(reject);
  });
}

const api: TrainApi = session;

serve({
  find: () => api.find(null),
  // `serve` says of events only that they can be sent; these can.
  run: (order: RunOrder, emit: (event: never) => void, signal: AbortSignal) =>
    api.run(order, emit as (event: RunEvent) => void, signal),
  pause: () => api.pause(null),
  proceed: () => api.proceed(null),
  save: () => api.save(null),
  sample: (prompt: string) => api.sample(prompt),
  export: () => api.export(null),
  discard: () => api.discard(null),
});
