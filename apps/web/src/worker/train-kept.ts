/**
 * What is kept of a run, and in which order it is written. The text, the tokenizer and the settings are written once, the
 * metrics before each state: a state never knows of a step that the metrics do not, and metrics of later steps are left
 * out when a run goes on.
 */
import { type ByteSink, MarianaError, parseJson } from '@mariana/core';
import { checkSettings } from './train-plan.ts';
import type { KeptRun, Sample, StepMetrics, TrainSettings } from './train-protocol.ts';
import type { RunStore } from './train-store.ts';

const RUN = 'run.json';
const TEXT = 'text.txt';
const TOKENIZER = 'tokenizer.json';
const TOKENIZER_CONFIG = 'tokenizer_config.json';
const METRICS = 'metrics.json';
const STATE = 'state.safetensors';
const PROGRESS = 'progress.json';

/** The two files of a tokenizer, as texts. */
export interface TokenizerTexts {
  readonly tokenizerJson: string;
  readonly tokenizerConfig: string;
}

/** What a run can go on from. */
export interface KeptParts {
  readonly settings: TrainSettings;
  readonly text: string;
  readonly textName: string;
  readonly tokenizer: TokenizerTexts;
  readonly metrics: readonly StepMetrics[];
  readonly samples: readonly Sample[];
  /** Null if the run was closed before its first save. */
  readonly state: Blob | null;
}

/** The run that is there, or null. @throws MarianaError `CHECKPOINT_CORRUPT`, `USAGE` for a file that is none of ours */
export async function findRun(store: RunStore): Promise<KeptRun | null> {
  const run = await readObject(store, RUN);
  if (run === null) return null;
  const { settings, textName } = run as unknown as { settings: TrainSettings; textName: string };
  const progress = await readObject(store, PROGRESS);
  const step = typeof progress?.step === 'number' ? progress.step : 0;
  const savedAt = typeof progress?.at === 'number' ? progress.at : null;
  return { settings: checkSettings(settings), textName: String(textName), step, savedAt };
}

/** Keeps the beginning of a run. Whatever was kept before is gone. */
export async function keepBeginning(
  store: RunStore,
  run: { settings: TrainSettings; text: string; textName: string; tokenizer: TokenizerTexts },
): Promise<void> {
  await store.clear();
  await store.write(TEXT, text(run.text));
  await store.write(TOKENIZER, text(run.tokenizer.tokenizerJson));
  await store.write(TOKENIZER_CONFIG, text(run.tokenizer.tokenizerConfig));
  // Last: with it there is a run.
  await store.write(RUN, json({ settings: run.settings, textName: run.textName }));
}

/** Keeps where a run stands. */
export async function keepState(
  store: RunStore,
  standing: {
    readonly step: number;
    readonly at: number;
    readonly metrics: readonly StepMetrics[];
    readonly samples: readonly Sample[];
  },
  writeState: (sink: ByteSink) => Promise<unknown>,
): Promise<void> {
  const { step, at, metrics, samples } = standing;
  await store.write(METRICS, json({ metrics, samples }));
  await store.write(STATE, writeState);
  await store.write(PROGRESS, json({ step, at }));
}

/** @throws MarianaError `FILE_NOT_FOUND` if there is no run; `CHECKPOINT_CORRUPT` if a part of it is missing or damaged */
export async function readKept(store: RunStore): Promise<KeptParts> {
  const run = await findRun(store);
  if (run === null) {
    throw new MarianaError('FILE_NOT_FOUND', 'there is no run in this browser to go on with; start one');
  }
  const metrics = await readObject(store, METRICS);
  return {
    settings: run.settings,
    textName: run.textName,
    text: await readText(store, TEXT),
    tokenizer: {
      tokenizerJson: await readText(store, TOKENIZER),
      tokenizerConfig: await readText(store, TOKENIZER_CONFIG),
    },
    metrics: (metrics?.metrics ?? []) as readonly StepMetrics[],
    samples: (metrics?.samples ?? []) as readonly Sample[],
    state: await store.read(STATE),
  };
}

async function readText(store: RunStore, name: string): Promise<string> {
  const file = await store.read(name);
  if (file !== null) return file.text();
  throw new MarianaError('CHECKPOINT_CORRUPT', `${name} of the kept run is missing; discard the run and start it anew`);
}

async function readObject(store: RunStore, name: string): Promise<Record<string, unknown> | null> {
  const file = await store.read(name);
  if (file === null) return null;
  const value = parseJson(await file.text(), name);
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw new MarianaError('CHECKPOINT_CORRUPT', `${name} of the kept run is damaged; discard the run and start it anew`);
}

function text(content: string): (sink: ByteSink) => Promise<void> {
  return (sink) => sink.write(new TextEncoder().encode(content));
}

function json(value: unknown): (sink: ByteSink) => Promise<void> {
  return text(JSON.stringify(value));
}
