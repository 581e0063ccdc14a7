/**
 * The model in use and its one text. Loading another model leaves the one in use until the new one is there; a text goes
 * on where it stands, on whatever backend.
 */
import {
  type Backend,
  type CheckpointFiles,
  isMarianaError,
  isMoeLayer,
  MarianaError,
  MemoryFiles,
} from '@mariana/core';
import { Model, type Session } from '@mariana/runtime';
import { startBackend } from './backends.ts';
import { DownloadMeter } from './download-meter.ts';
import { generateText } from './generate-text.ts';
import type {
  BackendFacts,
  GenerateEvent,
  GenerateRequest,
  GenerateResult,
  LoadEvent,
  LoadedModel,
  LoadRequest,
  Observed,
  WorkerSource,
} from './model-api.ts';
import { openStoredGguf, StoredFiles, type StoreOptions } from './model-store.ts';
import { Observation } from './observation.ts';
import { sendError } from './protocol.ts';

/** What is in use. */
export interface Loaded {
  readonly model: Model;
  readonly backend: Backend;
  readonly session: Session;
  readonly observation: Observation;
  readonly drafts: boolean;
}

export class ModelEngine {
  #loaded: Loaded | null = null;
  /** Calls that must not run at the same time wait for each other here. */
  #last: Promise<unknown> = Promise.resolve();
  /** The layer that a call of `observe` wants while a text is being generated. */
  #wanted: { readonly layer: number; readonly answer: PromiseWithResolvers<Observed> } | null = null;
  #generating = false;

  load(request: LoadRequest, emit: (event: LoadEvent) => void, signal: AbortSignal): Promise<LoadedModel> {
    return this.#exclusive(() => this.#load(request, emit, signal));
  }

  generate(
    request: GenerateRequest,
    emit: (event: GenerateEvent) => void,
    signal: AbortSignal,
  ): Promise<GenerateResult> {
    return this.#exclusive(async () => {
      this.#generating = true;
      try {
        const loaded = this.#require();
        return await generateText(loaded, request, { emit, signal, between: () => this.#answerWanted() });
      } finally {
        this.#generating = false;
        await this.#answerWanted();
      }
    });
  }

  /** Answers between two tokens if a text is being generated, and at once if not. */
  observe(layer: number): Promise<Observed> {
    if (!this.#generating) return this.#exclusive(() => this.#lookAgain(layer));
    this.#wanted?.answer.resolve({ routing: [], attention: [] }); // the later one has it all
    const answer = Promise.withResolvers<Observed>();
    this.#wanted = { layer, answer };
    return answer.promise;
  }

  async #answerWanted(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === null) return;
    this.#wanted = null;
    await this.#lookAgain(wanted.layer).then(wanted.answer.resolve, wanted.answer.reject);
  }

  /** Watches a layer from now on, and runs the text so far once more to see what it missed. */
  async #lookAgain(layer: number): Promise<Observed> {
    const { model, session, observation } = this.#require();
    observation.layer = layer;
    // The last token of a text is run only when another is wanted.
    const ids = session.tokens.slice();
    if (ids.length === 0) return { routing: [], attention: [] };
    await observation.take();
    using again = model.session({ observer: observation.observer });
    await again.append(ids);
    return observation.take();
  }

  async #load(
    { source, backend: choice }: LoadRequest,
    emit: (event: LoadEvent) => void,
    signal: AbortSignal,
  ): Promise<LoadedModel> {
    emit({ kind: 'step', what: 'Starting what computes' });
    const { backend, facts } = await startBackend(choice);
    try {
      signal.throwIfAborted();
      const opened = await openSource(source, emit, signal);
      const { model, drafts } = await loadModel(opened.files, backend, emit, signal);
      this.#use(model, backend, drafts);
      return describe(model, { facts, drafts, from: opened.from() });
    } catch (error) {
      backend.dispose();
      throw error;
    }
  }

  #use(model: Model, backend: Backend, drafts: boolean): void {
    const before = this.#loaded;
    const observation = new Observation(moeLayersOf(model), model.config.numAttentionHeads);
    observation.layer = before?.observation.layer ?? null;
    if (observation.layer !== null) {
      observation.layer = Math.min(observation.layer, model.config.numHiddenLayers - 1);
    }
    const session = model.session({ speculate: drafts, observer: observation.observer });
    this.#loaded = { model, backend, session, observation, drafts };
    before?.session.dispose();
    before?.model.dispose();
    before?.backend.dispose();
  }

  #require(): Loaded {
    if (this.#loaded !== null) return this.#loaded;
    throw new MarianaError('INVALID_ARGUMENT', 'no model is loaded yet; load one first');
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}

interface OpenedSource {
  readonly files: CheckpointFiles;
  /** Where its bytes came from, once they are read. */
  readonly from: () => LoadedModel['from'];
}

async function openSource(
  source: WorkerSource,
  emit: (event: LoadEvent) => void,
  signal: AbortSignal,
): Promise<OpenedSource> {
  if (source.kind === 'files') return { files: new MemoryFiles(source.files, source.name), from: () => 'files' };
  const meter = new DownloadMeter(emit);
  const options: StoreOptions = {
    signal,
    onDownload: (download) => meter.see(download),
    onNotKept: (error) =>
      emit({ kind: 'notice', what: 'The model is not kept on this device', error: sendError(error) }),
  };
  if (!URL.canParse(source.url)) {
    throw new MarianaError('INVALID_ARGUMENT', `${source.url}: this is no address; write it as https://host/folder`);
  }
  const url = new URL(source.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new MarianaError('INVALID_ARGUMENT', `${url.href}: models are read from http and https addresses`);
  }
  const isGguf = /\.gguf$/i.test(url.pathname);
  const { files, stored } = isGguf
    ? await openStoredGguf(url, options)
    : await StoredFiles.open(url.href, options).then((stored) => ({ files: stored, stored }));
  return { files, from: () => (stored.usedNetwork ? 'network' : 'this device') };
}

/** With its multi-token-prediction module where there is one. */
async function loadModel(
  files: CheckpointFiles,
  backend: Backend,
  emit: (event: LoadEvent) => void,
  signal: AbortSignal,
): Promise<{ model: Model; drafts: boolean }> {
  let told = 0;
  const onProgress = ({ loadedBytes: loaded, totalBytes: total }: { loadedBytes: number; totalBytes: number }) => {
    if (performance.now() - told < 50 && loaded < total) return;
    told = performance.now();
    emit({ kind: 'weights', loaded, total });
  };
  const load = (mtp: boolean) => Model.load(files, { backend, mtp, onProgress, signal });
  try {
    const model = await load(true);
    return { model, drafts: model.transformer.mtp.length > 0 };
  } catch (error) {
    // Many checkpoints whose config counts a module leave its weights out.
    if (!isMarianaError(error) || error.code !== 'TENSOR_MISSING' || !/multi-token/.test(error.message)) throw error;
    return { model: await load(false), drafts: false };
  }
}

function describe(
  model: Model,
  { facts, drafts, from }: { facts: BackendFacts; drafts: boolean; from: LoadedModel['from'] },
): LoadedModel {
  return {
    name: model.name,
    backend: facts,
    config: model.config,
    hasTokenizer: model.tokenizer !== null,
    drafts,
    moeLayers: moeLayersOf(model),
    from,
    weightBytes: model.backend.memory().bytes,
  };
}

function moeLayersOf({ config }: Model): number[] {
  return Array.from({ length: config.numHiddenLayers }, (_, layer) => layer).filter((layer) =>
    isMoeLayer(config, layer),
  );
}
