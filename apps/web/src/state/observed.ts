/**
 * What was seen inside the network, for each token of the text. Watching begins when somebody first looks: until then it
 * costs nothing, and then the worker looks at the text so far again.
 */
import { type ReadonlySignal, signal } from '@preact/signals';
import { AttentionRows, MOST_WEIGHTS } from '../worker/attention-rows.ts';
import type { Observed, TokenAttention, TokenRouting } from '../worker/model-api.ts';
import { type Failure, loaded } from './engine.ts';
import { modelWorker } from './worker.ts';

/** By position; a token that was not seen (yet) has none. */
const routing: (TokenRouting | undefined)[] = [];
/** Of the layer that is watched. */
const attention = new AttentionRows();

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

/** Of tokens that were seen, from `attentionKept().from` on. */
export function attentionAt(position: number): TokenAttention | undefined {
  return attention.at(position);
}

/** How much is kept of attention, which takes more room for every token than for the one before. */
export interface KeptAttention {
  /** Tokens before this position were forgotten for want of room; 0 if none were. */
  readonly from: number;
  readonly bytes: number;
  /** Bytes that are kept at most. */
  readonly most: number;
}

export function attentionKept(): KeptAttention {
  return { from: attention.first, bytes: 4 * attention.weights, most: 4 * MOST_WEIGHTS };
}

/** Looks, from now on, with the attention of one layer. */
export function watch(layer: number): void {
  if (loaded.value === null || layer === layerSignal.value) return;
  layerSignal.value = layer;
  attention.clear();
  void lookAgain();
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
  for (const one of rows) if (one.layer === layerSignal.value) attention.add(one);
  versionSignal.value++;
}

/** The text was cut back. */
export function forgetFrom(position: number): void {
  if (routing.length > position) routing.length = position;
  attention.truncate(position);
  versionSignal.value++;
}
