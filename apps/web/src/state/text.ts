/** The text: its tokens as they come, which of them is looked at, and how fast they come. */
import { type ReadonlySignal, signal } from '@preact/signals';
import type { GenerateEvent, GenerateRequest, GenerateResult, TextToken, Timings } from '../worker/model-api.ts';
import { type Failure, loaded, type ModelSource, onHandover, tokensPerSecond } from './engine.ts';
import { forgetFrom, takeObserved } from './observed.ts';
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
/** Position of the token that is looked at; null for the last one, whichever that is. */
export const selected = signal<number | null>(null);

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

/** Begins a text with the prompt. */
export function generate(): void {
  const { prompt, maxTokens, temperature, topP, seed } = settings.value;
  seedSignal.value = seed ?? Math.floor(Math.random() * 2 ** 32);
  selected.value = null;
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
/** Tokens that were still to come when a change of backend interrupted a text. */
let interrupted: GenerateRequest | null = null;
let isChanging = false;

async function run(request: GenerateRequest): Promise<void> {
  if (runSignal.value !== null || loaded.value === null) return;
  const controller = new AbortController();
  const done = Promise.withResolvers<void>();
  ended = done.promise;
  const stopIt = () => controller.abort();
  let promptLength = tokensSignal.value.length;
  runSignal.value = { stop: stopIt, reading: null };
  failureSignal.value = null;
  resultSignal.value = null;
  timingsSignal.value = { firstToken: null, tokensPerSecond: null };
  writtenBy.value = loaded.value.source;
  try {
    resultSignal.value = await modelWorker().call('generate', request, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.reading !== null && event.reading.done === 0) promptLength = event.reading.total;
        runSignal.value = { stop: stopIt, reading: event.reading };
        take(event);
      },
    });
  } catch (error) {
    failureSignal.value = { what: 'The text could not be generated', error };
  } finally {
    const left = request.maxTokens - (tokensSignal.value.length - promptLength);
    if (isChanging && left > 0) interrupted = { ...request, maxTokens: left };
    runSignal.value = null;
    done.resolve();
  }
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
