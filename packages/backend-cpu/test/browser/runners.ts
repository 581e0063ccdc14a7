/** The two places in which a page can run the program: itself, and a dedicated worker. */
import type { Program } from './program.ts';
import type { Answer, Call } from './worker.ts';

/** Longer than any single call takes on a busy machine, and shorter than the tests may take. */
const DEADLINE = 90_000;

/** Runs functions of the program somewhere. */
export interface Runner {
  run<Name extends keyof Program>(name: Name, ...args: Parameters<Program[Name]>): ReturnType<Program[Name]>;
}

/** Runs them on the main thread of this page. */
export async function onPage(): Promise<Runner> {
  const address = '/bundle/program.js';
  const { program } = (await import(/* @vite-ignore */ address)) as { program: Program };
  return {
    run: (name, ...args) => (program[name] as (...args: unknown[]) => ReturnType<Program[typeof name]>)(...args),
  };
}

/** Runs them in a worker. One that does not answer in time is ended, and so are all calls after that one. */
export function inWorker(): Runner {
  const worker = new Worker('/bundle/worker.js', { type: 'module' });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let broken: Error | undefined;
  let calls = 0;
  const fail = (error: Error) => {
    broken ??= error;
    worker.terminate();
    for (const { reject } of waiting.values()) reject(broken);
    waiting.clear();
  };
  worker.addEventListener('error', (event) => fail(new Error(`The worker failed: ${event.message}`)));
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => {
    const call = waiting.get(data.id);
    waiting.delete(data.id);
    if ('error' in data) call?.reject(Object.assign(new Error(data.error.message), { stack: data.error.stack }));
    else call?.resolve(data.value);
  });
  return {
    run: (name, ...args) => {
      const call = Promise.withResolvers<unknown>();
      const id = calls++;
      waiting.set(id, call);
      if (broken) fail(broken);
      else worker.postMessage({ id, name, args } satisfies Call);
      const timer = setTimeout(() => fail(new Error(`The worker hangs in ${name}.`)), DEADLINE);
      const outcome = call.promise.finally(() => clearTimeout(timer));
      return outcome as ReturnType<Program[typeof name]>;
    },
  };
}
