/** What tests of training share: a text, a place to keep runs in, and a look at what a run told. */
import { cpu } from '@mariana/backend-cpu';
import { type ByteSink, MarianaError, MemorySink } from '@mariana/core';
import { defaultSettings } from '../../src/worker/train-plan.ts';
import type { RunEvent, TrainSettings } from '../../src/worker/train-protocol.ts';
import { TrainSession } from '../../src/worker/train-session.ts';
import type { RunStore } from '../../src/worker/train-store.ts';

/** Some 9 KB of text in which the same few things happen again and again. */
export const TEXT = Array.from({ length: 120 }, (_, i) => {
  const animal = ['fox', 'hen', 'cat', 'goose'][i % 4];
  const place = ['mill', 'river', 'wood', 'barn', 'hill'][i % 5];
  return `Once upon a time the ${animal} went to the ${place}, and stayed for ${1 + (i % 7)} days.`;
}).join('\n');

export const SETTINGS: TrainSettings = { ...defaultSettings('small'), steps: 6, prompt: 'Once upon' };

/** Files in memory. It refuses to write files whose name is in `refused`, half way through. */
export class MemoryStore implements RunStore {
  readonly files = new Map<string, Blob>();
  readonly refused = new Set<string>();

  async read(name: string): Promise<Blob | null> {
    return this.files.get(name) ?? null;
  }

  async write(name: string, fill: (sink: ByteSink) => Promise<unknown>): Promise<void> {
    const sink = new MemorySink();
    await fill(sink);
    if (this.refused.has(name)) throw new MarianaError('FILE_WRITE_FAILED', `${name}: this browser's storage is full`);
    this.files.set(name, sink.blob());
  }

  async clear(): Promise<void> {
    this.files.clear();
  }
}

/** A session on one thread, in a tab of its own unless `locks` says that another has the right to train. */
export function sessionOf(store: RunStore | null, locks = { held: false }) {
  const backend = cpu({ threads: 1 });
  return new TrainSession({
    backend: () => backend,
    store: async () => store,
    lock: async () => {
      if (locks.held) throw new MarianaError('USAGE', 'this page trains in another tab');
      locks.held = true;
      return async () => {
        locks.held = false;
      };
    },
  });
}

/** Events of a run, and promises of the ones to come. */
export class Told {
  readonly events: RunEvent[] = [];
  readonly #waiting: { readonly matches: (event: RunEvent) => boolean; readonly resolve: () => void }[] = [];

  readonly emit = (event: RunEvent): void => {
    this.events.push(event);
    for (const { matches, resolve } of this.#waiting) if (matches(event)) resolve();
  };

  /** Resolves with the next event of this kind. */
  next(matches: (event: RunEvent) => boolean): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }

  of<T extends RunEvent['type']>(type: T): Extract<RunEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type);
  }

  get states() {
    return this.of('state').map(({ state }) => state);
  }

  get losses() {
    return this.of('steps').flatMap(({ metrics }) => metrics.map(({ loss }) => loss));
  }
}

export const never = new AbortController().signal;
