/** The worker's end of the protocol. */
import { type Api, type Reply, type Request, sendError } from './protocol.ts';

/**
 * Answers the calls of the page with these methods, as many at once as there are: a method that must not run twice at a
 * time has to see to it.
 */
export function serve<T extends Api<T>>(api: T): void {
  const running = new Map<number, AbortController>();
  const send = (reply: Reply, transfer: Transferable[] = []) => postMessage(reply, { transfer });
  addEventListener('message', async ({ data }: MessageEvent<Request>) => {
    if (data.kind === 'cancel') {
      running.get(data.id)?.abort();
      return;
    }
    const { id, method, argument } = data;
    const controller = new AbortController();
    running.set(id, controller);
    const emit = (event: unknown, transfer?: Transferable[]) => send({ kind: 'event', id, event }, transfer);
    try {
      const handler = api[method as keyof T];
      const result = await handler(argument, emit, controller.signal);
      send({ kind: 'result', id, result });
    } catch (error) {
      send({ kind: 'error', id, error: sendError(error) });
    } finally {
      running.delete(id);
    }
  });
  send({ kind: 'ready' });
}
