/** The run as the page sees it, and what a visitor can do with it. The run itself is in a worker. */
import { signal } from '@preact/signals';
import { goTo } from '../../frame/address.ts';
import { openModel } from '../../state/engine.ts';
import { isCancelled } from '../../ui/explain.ts';
import { setComputing } from '../../ui/paced.ts';
import { type Connection, connect } from '../../worker/connect.ts';
import { receiveError } from '../../worker/protocol.ts';
import type {
  KeptRun,
  RunEvent,
  RunFacts,
  RunOrder,
  RunState,
  Sample,
  StepMetrics,
  TrainApi,
  TrainSettings,
} from '../../worker/train-protocol.ts';

/** What went wrong, and whether the run goes on all the same. */
export interface Trouble {
  readonly what: string;
  readonly error: unknown;
  /** What is safe, said of this run. */
  readonly safe: string;
}

/** `looking`: for a run of an earlier visit; `none`: there is none. */
export const runState = signal<RunState | 'looking' | 'none' | 'failed'>('looking');
runState.subscribe((state) => setComputing('train', ['preparing', 'running', 'pausing'].includes(state)));

/** Whether this browser keeps runs between visits. */
export const keeps = signal(true);
export const facts = signal<RunFacts | null>(null);
export const metrics = signal<readonly StepMetrics[]>([]);
export const samples = signal<readonly Sample[]>([]);
/** The text that is being written. */
export const writing = signal<Sample | null>(null);
export const preparing = signal<{ readonly what: string; readonly share: number | null } | null>(null);
export const saved = signal<{ readonly step: number; readonly at: number } | null>(null);
export const trouble = signal<Trouble | null>(null);
/** Something that happened while nobody looked. */
export const remark = signal<string | null>(null);
/** A checkpoint that was handed over. */
export const checkpoint = signal<{ readonly step: number; readonly files: Readonly<Record<string, Blob>> } | null>(
  null,
);
/** What is being done on demand, for buttons to wait. */
export const pending = signal<'sample' | 'export' | 'discard' | null>(null);

/** A text of the visitor's own, or null for the sample. It stays while a run is shown. */
export const ownText = signal<{ readonly name: string; readonly text: string } | null>(null);

let connection: Connection<TrainApi> | null = null;

function worker(): Connection<TrainApi> {
  connection ??= connect<TrainApi>(
    new Worker(new URL('../../worker/train.ts', import.meta.url), { type: 'module', name: 'train' }),
  );
  return connection;
}

/** Looks for a run of an earlier visit, and shows it, paused. */
export async function findRun(): Promise<void> {
  try {
    const found = await worker().call('find', null);
    keeps.value = found.keeps;
    if (found.run === null) runState.value = 'none';
    else void follow({ from: 'kept' }, found.run);
  } catch (error) {
    runState.value = 'none';
    trouble.value = {
      what: 'What this browser may have kept of a run cannot be read',
      error,
      safe: 'Nothing was changed. Starting a new run replaces it.',
    };
  }
}

export function startRun(settings: TrainSettings, text: string, textName: string): void {
  void follow({ from: 'text', settings, text, textName });
}

/** Starts a run, or takes up a kept one, and follows it to its end. */
async function follow(order: RunOrder, kept: KeptRun | null = null): Promise<void> {
  trouble.value = null;
  remark.value = null;
  checkpoint.value = null;
  saved.value = kept?.savedAt ? { step: kept.step, at: kept.savedAt } : null;
  runState.value = 'preparing';
  facts.value = null;
  try {
    await worker().call('run', order, { onEvent: (event) => take(event, kept) });
  } catch (error) {
    preparing.value = null;
    writing.value = null;
    if (isCancelled(error)) return;
    const hasBegun = facts.peek() !== null;
    if (order.from === 'text' && !hasBegun) {
      runState.value = 'none';
      trouble.value = {
        what: 'The run could not be started',
        error,
        safe: 'Text and settings are below, as they were.',
      };
      return;
    }
    runState.value = 'failed';
    const what = hasBegun ? 'The run stopped' : 'The run that is kept here could not be taken up';
    trouble.value = { what, error, safe: safety() };
  }
}

function take(event: RunEvent, kept: KeptRun | null): void {
  switch (event.type) {
    case 'preparing':
      preparing.value = event;
      break;
    case 'ready':
      preparing.value = null;
      facts.value = event.facts;
      metrics.value = event.metrics;
      samples.value = event.samples;
      if (kept !== null) remark.value = `This run was left after step ${event.metrics.length}, and is as it was then.`;
      break;
    case 'state':
      runState.value = event.state;
      break;
    case 'steps':
      metrics.value = [...metrics.peek(), ...event.metrics];
      break;
    case 'sample':
      writing.value = event.sample.done ? null : event.sample;
      if (event.sample.done) samples.value = [...samples.peek(), event.sample];
      break;
    case 'saved':
      saved.value = event;
      if (trouble.peek()?.what === NOT_SAVED) trouble.value = null;
      break;
    case 'not-saved':
      trouble.value = { what: NOT_SAVED, error: receiveError(event.error), safe: `The run goes on. ${safety()}` };
      break;
  }
}

const NOT_SAVED = 'The run could not be saved';

/** What is kept, in words. */
function safety(): string {
  const step = saved.peek()?.step;
  if (!keeps.peek()) return 'This browser keeps nothing of this page: save the checkpoint before you close the tab.';
  return step === undefined ? 'Nothing of it was saved yet.' : `Everything up to step ${step} is kept in this browser.`;
}

export function pause(): void {
  void attempt('The run could not be paused', () => worker().call('pause', null));
}

export function proceed(): void {
  remark.value = null;
  void attempt('The run could not go on', () => worker().call('proceed', null));
}

/** Takes up the run from its last save, after it stopped. */
export function takeUp(): void {
  // A worker that stopped answers nothing any more: begin with a new one.
  connection?.close();
  connection = null;
  runState.value = 'looking';
  void findRun();
}

export async function writeSample(prompt: string): Promise<void> {
  await during('sample', 'No sample could be written', async () => {
    const sample = await worker().call('sample', prompt);
    // A run that goes on tells of it itself.
    if (!samples.peek().includes(sample) && runState.peek() === 'finished') samples.value = [...samples.peek(), sample];
  });
}

/** The model as it is now, as files. */
export async function exportCheckpoint(): Promise<typeof checkpoint.value> {
  await during('export', 'The checkpoint could not be made', async () => {
    checkpoint.value = await worker().call('export', null);
  });
  return checkpoint.peek();
}

export async function openInGenerate(): Promise<void> {
  checkpoint.value = null;
  const made = await exportCheckpoint();
  if (made === null) return;
  openModel({ kind: 'files', name: `trained here, step ${made.step}`, files: made.files });
  goTo('generate');
}

export async function discard(): Promise<void> {
  await during('discard', 'The run could not be discarded', async () => {
    await worker().call('discard', null);
    for (const one of [facts, saved, trouble, remark, checkpoint, writing, preparing]) one.value = null;
    metrics.value = [];
    samples.value = [];
    runState.value = 'none';
  });
}

async function during(what: NonNullable<typeof pending.value>, failed: string, action: () => Promise<void>) {
  pending.value = what;
  await attempt(failed, action);
  pending.value = null;
}

async function attempt(what: string, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!isCancelled(error)) trouble.value = { what, error, safe: safety() };
  }
}

/** Saves when the tab is hidden or left, and says afterwards what went on meanwhile. */
export function watchVisibility(): () => void {
  let hiddenAt: number | null = null;
  const change = () => {
    const step = metrics.peek().length;
    if (document.visibilityState === 'hidden') {
      hiddenAt = runState.peek() === 'running' ? step : null;
      if (hiddenAt !== null) void attempt('The run could not be saved', () => worker().call('save', null));
    } else if (hiddenAt !== null && step > hiddenAt) {
      remark.value = `While this tab was hidden the run went on, from step ${hiddenAt} to ${step}; nothing was lost.`;
      hiddenAt = null;
    }
  };
  // Where nothing is kept, closing the tab loses the run: the browser asks first.
  const leave = (event: BeforeUnloadEvent) => {
    if (!keeps.peek() && (runState.peek() === 'running' || runState.peek() === 'paused')) event.preventDefault();
  };
  document.addEventListener('visibilitychange', change);
  addEventListener('beforeunload', leave);
  return () => {
    document.removeEventListener('visibilitychange', change);
    removeEventListener('beforeunload', leave);
  };
}
