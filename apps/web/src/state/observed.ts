/**
 * What was seen inside the network, for each token of the text. Watching begins when somebody first looks: until then it
 * costs nothing, and then the worker looks at the text so far again.
 */
import { type ReadonlySignal, signal } from '@preact/signals';
import type { Observed, TokenAttention, TokenRouting } from '../worker/model-api.ts';
import { type Failure, loaded } from './engine.ts';
import { modelWorker } from './worker.ts';

/** By position; a token that was not seen (yet) has none. */
const routing: (TokenRouting | undefined)[] = [];
const attention: (TokenAttention | undefined)[] = [];

const versionSignal = signal(0);
const layerSignal = signal<number | null>(null);
const failureSignal = signal<Failure | null>(null);

/** Grows whenever anything of the below changes. */
export const observedVersion: ReadonlySignal<number> = versionSignal;
export const observeFailure: ReadonlySignal<Failure | null> = failureSignal;

export function routingAt(position: number): TokenRouting | undefined {
  return routing[position];
}

/** All that was seen, by position. */
export function allRouting(): readonly (TokenRouting | undefined)[] {
  return routing;
}

export function attentionAt(position: number): TokenAttention | undefined {
  const found = attention[position];
  return found?.layer === layerSignal.value ? found : undefined;
}

/** Looks, from now on, with the attention of one layer. */
export function watch(layer: number): void {
  if (loaded.value === null) return;
  const isNew = layer !== layerSignal.value;
  layerSignal.value = layer;
  if (isNew) void lookAgain();
}

/** Looks at the text so far, such as one that was written before anybody looked. */
async function lookAgain(): Promise<void> {
  const layer = layerSignal.value;
  if (layer === null) return;
  failureSignal.value = null;
  try {
    const seen = await modelWorker().call('observe', { layer });
    if (layer === layerSignal.value) takeObserved(seen);
  } catch (error) {
    failureSignal.value = { what: 'The inside of the model could not be shown', error, retry: () => void lookAgain() };
  }
}

/** Takes what the worker saw. */
export function takeObserved({ routing: seen, attention: rows }: Observed): void {
  if (seen.length === 0 && rows.length === 0) return;
  for (const one of seen) routing[one.position] = one;
  for (const one of rows) attention[one.position] = one;
  versionSignal.value++;
}

/** The text was cut back. */
export function forgetFrom(position: number): void {
  if (routing.length <= position && attention.length <= position) return;
  routing.length = Math.min(routing.length, position);
  attention.length = Math.min(attention.length, position);
  versionSignal.value++;
}
