/** The two ends of the protocol, over a channel instead of a worker. */
import { MarianaError } from '@mariana/core';
import { afterEach, expect, test, vi } from 'vitest';
import { connect } from './connect.ts';
import { serve } from './serve.ts';

interface TestApi {
  double(value: number, emit: (event: string) => void): Promise<number>;
  fail(how: string): Promise<void>;
  wait(argument: null, emit: (event: never) => void, signal: AbortSignal): Promise<void>;
}

class FakeWorker extends EventTarget {
  readonly #port: MessagePort;
  constructor(port: MessagePort) {
    super();
    this.#port = port;
    port.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent('message', { data }));
  }
  postMessage(message: unknown): void {
    this.#port.postMessage(message);
  }
  terminate(): void {
    this.#port.close();
  }
}

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  vi.unstubAllGlobals();
});

function start() {
  const { port1, port2 } = new MessageChannel();
  vi.stubGlobal('postMessage', (message: unknown) => port2.postMessage(message));
  vi.stubGlobal('addEventListener', (_: string, listen: (event: MessageEvent) => void) => {
    port2.onmessage = listen as never;
  });
  serve<TestApi>({
    async double(value, emit) {
      emit('begun');
      return 2 * value;
    },
    async fail(how) {
      if (how === 'mariana') throw new MarianaError('FILE_NOT_FOUND', 'no such file', { details: { file: 'x' } });
      if (how === 'quota') throw new DOMException('full', 'QuotaExceededError');
      throw new TypeError(how);
    },
    wait: (_argument, _emit, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  const connection = connect<TestApi>(new FakeWorker(port1) as unknown as Worker);
  opened.push(connection, port2);
  return connection;
}

test('a call tells its events, then answers; calls do not mix', async () => {
  const connection = start();
  const events: string[] = [];
  const results = await Promise.all([
    connection.call('double', 4, { onEvent: (event) => events.push(event) }),
    connection.call('double', 5),
  ]);
  expect(results).toEqual([8, 10]);
  expect(events).toEqual(['begun']);
});

test('errors keep their code and their details, and others their name', async () => {
  const connection = start();
  await expect(connection.call('fail', 'mariana')).rejects.toMatchObject({
    name: 'MarianaError',
    code: 'FILE_NOT_FOUND',
    message: 'no such file',
    details: { file: 'x' },
  });
  await expect(connection.call('fail', 'quota')).rejects.toMatchObject({ name: 'QuotaExceededError' });
  await expect(connection.call('fail', 'odd')).rejects.toMatchObject({ name: 'TypeError', message: 'odd' });
});

test('a call is cancelled by its signal', async () => {
  const connection = start();
  const controller = new AbortController();
  const waiting = connection.call('wait', null, { signal: controller.signal });
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  await expect(connection.call('wait', null, { signal: controller.signal })).rejects.toMatchObject({
    name: 'AbortError',
  });
});

test('closing rejects what is under way and what comes', async () => {
  const connection = start();
  const waiting = connection.call('wait', null);
  connection.close();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  await expect(connection.call('double', 1)).rejects.toMatchObject({ name: 'AbortError' });
});
