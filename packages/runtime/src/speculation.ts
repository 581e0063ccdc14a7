/**
 * Drafts by multi-token prediction. The MTP module predicts, from the main model's state at one token and the embedding
 * of the next, the token after that; the main model then runs both the next token and the draft in one pass, which
 * costs little more than one token since both read the same weights. If sampling arrives at the draft, the logits after
 * it are already there.
 *
 * What comes out is exactly what comes out without drafts, at any temperature: each token is drawn from the main
 * model's own distribution, and the draft decides nothing but whether work was done ahead.
 *
 * Source: DeepSeek-V3 report, section 5.4.3; Leviathan et al., "Fast inference from transformers via speculative
 * decoding" (arXiv 2211.17192), of which a single deterministic draft is the simplest case.
 */
import type { Tensor } from '@mariana/core';
import type { LatentCache, MultiTokenPrediction } from '@mariana/layers';

/** How drafting went. */
export interface SpeculationStats {
  readonly drafted: number;
  /** Drafts that sampling arrived at. */
  readonly accepted: number;
}

/** The MTP side of one session: its rows in the cache, and the states that it has not run yet. */
export class Speculation implements Disposable {
  readonly #module: MultiTokenPrediction;
  readonly #cache: LatentCache;
  readonly #layer: number;
  /** Rows of the MTP layer in the cache: row i was made of state i and token i + 1. */
  #rows = 0;
  /** Main model states of the positions from `#rows` on, [positions, hidden_size]. */
  #states: Tensor | null = null;

  /** @param layer - The MTP layer's place in the cache's pool. */
  constructor(module: MultiTokenPrediction, cache: LatentCache, layer: number) {
    this.#module = module;
    this.#cache = cache;
    this.#layer = layer;
  }

  /** Positions whose state is known, or was. The main model must go on from here. */
  get known(): number {
    return this.#rows + (this.#states?.shape[0] ?? 0);
  }

  /** Takes the main model's states of the next tokens, [tokens, hidden_size]. */
  observe(states: Tensor): void {
    const { backend } = this.#module;
    const before = this.#states;
    this.#states = backend.keep(
      before === null ? backend.reshape(states, states.shape) : backend.concat([before, states], 0),
    );
    before?.dispose();
  }

  /**
   * Runs the module on all states whose next token is known.
   *
   * @param tokens - The tokens of the session.
   * @returns The draft of the token after the last one, if its state was among them.
   */
  async catchUp(tokens: readonly number[]): Promise<number | null> {
    const states = this.#states;
    const count = Math.min(states?.shape[0] ?? 0, tokens.length - 1 - this.#rows);
    if (states === null || count <= 0) return null;
    const { backend } = this.#module;
    const next = tokens.slice(this.#rows + 1, this.#rows + 1 + count);
    using nextIds = backend.upload(Int32Array.from(next), [count]);
    const isAll = count === states.shape[0];
    using hidden = isAll ? backend.reshape(states, states.shape) : backend.slice(states, 0, 0, count);
    const cache = this.#cache.layer(this.#layer, this.#rows);
    const output = await this.#module.forward({ nextIds, hidden }, { cache, logits: 'last', outputs: 'last' });
    using _hidden = output.hidden;
    using logits = output.logits;
    this.#dropStates(count);
    this.#rows += count;
    if (this.#rows !== tokens.length - 1) return null;
    const best = backend.topK(logits, 1);
    using _values = best.values;
    using ids = best.indices;
    return (await ids.integers())[0]!;
  }

  /** Forgets everything from position `length` on. */
  truncate(length: number): void {
    const { backend } = this.#module;
    const states = this.#states;
    // Row i stands for tokens i and i + 1: it goes with either.
    const rows = Math.min(this.#rows, Math.max(0, length - 1));
    const kept = rows < this.#rows ? 0 : Math.min(states?.shape[0] ?? 0, length - rows);
    if (states !== null && kept !== states.shape[0]) {
      this.#states = kept === 0 ? null : backend.keep(backend.slice(states, 0, 0, kept));
      states.dispose();
    }
    this.#rows = rows;
  }

  /** The same past, over a fork of the cache. */
  fork(cache: LatentCache): Speculation {
    const copy = new Speculation(this.#module, cache, this.#layer);
    copy.#rows = this.#rows;
    const { backend } = this.#module;
    copy.#states = this.#states && backend.keep(backend.reshape(this.#states, this.#states.shape));
    return copy;
  }

  dispose(): void {
    this.#states?.dispose();
    this.#states = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #dropStates(count: number): void {
    const { backend } = this.#module;
    const states = this.#states!;
    const left = states.shape[0]! - count;
    this.#states = left === 0 ? null : backend.keep(backend.slice(states, 0, count, count + left));
    states.dispose();
  }
}
