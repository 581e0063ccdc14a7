/**
 * What the Train place and its worker say to each other. Requests are answered by events, never by return values: the
 * worker goes on whether or not anybody looks.
 */
import type { ErrorCode } from '@mariana/core';

/** How experts are balanced. */
export const BALANCES = ['bias', 'loss', 'none'] as const;
export type Balance = (typeof BALANCES)[number];

export const SIZES = ['small', 'medium', 'large'] as const;
export type Size = (typeof SIZES)[number];

/** What a run is told. */
export interface TrainSettings {
  readonly size: Size;
  readonly steps: number;
  /** Peak of the learning rate. */
  readonly learningRate: number;
  readonly balance: Balance;
  readonly seed: number;
  /** What samples begin with. */
  readonly prompt: string;
}

/** What is known of a step. */
export interface StepMetrics {
  readonly step: number;
  /** Cross-entropy of the main model, in nats a token. */
  readonly loss: number;
  /** Cross-entropy on the held-out end of the text, at the steps at which it was measured. */
  readonly heldOut?: number;
  readonly tokensPerSecond: number;
  /** Seconds that the run took so far, all its parts together. */
  readonly seconds: number;
  /** MaxViolation of the worst layer: the fullest expert over the mean, less one. */
  readonly maxViolation: number;
  /** Choices of each expert in this step, by MoE layer. */
  readonly load: readonly (readonly number[])[];
}

/** A text that the model wrote while it learned. */
export interface Sample {
  readonly step: number;
  readonly prompt: string;
  readonly text: string;
  /** Whether the text is complete. */
  readonly done: boolean;
}

/** What does not change in a run. */
export interface RunFacts {
  readonly settings: TrainSettings;
  /** Name of the text. */
  readonly textName: string;
  readonly parameters: number;
  readonly vocabSize: number;
  /** Tokens to train on, and tokens held out. */
  readonly tokens: number;
  readonly heldOutTokens: number;
  /** Tokens of one step. */
  readonly tokensPerStep: number;
  /** Layers with experts, by number. */
  readonly moeLayers: readonly number[];
  readonly experts: number;
  readonly expertsPerToken: number;
}

/** A run that was kept from an earlier visit. */
export interface KeptRun {
  readonly settings: TrainSettings;
  readonly textName: string;
  /** Steps done when it was last saved. */
  readonly step: number;
  /** When that was, in milliseconds since 1970; null if it was never saved after its start. */
  readonly savedAt: number | null;
}

/** A failure as it crosses from the worker. */
export interface TrainFailure {
  readonly code: ErrorCode | null;
  readonly message: string;
}

export type TrainRequest =
  /** Look for a run of an earlier visit. */
  | { readonly type: 'find' }
  | { readonly type: 'start'; readonly settings: TrainSettings; readonly text: string; readonly textName: string }
  /** Go on with the run of an earlier visit; it begins paused if `paused`. */
  | { readonly type: 'resume' }
  | { readonly type: 'pause' }
  | { readonly type: 'continue' }
  /** Save now: the tab is about to be hidden or closed. */
  | { readonly type: 'save' }
  /** Write a sample now. */
  | { readonly type: 'sample'; readonly prompt: string }
  /** Hand over the model as a checkpoint. */
  | { readonly type: 'export' }
  /** End the run and throw away what was kept of it. */
  | { readonly type: 'discard' };

/** What a run is doing. `pausing`: it ends the step it is in, and saves. */
export type RunState = 'preparing' | 'running' | 'pausing' | 'paused' | 'finished';

export type TrainEvent =
  | { readonly type: 'found'; readonly run: KeptRun | null; readonly keeps: boolean }
  | { readonly type: 'preparing'; readonly what: string; readonly share: number | null }
  | {
      readonly type: 'ready';
      readonly facts: RunFacts;
      readonly metrics: readonly StepMetrics[];
      readonly samples: readonly Sample[];
    }
  | { readonly type: 'state'; readonly state: RunState }
  | { readonly type: 'steps'; readonly metrics: readonly StepMetrics[] }
  | { readonly type: 'sample'; readonly sample: Sample }
  | { readonly type: 'saved'; readonly step: number; readonly at: number }
  /** Saving failed; the run goes on, and what was saved before is still there. */
  | { readonly type: 'not-saved'; readonly failure: TrainFailure; readonly lastSavedStep: number | null }
  | { readonly type: 'exported'; readonly step: number; readonly files: Readonly<Record<string, Blob>> }
  | { readonly type: 'discarded' }
  | { readonly type: 'failed'; readonly failure: TrainFailure; readonly lastSavedStep: number | null };
