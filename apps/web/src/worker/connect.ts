/** The page's end of the protocol. */
import {
  type Api,
  type ArgumentOf,
  type EventOf,
  type Reply,
  type Request,
  type ResultOf,
  receiveError,
} from './protocol.ts';

interface CallOptions<E> {
  /** Told of each event, in order, before the call answers. */
  readonly onEvent?: (event: E) => void;
  /** Cancels the call: the worker's own signal is aborted, and the call ends as the worker ends it. */
  readonly signal?: AbortSignal;
}

export interface Connection<T extends Api<T>> {
  /** Calls a method. Rejects with what it throws, `MarianaError`s with their code. */
  call<K extends keyof T & string>(
    method: K,
    argument: ArgumentOf<T[K]>,
    options?: CallOptions<EventOf<T[K]>>,
  ): Promise<ResultOf<T[K]>>;
  /** Ends the worker at once; calls under way reject. */
  close(): void;
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
  readonly onEvent: ((event: never) => void) | undefined;
}

/** @param worker - Made by the caller: bundlers must see `new Worker(new URL('./x.ts', import.meta.url), ...)`. */
export function connect<T extends Api<T>>(worker: Worker): Connection<T> {
  const waiting = new Map<number, Waiting>();
  let next = 0;
  let broken: Error | null = null;

  const fail = (error: Error) => {
    broken = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
    if (data.kind === 'ready') return;
    const call = waiting.get(data.id);
    if (call === undefined) return;
    if (data.kind === 'event') {
      call.onEvent?.(data.event as never);
      return;
    }
    waiting.delete(data.id);
    if (data.kind === 'result') call.resolve(data.result as never);
    else call.reject(receiveError(data.error));
  });
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    fail(new Error(`the worker stopped: ${event.message || 'its script could not be loaded'}`));
  });

  return {
    call(method, argument, { onEvent, signal } = {}) {
      if (broken !== null) return Promise.reject(broken);
      if (signal?.aborted) return Promise.reject(signal.reason);
      const id = next++;
      const send = (request: Request) => worker.postMessage(request);
      const cancel = () => send({ kind: 'cancel', id });
      signal?.addEventListener('abort', cancel);
      return new Promise<never>((resolve, reject) => {
        waiting.set(id, { resolve, reject, onEvent: onEvent as ((event: never) => void) | undefined });
        send({ kind: 'call', id, method, argument });
      }).finally(() => signal?.removeEventListener('abort', cancel));
    },
    close() {
      worker.terminate();
      fail(new DOMException('the worker was ended', 'AbortError'));
    },
  };
}
