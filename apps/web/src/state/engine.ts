/**
 * The model that the page runs, as all places see it: which one, on what, and how loading goes. A model that cannot be
 * loaded leaves the one in use where it is.
 */
import { type ReadonlySignal, signal } from '@preact/signals';
import { isCancelled } from '../ui/explain.ts';
import type { BackendChoice, BackendName, BackendOffer, LoadEvent, LoadedModel } from '../worker/model-api.ts';
import { receiveError } from '../worker/protocol.ts';
import { DEFAULT_MODEL_URL } from './default-model.ts';
import { modelWorker } from './worker.ts';

/** Where a model comes from. */
export type ModelSource =
  | { readonly kind: 'default' }
  /** A folder in Hugging Face's layout, or a GGUF file. */
  | { readonly kind: 'url'; readonly url: string }
  /** Files by their names in such a folder: picked by the visitor, or made by training. */
  | { readonly kind: 'files'; readonly name: string; readonly files: Readonly<Record<string, Blob>> };

export type { BackendChoice };

/** How a loading goes. */
export interface Loading {
  readonly source: ModelSource;
  readonly event: LoadEvent | null;
  readonly cancel: () => void;
}

/** Something that failed, and what can be done again. */
export interface Failure {
  readonly what: string;
  readonly error: unknown;
  readonly retry?: () => void;
}

const loadedModel = signal<{ readonly facts: LoadedModel; readonly source: ModelSource } | null>(null);
const loadingModel = signal<Loading | null>(null);
const failure = signal<Failure | null>(null);
const noticeSignal = signal<Failure | null>(null);
const offersSignal = signal<readonly BackendOffer[]>([]);
const choice = signal<BackendChoice>('auto');

/** The model in use. */
export const loaded: ReadonlySignal<typeof loadedModel.value> = loadedModel;
export const loading: ReadonlySignal<Loading | null> = loadingModel;
/** Why the last loading failed. */
export const loadFailure: ReadonlySignal<Failure | null> = failure;
/** What failed that the model does without. */
export const notice: ReadonlySignal<Failure | null> = noticeSignal;
/** The backends of this browser; empty until it was asked. */
export const offers: ReadonlySignal<readonly BackendOffer[]> = offersSignal;
export const backendChoice: ReadonlySignal<BackendChoice> = choice;
/** Tokens a second of the text under way or the last one, or null. Set by whatever computes. */
export const tokensPerSecond = signal<number | null>(null);

/** Told before another model or backend takes over, and after. */
type Handover = { readonly before: () => Promise<void>; readonly after: (sameModel: boolean) => void };
const handovers: Handover[] = [];

/** Whoever uses the model stops before it is taken away, and may go on with the next one. */
export function onHandover(handover: Handover): void {
  handovers.push(handover);
}

/** Loads a model; whoever calls it may show the Generate place by `goTo('generate')`. */
export function openModel(source: ModelSource): void {
  void load(source, choice.value);
}

/** Loads the default model, unless a model was asked for already. */
export function openDefaultModel(): void {
  if (loadedModel.value === null && loadingModel.value === null) openModel({ kind: 'default' });
}

/** Puts the model in use on another backend. */
export function chooseBackend(name: BackendChoice): void {
  const source = loadedModel.value?.source ?? loadingModel.value?.source ?? { kind: 'default' };
  choice.value = name;
  void load(source, name);
}

export function dismissFailure(): void {
  failure.value = null;
}

export function dismissNotice(): void {
  noticeSignal.value = null;
}

/** Asks the browser for its backends. */
export async function askForBackends(): Promise<void> {
  offersSignal.value = await modelWorker().call('backends', null);
}

/** What a source is called until it is loaded. */
export function sourceName(source: ModelSource): string {
  if (source.kind === 'default') return 'the default model';
  return source.kind === 'url' ? source.url : source.name;
}

export function backendTitle(name: BackendName): string {
  return name === 'cpu' ? 'CPU' : 'WebGPU';
}

async function load(source: ModelSource, backend: BackendChoice): Promise<void> {
  loadingModel.value?.cancel();
  const controller = new AbortController();
  const own: Loading = { source, event: null, cancel: () => controller.abort() };
  const isCurrent = () => !controller.signal.aborted;
  loadingModel.value = own;
  failure.value = null;
  noticeSignal.value = null;
  const before = loadedModel.value;
  try {
    for (const handover of handovers) await handover.before();
    const facts = await modelWorker().call(
      'load',
      { source: await workerSource(source), backend },
      {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.kind === 'notice') noticeSignal.value = { what: event.what, error: receiveError(event.error) };
          else if (isCurrent()) loadingModel.value = { ...own, event };
        },
      },
    );
    const sameModel = before?.source === source;
    loadedModel.value = { facts, source };
    tokensPerSecond.value = null;
    if (loadingModel.value?.cancel === own.cancel) loadingModel.value = null;
    for (const handover of handovers) handover.after(sameModel);
  } catch (error) {
    if (loadingModel.value?.cancel === own.cancel) loadingModel.value = null;
    if (before !== null) choice.value = before.facts.backend.name;
    if (!isCancelled(error)) {
      const what = `${capital(sourceName(source))} could not be loaded`;
      failure.value = { what, error, retry: () => void load(source, backend) };
    }
    if (loadingModel.value === null) for (const handover of handovers) handover.after(before !== null);
  }
}

async function workerSource(source: ModelSource) {
  if (source.kind === 'default') return { kind: 'url', url: new URL(DEFAULT_MODEL_URL, location.href).href } as const;
  if (source.kind === 'files') return source;
  return { kind: 'url', url: source.url.trim() } as const;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
