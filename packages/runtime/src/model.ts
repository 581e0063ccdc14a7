/**
 * A model ready to run: config, weights on a backend, tokenizer. It has no memory of what it was asked; that is what
 * sessions are for, of which it can have many.
 */
import {
  type Backend,
  expectedTensors,
  MarianaError,
  type ModelConfig,
  type TensorStore,
  validateCheckpoint,
} from '@mariana/core';
import { PagePool, Transformer } from '@mariana/layers';
import { Tokenizer } from '@mariana/tokenizer';
import { checkFit } from './fit.ts';
import type { ModelLocation } from './locate.ts';
import { type OpenedCheckpoint, openCheckpoint } from './open-checkpoint.ts';
import { type LoadProgress, ProgressReader } from './progress.ts';
import { Session, type SessionOptions } from './session.ts';

export interface ModelLoadOptions {
  /** Where the weights are held and computed with. */
  readonly backend: Backend;
  /** Load the multi-token-prediction modules too, where the checkpoint has them. Default false. */
  readonly mtp?: boolean;
  /** How cached latents are kept. Default `f32`. */
  readonly cacheDtype?: 'f32' | 'bf16';
  /** Seed of the weights of a preset. Default 0. */
  readonly seed?: number;
  /** Called while weights are read. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Stops the loading. */
  readonly signal?: AbortSignal;
}

export class Model implements Disposable {
  /** Where it came from, for messages. */
  readonly name: string;
  readonly config: ModelConfig;
  readonly backend: Backend;
  readonly transformer: Transformer;
  /** Null where the checkpoint has none; such a model speaks token ids only. */
  readonly tokenizer: Tokenizer | null;
  /** Whether the weights are random (a preset) and the text therefore noise. */
  readonly isRandom: boolean;
  readonly #cacheDtype: 'f32' | 'bf16';
  /** Stays open as long as the model: some matrices are read again when a layer first needs them in another layout. */
  readonly #weights: TensorStore;
  #pool: PagePool | undefined;

  private constructor(parts: {
    name: string;
    config: ModelConfig;
    weights: TensorStore;
    transformer: Transformer;
    tokenizer: Tokenizer | null;
    isRandom: boolean;
    cacheDtype: 'f32' | 'bf16';
  }) {
    this.name = parts.name;
    this.config = parts.config;
    this.backend = parts.transformer.backend;
    this.transformer = parts.transformer;
    this.tokenizer = parts.tokenizer;
    this.isRandom = parts.isRandom;
    this.#cacheDtype = parts.cacheDtype;
    this.#weights = parts.weights;
  }

  /**
   * Loads a checkpoint as Hugging Face lays it out (config.json, safetensors in one file or in shards with an index, and
   * tokenizer.json if it is there), or a `deepseek2` GGUF file. A preset's name gives that architecture with random
   * weights.
   *
   * @param location - Folder, GGUF file, URL, preset name, or files.
   * @throws MarianaError `CONFIG_INVALID`, `CONFIG_UNSUPPORTED`, `FILE_NOT_FOUND`, `CHECKPOINT_CORRUPT`,
   *   `TENSOR_MISSING`, `TENSOR_UNEXPECTED`, `TENSOR_MISMATCH`, `TENSOR_INVALID`, `OUT_OF_MEMORY` (before anything is
   *   read), and what the tokenizer and the source throw. Nothing is left on the backend then.
   */
  static async load(location: ModelLocation, options: ModelLoadOptions): Promise<Model> {
    const opened = await openCheckpoint(location, options);
    try {
      return await Model.#assemble(opened, options);
    } catch (error) {
      await opened.weights.close();
      throw error;
    }
  }

  static async #assemble(opened: OpenedCheckpoint, options: ModelLoadOptions): Promise<Model> {
    const { name, config, weights, isRandom } = opened;
    const { backend, mtp = false, onProgress, signal, cacheDtype = 'f32' } = options;
    const tokenizer = opened.tokenizer && Tokenizer.fromFiles(opened.tokenizer);
    const summary = validateCheckpoint(config, weights, { source: name });
    if (mtp && !summary.mtp) {
      throw new MarianaError('TENSOR_MISSING', `${name}: has no multi-token-prediction weights; load it without mtp`);
    }
    const wanted = [...expectedTensors(config)].filter((tensor) => mtp || !tensor.mtp);
    checkFit(name, wanted, weights, backend);
    const reader = new ProgressReader(weights, wanted, onProgress);
    const transformer = await Transformer.load(config, reader, { backend, mtp, ...(signal && { signal }) });
    reader.finish();
    return new Model({ name, config, weights, transformer, tokenizer, isRandom, cacheDtype });
  }

  /**
   * A new timeline: empty, with a latent cache of its own.
   *
   * @throws MarianaError `INVALID_ARGUMENT` for a context beyond `max_position_embeddings`.
   */
  session(options: SessionOptions = {}): Session {
    return new Session(this, options);
  }

  /** Pages that the sessions of this model share. */
  get cachePool(): PagePool {
    const { config, backend, transformer } = this;
    this.#pool ??= new PagePool({
      backend,
      layers: config.numHiddenLayers + transformer.mtp.length,
      width: config.kvLoraRank + config.qkRopeHeadDim,
      maxTokens: Number.POSITIVE_INFINITY,
      dtype: this.#cacheDtype,
    });
    return this.#pool;
  }

  /**
   * The tokenizer, for callers that need one.
   *
   * @throws MarianaError `TOKENIZER_MISSING`
   */
  requireTokenizer(): Tokenizer {
    if (this.tokenizer !== null) return this.tokenizer;
    throw new MarianaError(
      'TOKENIZER_MISSING',
      `${this.name}: there is no tokenizer; put its tokenizer.json beside the weights, or pass token ids`,
    );
  }

  /** Tokens that end a text: those of the tokenizer and the config. None for a preset, whose tokens mean nothing. */
  get eosTokenIds(): readonly number[] {
    if (this.isRandom) return [];
    return [...new Set([...(this.tokenizer?.eosTokenIds ?? []), ...this.config.eosTokenId])];
  }

  /** Frees weights and caches and closes the files. Sessions cannot be used afterwards. */
  dispose(): void {
    this.#pool?.dispose();
    this.transformer.dispose();
    this.#weights.close().catch(() => {}); // all reading is over: there is nothing left to fail
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
