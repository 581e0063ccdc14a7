/**
 * One timeline of tokens on a model, with the latent cache that remembers it. A session can be cut back, forked, and
 * brought to another list of tokens re-using what both have in common. Text is generated from where it stands.
 */
import { MarianaError, type Routing, type Tensor, type TokenCandidates } from '@mariana/core';
import { checkTokens, LatentCache, type TransformerForwardOptions } from '@mariana/layers';
import { type GenerateOptions, type Generation, generate } from './generate.ts';
import type { Model } from './model.ts';
import { NextLogits } from './next-logits.ts';
import { createPauses } from './pauses.ts';
import { Speculation, type SpeculationStats } from './speculation.ts';

/**
 * Watches the network at work on a timeline. What it is given is valid until it returns: read what is to be kept. A
 * drafted token is seen as the one after the last; if sampling does not arrive at it, that position is seen again.
 * Its members are looked up at each step, so watching can begin and end while the session is in use.
 */
export interface SessionObserver {
  /** Sees where each MoE layer sends the tokens from position `start` on. */
  readonly onRouting?: ((layer: number, routing: Routing, start: number) => void | Promise<void>) | undefined;
  /** Sees what each head takes of each token: F32 [1, heads, queries, keys]; the first query is position `start`. */
  readonly onAttention?: ((layer: number, weights: Tensor, start: number) => void | Promise<void>) | undefined;
  /** Layers that `onAttention` sees. Default: all. */
  readonly attentionLayers?: readonly number[] | undefined;
}

export interface SessionOptions {
  /** Most tokens that the session may hold. Default and limit: `max_position_embeddings`. */
  readonly contextLength?: number;
  /** Tokens that are run through the model at once while a prompt is read. Default 512. */
  readonly prefillChunk?: number;
  /**
   * Draft tokens with the multi-token-prediction module (the model must be loaded with `mtp: true`). The text is the
   * same as without, and comes faster where drafts are good. Default false.
   */
  readonly speculate?: boolean;
  /** Watches the network at work. Costs nothing unless given. Forks have none. */
  readonly observer?: SessionObserver;
}

export interface AppendOptions {
  /** Stops between two layers. The tokens stay in the session; those not yet read are read when it goes on. */
  readonly signal?: AbortSignal;
  /** Called after each chunk with the number of tokens read and of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

export class Session implements Disposable {
  readonly model: Model;
  readonly contextLength: number;
  readonly #prefillChunk: number;
  readonly #cache: LatentCache;
  #tokens: number[] = [];
  /** Logits after the last token, if it is the last that the cache was given. */
  #logits: NextLogits | undefined;
  #busy = false;
  readonly #speculation: Speculation | null;
  /** A drafted token that the cache holds beyond the timeline, and the logits after it. */
  #ahead: { readonly draft: number; readonly logits: Float32Array } | null = null;
  #drafted = 0;
  #accepted = 0;
  readonly #pause = createPauses();
  readonly #observer: SessionObserver | undefined;

  /** Use `model.session()`. */
  constructor(model: Model, options: SessionOptions, past?: { cache: LatentCache; of: Session }) {
    const limit = model.config.maxPositionEmbeddings;
    const { contextLength = limit, prefillChunk = 512, speculate = false } = options;
    if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > limit) {
      throw new MarianaError('INVALID_ARGUMENT', `contextLength is ${contextLength}; this model takes 1 to ${limit}`);
    }
    if (!Number.isInteger(prefillChunk) || prefillChunk < 1) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `prefillChunk is ${prefillChunk}; it must be a whole number from 1 up`,
      );
    }
    this.model = model;
    this.contextLength = contextLength;
    this.#observer = options.observer;
    this.#prefillChunk = prefillChunk;
    this.#cache = past?.cache ?? new LatentCache(model.cachePool);
    const drafts = past === undefined ? null : past.of.#speculation;
    this.#speculation = drafts?.fork(this.#cache) ?? (speculate ? this.#startSpeculation() : null);
    if (past !== undefined) {
      this.#tokens = past.of.#tokens.slice();
      this.#logits = past.of.#logits?.fork();
    }
  }

  /** The tokens of the timeline. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Tokens that still fit. */
  get remaining(): number {
    return this.contextLength - this.#tokens.length;
  }

  /** How many tokens were drafted, and how many of them were right. Zeros without `speculate`. */
  get speculation(): SpeculationStats {
    return { drafted: this.#drafted, accepted: this.#accepted };
  }

  /** The token that was drafted to come next, or null if none was. Known once `nextLogits` has given its logits. */
  get draft(): number | null {
    return this.#ahead?.draft ?? null;
  }

  /**
   * Reads tokens, in chunks.
   *
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`, or `CONTEXT_EXCEEDED` before anything is read.
   */
  async append(ids: readonly number[], options: AppendOptions = {}): Promise<void> {
    this.#checkIdle();
    checkTokens(ids, this.model.config.vocabSize);
    this.#checkRoom(ids.length);
    this.#add(ids);
    await this.#catchUp(options);
  }

  /**
   * Adds one token without running it: the model sees it when logits are asked for. A text that ends with it never needs
   * them.
   *
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`, `CONTEXT_EXCEEDED`
   */
  push(id: number): void {
    this.#checkIdle();
    checkTokens([id], this.model.config.vocabSize);
    this.#checkRoom(1);
    this.#add([id]);
  }

  /**
   * Brings the session to a list of tokens: keeps the longest common beginning, cuts off the rest and reads what is new.
   *
   * @returns The number of tokens that were kept.
   * @throws MarianaError `TOKEN_OUT_OF_RANGE` or `CONTEXT_EXCEEDED`; the session is then as it was.
   */
  async sync(ids: readonly number[], options: AppendOptions = {}): Promise<number> {
    checkTokens(ids, this.model.config.vocabSize);
    this.#checkRoom(ids.length, 0);
    let common = 0;
    while (common < ids.length && common < this.#tokens.length && ids[common] === this.#tokens[common]) common++;
    this.truncate(common);
    await this.append(ids.slice(common), options);
    return common;
  }

  /** Cuts the timeline back to its first `length` tokens. */
  truncate(length: number): void {
    this.#checkIdle();
    if (length === this.#tokens.length) return;
    if (!Number.isInteger(length) || length < 0 || length > this.#tokens.length) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `cannot cut a session of ${this.#tokens.length} tokens to ${length}; pass a whole number up to its length`,
      );
    }
    this.#dropAhead();
    this.#cutCache(Math.min(length, this.#cache.length));
    this.#tokens.length = length;
    this.#setLogits(undefined);
  }

  /** A second session with the same past; the cache is shared until either goes on. */
  fork(): Session {
    this.#checkIdle();
    this.#dropAhead();
    const options = { contextLength: this.contextLength, prefillChunk: this.#prefillChunk };
    return new Session(this.model, options, { cache: this.#cache.fork(), of: this });
  }

  /**
   * Logits of the token that comes next, [vocab_size]; not to be changed.
   *
   * @throws MarianaError `INVALID_ARGUMENT` on an empty session: the first token has nothing before it.
   */
  async nextLogits(options: Pick<AppendOptions, 'signal'> = {}): Promise<Float32Array> {
    const next = await this.#next(options);
    return next.isOnDevice ? this.#exclusive(() => next.row()) : next.row();
  }

  /**
   * The most probable tokens to come next, in a read of a few bytes, where the backend computes on a device and their
   * logits still are there alone; else null, and `nextLogits` has them all.
   *
   * @param count - 1 or more; null is also what comes where so many take as many bytes as the row.
   * @param options - `temperature`: above 0, for `scaledLogSumExp`. Default 1.
   * @throws MarianaError `INVALID_ARGUMENT` on an empty session.
   */
  async nextCandidates(
    count: number,
    { temperature = 1, ...options }: Pick<AppendOptions, 'signal'> & { readonly temperature?: number } = {},
  ): Promise<TokenCandidates | null> {
    const next = await this.#next(options);
    return next.isOnDevice ? this.#exclusive(() => next.candidates(count, temperature)) : null;
  }

  /**
   * Reads a prompt, if one is given, and goes on from there, token by token. Each chunk has the text that its token
   * completes; the last one says why the text ends.
   *
   * Leaving the loop early ends the generation; the session then holds all tokens that were yielded.
   *
   * @param prompt - Text (which takes the model's tokenizer) or token ids. A text at the beginning of a session gets the
   *   beginning-of-sequence token that the tokenizer wants.
   * @throws MarianaError `TOKENIZER_MISSING`, `TOKEN_OUT_OF_RANGE`, `CONTEXT_EXCEEDED`, `INVALID_ARGUMENT`; the signal's
   *   reason when it is aborted.
   */
  generate(prompt: string | readonly number[] = [], options: GenerateOptions = {}): Generation {
    return generate(this, prompt, options);
  }

  dispose(): void {
    this.#setLogits(undefined);
    this.#speculation?.dispose();
    this.#cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What is known of the token that comes next; runs what must be run for it. */
  async #next(options: Pick<AppendOptions, 'signal'>): Promise<NextLogits> {
    if (this.#logits !== undefined) return this.#logits;
    if (this.#tokens.length === 0) {
      throw new MarianaError('INVALID_ARGUMENT', 'the session is empty; give it a prompt of at least one token');
    }
    // After a cut the cache knows the past but not what followed it: the last token is run again.
    this.#cutCache(Math.min(this.#cache.length, this.#tokens.length - 1));
    await this.#catchUp(options);
    return this.#logits!;
  }

  /** Runs the tokens that the cache does not hold yet, in chunks. */
  async #catchUp({ signal, onProgress }: AppendOptions): Promise<void> {
    const { transformer } = this.model;
    const first = this.#cache.length;
    const total = this.#tokens.length - first;
    const betweenLayers = () => {
      signal?.throwIfAborted();
      return this.#pause();
    };
    await this.#exclusive(async () => {
      while (this.#cache.length < this.#tokens.length) {
        signal?.throwIfAborted();
        const start = this.#cache.length;
        const chunk = this.#tokens.slice(start, start + this.#prefillChunk);
        const isLast = start + chunk.length === this.#tokens.length;
        const draft = total === 1 && this.remaining > 0 ? await this.#speculation?.catchUp(this.#tokens) : null;
        const ahead = typeof draft === 'number' ? [draft] : [];
        using output = await transformer.forward([...chunk, ...ahead], {
          cache: this.#cache,
          logits: ahead.length > 0 ? 'all' : isLast ? 'last' : 'none',
          onHidden: betweenLayers,
          ...this.#watch(start),
        });
        if (output.logits !== null) await this.#takeLogits(output.logits, ahead[0]);
        this.#speculation?.observe(output.hidden);
        if (total > 1) await this.#speculation?.catchUp(this.#tokens);
        onProgress?.(this.#cache.length - first, total);
      }
    });
  }

  /** What the observer sees of a step whose first token is at `start`. */
  #watch(start: number): Pick<TransformerForwardOptions, 'onRouting' | 'onAttention' | 'attentionLayers'> {
    const { onRouting, onAttention, attentionLayers } = this.#observer ?? {};
    return {
      ...(onRouting && { onRouting: (layer: number, routing: Routing) => onRouting(layer, routing, start) }),
      ...(onAttention && { onAttention: (layer: number, weights: Tensor) => onAttention(layer, weights, start) }),
      ...(attentionLayers && { attentionLayers }),
    };
  }

  #startSpeculation(): Speculation {
    const [module] = this.model.transformer.mtp;
    if (module === undefined) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `${this.model.name}: drafts need the multi-token-prediction module; load the model with mtp: true`,
      );
    }
    return new Speculation(module, this.#cache, this.model.config.numHiddenLayers);
  }

  /** Keeps the logits after the last token, and those after the draft if one was run with it. */
  async #takeLogits(logits: Tensor, draft: number | undefined): Promise<void> {
    if (draft === undefined) return this.#setLogits(await NextLogits.of(logits));
    const { vocabSize } = this.model.config;
    const rows = await logits.floats();
    this.#setLogits(new NextLogits(rows.subarray(0, vocabSize)));
    this.#drafted++;
    this.#ahead = { draft, logits: rows.subarray(vocabSize) };
  }

  #setLogits(logits: NextLogits | undefined): void {
    this.#logits?.dispose();
    this.#logits = logits;
  }

  /** Takes the draft out of the cache again. */
  #dropAhead(): void {
    if (this.#ahead === null) return;
    this.#ahead = null;
    this.#cutCache(this.#tokens.length);
  }

  /** Cuts the cache back; further than asked where drafting would miss a state that the cache no longer gives. */
  #cutCache(length: number): void {
    this.#speculation?.truncate(length);
    this.#cache.truncate(Math.min(length, this.#speculation?.known ?? length));
  }

  #add(ids: readonly number[]): void {
    if (ids.length === 0) return;
    if (this.#ahead !== null && ids.length === 1 && ids[0] === this.#ahead.draft) {
      this.#accepted++;
      this.#tokens.push(ids[0]);
      this.#setLogits(new NextLogits(this.#ahead.logits));
      this.#ahead = null;
      return;
    }
    this.#dropAhead();
    for (const id of ids) this.#tokens.push(id); // a spread of a long prompt would overflow the stack
    this.#setLogits(undefined);
  }

  #checkRoom(tokens: number, used = this.#tokens.length): void {
    if (tokens <= this.contextLength - used) return;
    throw new MarianaError(
      'CONTEXT_EXCEEDED',
      `${tokens} tokens do not fit: the context is ${this.contextLength} tokens, ${used} are taken; ` +
        'shorten the prompt or cut the session back',
      { details: { tokens, contextLength: this.contextLength, used } },
    );
  }

  /** Two computations on one timeline would mix their tokens. */
  #checkIdle(): void {
    if (!this.#busy) return;
    throw new MarianaError('INVALID_ARGUMENT', 'the session is busy; await its other call first, or fork it before');
  }

  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#checkIdle();
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }
}
