/** What the page and the worker that runs the model say to each other, over the protocol of `protocol.ts`. */
import type { ModelConfig } from '@mariana/core';
import type { FinishReason } from '@mariana/runtime';
import type { SentError } from './protocol.ts';

/** Where the worker reads a model from. */
export type WorkerSource =
  /** An absolute address; what is fetched is kept on this device, if it has room. */
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'files'; readonly name: string; readonly files: Readonly<Record<string, Blob>> };

export type BackendName = 'cpu' | 'webgpu';
export type BackendChoice = 'auto' | BackendName;

/** One backend, as this browser has it. */
export interface BackendOffer {
  readonly name: BackendName;
  /** Whether it can be had. */
  readonly available: boolean;
  /** What it is, or why it cannot be had and what to do. */
  readonly note: string;
}

/** What computes, once it does. */
export interface BackendFacts {
  readonly name: BackendName;
  /** Such as `2 threads`. */
  readonly note: string;
}

export interface LoadRequest {
  readonly source: WorkerSource;
  readonly backend: BackendChoice;
}

export type LoadEvent =
  | { readonly kind: 'step'; readonly what: string }
  | {
      readonly kind: 'download';
      readonly file: string;
      readonly loaded: number;
      readonly total: number;
      /** Of `loaded`, what was on this device before. */
      readonly kept: number;
      readonly bytesPerSecond: number | null;
    }
  | { readonly kind: 'weights'; readonly loaded: number; readonly total: number }
  /** Something failed that the model can do without. */
  | { readonly kind: 'notice'; readonly what: string; readonly error: SentError };

export interface LoadedModel {
  readonly name: string;
  readonly backend: BackendFacts;
  readonly config: ModelConfig;
  readonly hasTokenizer: boolean;
  /** Whether tokens are drafted by a multi-token-prediction module. */
  readonly drafts: boolean;
  /** MoE layers by their number, first to last. */
  readonly moeLayers: readonly number[];
  /** Where the weights were read from. */
  readonly from: 'network' | 'this device' | 'files';
  readonly weightBytes: number;
}

export interface GenerateRequest {
  /** A text to begin with, or the ids of tokens that the page has already, to go on from. */
  readonly prompt: string | readonly number[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
}

/** A token and what it stands for. */
export interface TokenPiece {
  readonly id: number;
  readonly text: string;
}

export interface Alternative extends TokenPiece {
  /** Natural logarithm of its probability. */
  readonly logprob: number;
}

/** One token of the text. */
export interface TextToken extends TokenPiece {
  readonly position: number;
  /** What it is called by itself; its text may be empty within a character, or hold the end of one. */
  readonly name: string;
  /** Null for a token of the prompt. */
  readonly logprob: number | null;
  readonly alternatives: readonly Alternative[];
  /** What was drafted in its place. */
  readonly draft: TokenPiece | null;
}

/** Where one token was sent: for each MoE layer, one after the other, `k` experts and their weights. */
export interface TokenRouting {
  readonly position: number;
  readonly experts: Uint16Array;
  readonly weights: Float32Array;
  /** For each MoE layer the entropy of the router's scores, in bits. */
  readonly entropy: Float32Array;
}

/** What the heads of one layer take of each token up to `position`: `heads` rows of `position + 1` weights. */
export interface TokenAttention {
  readonly layer: number;
  readonly position: number;
  readonly weights: Float32Array;
}

export interface Timings {
  /** Seconds from the request to the first token. */
  readonly firstToken: number | null;
  /** Tokens a second after the first. */
  readonly tokensPerSecond: number | null;
}

/** What was seen of the network since the last event. */
export interface Observed {
  readonly routing: readonly TokenRouting[];
  readonly attention: readonly TokenAttention[];
}

export interface GenerateEvent extends Observed {
  /** Where `tokens` belong: what was there and after it is gone. */
  readonly start: number;
  readonly tokens: readonly TextToken[];
  /** Tokens of the prompt that are read, of all; null once they are. */
  readonly reading: { readonly done: number; readonly total: number } | null;
  readonly timings: Timings;
}

export interface GenerateResult {
  /** Null if it was stopped. */
  readonly finish: FinishReason | null;
  readonly timings: Timings;
}

/** What is kept on this device. */
export interface StoredModel {
  readonly url: string;
  readonly bytes: number;
  readonly complete: boolean;
}

export interface ModelApi {
  /** The backends that this browser has. */
  backends(argument: null): Promise<readonly BackendOffer[]>;
  /** Loads a model in place of the one before, which stays in use if this fails. */
  load(request: LoadRequest, emit: (event: LoadEvent) => void, signal: AbortSignal): Promise<LoadedModel>;
  generate(
    request: GenerateRequest,
    emit: (event: GenerateEvent) => void,
    signal: AbortSignal,
  ): Promise<GenerateResult>;
  /**
   * Watches the network from now on, with the attention of one layer, and looks again at the text so far. Costs time, so
   * it is asked for once somebody looks.
   */
  observe(argument: { readonly layer: number }): Promise<Observed>;
  stored(argument: null): Promise<readonly StoredModel[]>;
  /** Removes a model from this device; the one in use stays in memory. */
  remove(url: string): Promise<void>;
}
