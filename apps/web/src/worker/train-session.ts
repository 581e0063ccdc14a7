/**
 * The run of the Train place: it trains step by step, and between two steps it saves, writes samples, hands over the
 * model, and listens. It knows nothing of browsers, so that it is tested where everything else is.
 */
import { type Backend, BlobSource, MarianaError } from '@mariana/core';
import { evaluate, type TrainingProgress, type TrainingRun, train } from '@mariana/train';
import { sendError } from './protocol.ts';
import { Batches } from './train-batches.ts';
import { checkpointFiles, writeSample } from './train-checkpoint.ts';
import { findRun, keepBeginning, keepState, readKept } from './train-kept.ts';
import { balanceOf, scheduleOf } from './train-options.ts';
import { BATCH, checkSettings } from './train-plan.ts';
import { type Prepared, prepare, TOKENS_PER_STEP } from './train-prepare.ts';
import type { RunEvent, RunFacts, RunOrder, RunState, Sample, StepMetrics, TrainApi } from './train-protocol.ts';
import type { RunStore } from './train-store.ts';

/** Samples of a run, at equal distances. */
const SAMPLES = 20;
/** Held-out sequences that are evaluated with each sample. */
const EVALUATED = 16;
/** Milliseconds between two looks at a text that is being written. */
const TELL_EVERY = 50;
/** Milliseconds between two saves, at least; a save that takes long makes them rarer. */
const SAVE_EVERY = 15_000;
const SAVE_SHARE = 30;

export type Unlock = () => Promise<void>;

/** What a session is given. */
export interface SessionParts {
  readonly backend: () => Promise<Backend>;
  /** Null where nothing can be kept. */
  readonly store: () => Promise<RunStore | null>;
  /** Makes sure that no other tab trains; resolves to what gives the right back. */
  readonly lock: () => Promise<Unlock>;
}

/** What a run has that begins with a text. */
const NOTHING_YET = { tokenizer: undefined, metrics: [], samples: [], state: null } as const;

/** A run that has begun. */
interface Current {
  readonly run: TrainingRun;
  readonly facts: RunFacts;
  readonly prepared: Prepared;
  readonly backend: Backend;
  readonly store: RunStore | null;
  readonly metrics: StepMetrics[];
  readonly samples: Sample[];
  readonly emit: (event: RunEvent) => void;
  readonly unlock: Unlock;
  readonly batches: Batches;
  /** Seconds of earlier parts of the run, and when this part began. */
  readonly secondsBefore: number;
  activeSince: number;
  lastSavedStep: number | null;
  lastSave: { at: number; took: number };
}

export class TrainSession implements TrainApi {
  readonly #parts: SessionParts;
  #current: Current | null = null;
  #busy = false;
  #ending = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  /** Resolves when a paused run may go on. */
  #pause: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null;
  /** What has the model to itself comes one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  async find() {
    const store = await this.#parts.store();
    return { run: store === null ? null : await findRun(store), keeps: store !== null };
  }

  async run(order: RunOrder, emit: (event: RunEvent) => void, signal: AbortSignal): Promise<void> {
    if (this.#busy) throw new MarianaError('USAGE', 'a run is under way; pause or discard it before another begins');
    this.#busy = true;
    await this.#dispose();
    this.#ending = new AbortController();
    let end = () => {};
    this.#ended = new Promise((resolve) => {
      end = resolve;
    });
    try {
      const either = AbortSignal.any([signal, this.#ending.signal]);
      const current = await this.#begin(order, emit, either);
      await this.#train(current, either);
    } finally {
      this.#pause = null;
      this.#busy = false;
      end();
    }
  }

  pause(): void {
    if (this.#pause !== null || !this.#busy) return;
    let resolve = () => {};
    const promise = new Promise<void>((settle) => {
      resolve = settle;
    });
    this.#pause = { promise, resolve };
    this.#current?.emit({ type: 'state', state: 'pausing' });
  }

  proceed(): void {
    this.#pause?.resolve();
    this.#pause = null;
  }

  async save(): Promise<void> {
    const current = this.#current;
    if (current !== null) await this.#alone(() => this.#save(current));
  }

  async sample(prompt: string): Promise<Sample> {
    const current = this.#require('write');
    return this.#alone(() => this.#sample(current, prompt));
  }

  async export() {
    const { run, prepared } = this.#require('hand over');
    return this.#alone(async () => ({ step: run.step, files: await checkpointFiles(run.model, prepared.tokenizer) }));
  }

  async discard(): Promise<void> {
    this.#ending.abort(new DOMException('the run was discarded', 'AbortError'));
    this.proceed();
    await this.#ended;
    await this.#dispose();
    const unlock = await this.#parts.lock();
    try {
      await (await this.#parts.store())?.clear();
    } finally {
      await unlock();
    }
  }

  async #begin(order: RunOrder, emit: (event: RunEvent) => void, signal: AbortSignal): Promise<Current> {
    emit({ type: 'state', state: 'preparing' });
    const unlock = await this.#parts.lock();
    try {
      const store = await this.#parts.store();
      const isKept = order.from === 'kept';
      const parts = isKept ? await readKept(requireStore(store)) : { ...order, ...NOTHING_YET };
      const { text, textName, tokenizer } = parts;
      const settings = checkSettings(parts.settings);
      const onProgress = (what: string, share: number | null) => emit({ type: 'preparing', what, share });
      const prepared = await prepare(text, textName, settings, { tokenizer, onProgress, signal });
      onProgress('Making the model', null);
      const backend = await this.#parts.backend();
      const run = await start(prepared, settings, backend, parts.state);
      const step = run.step;
      const metrics = parts.metrics.filter((line) => line.step <= step);
      const current: Current = {
        run,
        facts: factsOf(run, prepared, settings, textName),
        prepared,
        backend,
        store,
        metrics,
        samples: parts.samples.filter((sample) => sample.step <= step),
        emit,
        unlock,
        batches: new Batches((lines) => emit({ type: 'steps', metrics: lines })),
        secondsBefore: metrics.at(-1)?.seconds ?? 0,
        activeSince: performance.now(),
        lastSavedStep: isKept ? step : null,
        lastSave: { at: performance.now(), took: 0 },
      };
      this.#current = current;
      signal.throwIfAborted();
      if (!isKept) await this.#keepBeginning(current, text);
      emit({ type: 'ready', facts: current.facts, metrics: [...metrics], samples: [...current.samples] });
      // What an earlier visit left is shown as it was left, and goes on when its visitor says so.
      if (isKept && step < run.steps) this.pause();
      return current;
    } catch (error) {
      if (this.#current === null) await unlock();
      throw error;
    }
  }

  /** A run that cannot be kept is trained all the same, and says so. */
  async #keepBeginning({ store, emit, prepared, facts }: Current, text: string): Promise<void> {
    if (store === null) return;
    const { settings, textName } = facts;
    try {
      await keepBeginning(store, { settings, text, textName, tokenizer: prepared.tokenizer });
    } catch (error) {
      emit({ type: 'not-saved', error: sendError(error), lastSavedStep: null });
    }
  }

  async #train(current: Current, signal: AbortSignal): Promise<void> {
    const { run, emit, batches } = current;
    const state = (now: RunState) => emit({ type: 'state', state: now });
    const sampleEvery = Math.ceil(run.steps / SAMPLES);
    let told = false;
    try {
      while (run.step < run.steps) {
        if (this.#pause !== null) {
          await this.#rest(current, signal);
          told = false;
        }
        signal.throwIfAborted();
        if (!told) state('running');
        told = true;
        // Before the first step too: what knows nothing writes noise, and from there it learns.
        if (run.step === 0 && current.samples.length === 0) await this.#alone(() => this.#sample(current));
        const isDue = (run.step + 1) % sampleEvery === 0 || run.step + 1 === run.steps;
        await this.#alone(async () => this.#add(current, await run.advance(), isDue));
        if (isDue) await this.#alone(() => this.#sample(current));
        if (isTimeToSave(current)) await this.#alone(() => this.#save(current));
      }
      batches.flush();
      await this.#alone(() => this.#save(current));
      state('finished');
    } catch (error) {
      batches.flush();
      if (signal.aborted && !this.#ending.signal.aborted) await this.#alone(() => this.#save(current));
      throw error;
    }
  }

  /** Saves, and waits to be told to go on. */
  async #rest(current: Current, signal: AbortSignal): Promise<void> {
    const pause = this.#pause!;
    const before = secondsOf(current);
    current.batches.flush();
    if (current.run.step !== current.lastSavedStep) await this.#alone(() => this.#save(current));
    current.emit({ type: 'state', state: 'paused' });
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    if (!signal.aborted) await Promise.race([pause.promise, aborted]);
    // The rest is no part of the time that the run took.
    current.activeSince = performance.now() - 1000 * (before - current.secondsBefore);
    current.lastSave = { ...current.lastSave, at: performance.now() };
  }

  async #add(current: Current, progress: TrainingProgress, isEvaluated: boolean): Promise<void> {
    const heldOut = isEvaluated ? await evaluateHeldOut(current) : null;
    const line: StepMetrics = {
      step: progress.step,
      loss: progress.crossEntropy,
      ...(heldOut !== null && { heldOut }),
      tokensPerSecond: progress.tokensPerSecond,
      seconds: secondsOf(current),
      maxViolation: progress.maxViolation,
      load: current.facts.moeLayers.map((layer) => [...(progress.load.get(layer) ?? [])]),
    };
    current.metrics.push(line);
    current.batches.add(line);
  }

  async #sample(current: Current, prompt = current.facts.settings.prompt): Promise<Sample> {
    const { run, prepared, backend, emit, samples, facts } = current;
    const step = run.step;
    current.batches.flush();
    const files = await checkpointFiles(run.model, prepared.tokenizer);
    const tell = (text: string, done: boolean): Sample => {
      const sample = { step, prompt, text, done };
      emit({ type: 'sample', sample });
      return sample;
    };
    const { seed } = facts.settings;
    let toldAt = Number.NEGATIVE_INFINITY;
    const onText = (part: string) => {
      if (performance.now() - toldAt < TELL_EVERY) return;
      toldAt = performance.now();
      tell(part, false);
    };
    const text = await writeSample(files, backend, { prompt, seed, onText });
    const sample = tell(text, true);
    samples.push(sample);
    return sample;
  }

  async #save(current: Current): Promise<void> {
    const { run, store, emit, metrics, samples } = current;
    if (store === null) return;
    const begun = performance.now();
    const step = run.step;
    try {
      const at = Date.now();
      await keepState(store, { step, at, metrics, samples }, (sink) => run.writeState(sink));
      current.lastSavedStep = step;
      emit({ type: 'saved', step, at });
    } catch (error) {
      emit({ type: 'not-saved', error: sendError(error), lastSavedStep: current.lastSavedStep });
    } finally {
      const now = performance.now();
      current.lastSave = { at: now, took: now - begun };
    }
  }

  /** Runs `task` when nothing else has the model, in the order of asking. */
  #alone<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task, task);
    this.#turn = result.catch(() => {});
    return result;
  }

  #require(what: string): Current {
    if (this.#current !== null) return this.#current;
    throw new MarianaError('USAGE', `there is no model in training to ${what}; start a run first`);
  }

  async #dispose(): Promise<void> {
    await this.#turn;
    const current = this.#current;
    this.#current = null;
    if (current === null) return;
    current.run.dispose();
    await current.unlock();
  }
}

async function start(
  prepared: Prepared,
  settings: RunFacts['settings'],
  backend: Backend,
  state: Blob | null,
): Promise<TrainingRun> {
  return train(prepared.config, {
    backend,
    data: prepared.data,
    steps: settings.steps,
    batchSize: BATCH,
    learningRate: scheduleOf(settings),
    balance: balanceOf(settings),
    seed: settings.seed,
    ...(state !== null && { resume: new BlobSource(state, 'the kept run') }),
  });
}

function factsOf(run: TrainingRun, prepared: Prepared, settings: RunFacts['settings'], textName: string): RunFacts {
  const { config, tokens, heldOutTokens } = prepared;
  return {
    settings,
    textName,
    parameters: run.model.size,
    vocabSize: config.vocabSize,
    tokens,
    heldOutTokens,
    tokensPerStep: TOKENS_PER_STEP,
    moeLayers: run.model.routers.map(({ layer }) => layer),
    experts: config.nRoutedExperts,
    expertsPerToken: config.numExpertsPerTok,
  };
}

async function evaluateHeldOut({ run, prepared }: Current): Promise<number | null> {
  const { heldOut } = prepared;
  if (heldOut === null) return null;
  const sequences = Math.min(EVALUATED, heldOut.sequences);
  // Always the same sequences: the first ones of the first epoch.
  return evaluate(
    run.model,
    Array.from({ length: sequences }, (_, i) => heldOut.batch(i, 1)),
  );
}

function isTimeToSave({ lastSave }: Current): boolean {
  return performance.now() - lastSave.at > Math.max(SAVE_EVERY, SAVE_SHARE * lastSave.took);
}

function secondsOf({ secondsBefore, activeSince }: Current): number {
  return secondsBefore + (performance.now() - activeSince) / 1000;
}

function requireStore(store: RunStore | null): RunStore {
  if (store !== null) return store;
  throw new MarianaError(
    'FILE_UNREADABLE',
    'this browser keeps no files for this page, so there is no run to go on with',
  );
}
