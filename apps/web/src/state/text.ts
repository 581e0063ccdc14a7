/** The text: its tokens as they come, which of them is looked at, and how fast they come. */
import { batch, computed, type ReadonlySignal, signal } from '@preact/signals';
import { drawing } from '../ui/draw-queue.ts';
import { isDeviceLost } from '../ui/explain.ts';
import { setComputing } from '../ui/paced.ts';
import type { GenerateEvent, GenerateRequest, GenerateResult, TextToken, Timings } from '../worker/model-api.ts';
import {
  backendChoice,
  chooseBackend,
  type Failure,
  loaded,
  type ModelSource,
  onHandover,
  tokensPerSecond,
} from './engine.ts';
import { forgetFrom, observedVersion, takeObserved } from './observed.ts';
import { modelWorker } from './worker.ts';

/** What one chooses about a text. */
export interface TextSettings {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  /** Empty for another one each time. */
  readonly seed: number | null;
}

export interface Run {
  readonly stop: () => void;
  readonly reading: GenerateEvent['reading'];
}

const tokensSignal = signal<readonly TextToken[]>([]);
const runSignal = signal<Run | null>(null);
const resultSignal = signal<GenerateResult | null>(null);
const timingsSignal = signal<Timings>({ firstToken: null, tokensPerSecond: null });
const seedSignal = signal<number | null>(null);
const failureSignal = signal<Failure | null>(null);

export const tokens: ReadonlySignal<readonly TextToken[]> = tokensSignal;
/** The generation under way. */
export const running: ReadonlySignal<Run | null> = runSignal;
/** How the last one ended. */
export const result: ReadonlySignal<GenerateResult | null> = resultSignal;
export const timings: ReadonlySignal<Timings> = timingsSignal;
/** Seed of the text. */
export const usedSeed: ReadonlySignal<number | null> = seedSignal;
export const textFailure: ReadonlySignal<Failure | null> = failureSignal;
/** Whether a text is being generated. */
export const isRunning: ReadonlySignal<boolean> = computed(() => runSignal.value !== null);

const selectedSignal = signal<number | null>(null);

/** Position of the token that is looked at; null for the last one, whichever that is. */
export const selected: ReadonlySignal<number | null> = selectedSignal;

/** Looks at a token; null for the last one, whichever that is. */
export function select(position: number | null): void {
  if (position === selectedSignal.peek()) return;
  selectedSignal.value = position;
  drawing().hurry();
}

export const settings = signal<TextSettings>({
  prompt: 'Once upon a time',
  maxTokens: 200,
  temperature: 0.8,
  topP: 0.95,
  seed: 1,
});

/** The token that all pictures show. */
export function shownToken(): TextToken | null {
  const all = tokensSignal.value;
  return all[selected.value ?? all.length - 1] ?? all.at(-1) ?? null;
}

/** What pictures show. */
export interface Moment {
  readonly tokens: readonly TextToken[];
  /** The token that is looked at. */
  readonly shown: TextToken | null;
  /** Of what was seen inside. */
  readonly version: number;
}

export const moment: ReadonlySignal<Moment> = computed(() => ({
  tokens: tokensSignal.value,
  shown: shownToken(),
  version: observedVersion.value,
}));

/** Begins a text with the prompt. */
export function generate(): void {
  const { prompt, maxTokens, temperature, topP, seed } = settings.value;
  seedSignal.value = seed ?? Math.floor(Math.random() * 2 ** 32);
  select(null);
  void run({ prompt, maxTokens, temperature, topP, seed: seedSignal.value });
}

/** Goes on where the text stands. */
export function goOn(): void {
  const { maxTokens, temperature, topP } = settings.value;
  void run({ prompt: textIds(), maxTokens, temperature, topP, seed: nextSeed() });
}

/** Whether the text can be gone on with: it must be of the model in use, whose tokens it is made of. */
export function canGoOn(): boolean {
  return tokensSignal.value.length > 0 && writtenBy.value !== null && writtenBy.value === loaded.value?.source;
}

export function stop(): void {
  runSignal.value?.stop();
}

export function dismissTextFailure(): void {
  failureSignal.value = null;
}

/** The model that the text was written by. */
const writtenBy = signal<ModelSource | null>(null);

function textIds(): number[] {
  return tokensSignal.value.map(({ id }) => id);
}

/** The same seed would draw the same numbers again. */
function nextSeed(): number {
  return ((seedSignal.value ?? 0) + tokensSignal.value.length) >>> 0;
}

/** Resolves when the generation under way has ended. */
let ended: Promise<void> = Promise.resolve();
/** What was still to come when a change of backend interrupted a text. */
let interrupted: GenerateRequest | null = null;
let isChanging = false;

async function run(request: GenerateRequest): Promise<void> {
  if (runSignal.value !== null || loaded.value === null) return;
  const controller = new AbortController();
  const done = Promise.withResolvers<void>();
  ended = done.promise;
  const stopIt = () => controller.abort();
  let promptLength = tokensSignal.value.length;
  /** What is still to come of it; null if nothing is. */
  const rest = (): GenerateRequest | null => {
    const left = request.maxTokens - (tokensSignal.value.length - promptLength);
    return left > 0 ? { ...request, maxTokens: left } : null;
  };
  setComputing('text', true);
  runSignal.value = { stop: stopIt, reading: null };
  failureSignal.value = null;
  resultSignal.value = null;
  timingsSignal.value = { firstToken: null, tokensPerSecond: null };
  writtenBy.value = loaded.value.source;
  try {
    const outcome = await modelWorker().call('generate', request, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.reading !== null && event.reading.done === 0) promptLength = event.reading.total;
        come.push(event);
        drawing().add(come, () => takeAll(stopIt));
      },
    });
    await showAll(stopIt);
    resultSignal.value = outcome;
  } catch (error) {
    await showAll(stopIt);
    const again = () => {
      interrupted = rest();
      chooseBackend(backendChoice.value);
    };
    const retry = isDeviceLost(error) ? { retry: again } : {};
    failureSignal.value = { what: 'The text could not be gone on with', error, ...retry };
  } finally {
    if (isChanging) interrupted = rest();
    runSignal.value = null;
    done.resolve();
  }
}

/** Events that the page has not shown yet: they come faster than a page need be drawn. */
const come: GenerateEvent[] = [];

function takeAll(stop: () => void): void {
  const events = come.splice(0);
  if (events.length === 0) return;
  batch(() => {
    for (const event of events) take(event);
    runSignal.value = { stop, reading: events.at(-1)!.reading };
  });
}

/** The end is told when all of the text is there. */
async function showAll(stop: () => void): Promise<void> {
  takeAll(stop);
  const drawn = drawing().drained();
  setComputing('text', false);
  drawing().hurry();
  await drawn;
}

function take(event: GenerateEvent): void {
  const { start, tokens: added } = event;
  const all = tokensSignal.value;
  if (start < all.length) forgetFrom(start);
  if (added.length > 0 || start < all.length) tokensSignal.value = [...all.slice(0, start), ...added];
  takeObserved(event);
  timingsSignal.value = event.timings;
  if (event.timings.tokensPerSecond !== null) tokensPerSecond.value = event.timings.tokensPerSecond;
}

onHandover({
  async before() {
    if (runSignal.value === null) return;
    isChanging = true;
    stop();
    await ended;
    isChanging = false;
  },
  after(sameModel) {
    const rest = interrupted;
    interrupted = null;
    // What was seen inside is of the model before; its text stays to be read.
    if (!sameModel) forgetFrom(0);
    else if (rest !== null) void run({ ...rest, prompt: textIds(), seed: nextSeed() });
  },
});
