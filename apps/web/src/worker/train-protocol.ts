/** What the Train place and its worker say to each other, over the protocol of `protocol.ts`. */
import type { SentError } from './protocol.ts';

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

/** What a run is doing. `pausing`: it ends the step it is in, and saves. */
export type RunState = 'preparing' | 'running' | 'pausing' | 'paused' | 'finished';

/** How a run begins: with a text, or from where an earlier visit left it (paused, for the visitor to go on). */
export type RunOrder =
  | { readonly from: 'text'; readonly settings: TrainSettings; readonly text: string; readonly textName: string }
  | { readonly from: 'kept' };

/** What a run tells while it goes on. */
export type RunEvent =
  | { readonly type: 'preparing'; readonly what: string; readonly share: number | null }
  | {
      readonly type: 'ready';
      readonly facts: RunFacts;
      readonly metrics: readonly StepMetrics[];
      readonly samples: readonly Sample[];
    }
  | { readonly type: 'state'; readonly state: RunState }
  | { readonly type: 'steps'; readonly metrics: readonly StepMetrics[] }
  /** Of the text that is being written, or of one that is complete. */
  | { readonly type: 'sample'; readonly sample: Sample }
  | { readonly type: 'saved'; readonly step: number; readonly at: number }
  /** Saving failed; the run goes on, and what was saved before is still there. */
  | { readonly type: 'not-saved'; readonly error: SentError; readonly lastSavedStep: number | null };

/** What the page can ask of the worker that trains. There is one run at a time. */
export interface TrainApi {
  /** Looks for a run of an earlier visit, and whether this browser keeps any. */
  find(argument: null): Promise<{ readonly run: KeptRun | null; readonly keeps: boolean }>;
  /** Trains to the last step. The signal ends the run between two steps; it is saved then. */
  run(order: RunOrder, emit: (event: RunEvent) => void, signal: AbortSignal): Promise<void>;
  pause(argument: null): void;
  /** Goes on after `pause`. */
  proceed(argument: null): void;
  /** Saves between two steps: the tab may be closed. */
  save(argument: null): Promise<void>;
  /** Writes a text between two steps; it is told as an event of the run too. */
  sample(prompt: string): Promise<Sample>;
  /** The model as a checkpoint in Hugging Face's layout. */
  export(argument: null): Promise<{ readonly step: number; readonly files: Readonly<Record<string, Blob>> }>;
  /** Ends the run, and throws away what was kept of it. */
  discard(argument: null): Promise<void>;
}
