/** The generation loop: sample, show, append, until something says stop. */
import { MarianaError } from '@mariana/core';
import type { StreamDecoder } from '@mariana/tokenizer';
import type { Model } from './model.ts';
import { checkSampling, type SamplingOptions } from './sampling/options.ts';
import { seededRandom } from './sampling/random.ts';
import type { TokenLogprob } from './sampling/sample.ts';
import { StopMatcher } from './sampling/stop-matcher.ts';
import { TokenChoice } from './sampling/token-choice.ts';
import type { AppendOptions, Session } from './session.ts';

export interface GenerateOptions extends SamplingOptions, AppendOptions {
  /** Most tokens to generate. Default: as many as the context holds. */
  readonly maxTokens?: number;
  /** Texts that end the generation; neither they nor what follows is shown. Needs a tokenizer. */
  readonly stop?: readonly string[];
  /** Tokens that end the generation, besides the model's own end-of-text tokens. */
  readonly stopTokens?: readonly number[];
  /** Go on past the model's own end-of-text tokens. Default false. */
  readonly ignoreEos?: boolean;
  /** How many alternatives to give with each token. Default 0. */
  readonly topLogprobs?: number;
}

/** `stop`: a stop text or token; `eos`: the model ended its text; `length`: maxTokens; `context`: no room is left. */
export type FinishReason = 'stop' | 'eos' | 'length' | 'context';

/** One generated token. */
export interface GeneratedChunk {
  readonly id: number;
  /** Text that became certain with this token; may be empty, within a character or before a possible stop text. */
  readonly text: string;
  /** Natural logarithm of the token's probability under the model, before temperature and the like. */
  readonly logprob: number;
  /** The most probable tokens in its place, best first; empty unless `topLogprobs` is set. */
  readonly topLogprobs: readonly TokenLogprob[];
  /**
   * The token that the multi-token-prediction module had drafted for this place, or null where it drafted none; it was
   * right if it is `id`. Always null without `speculate`.
   */
  readonly draft: number | null;
  /** Why the text ends here, or null if it goes on. */
  readonly finishReason: FinishReason | null;
}

export type Generation = AsyncGenerator<GeneratedChunk, void, undefined>;

export async function* generate(
  session: Session,
  prompt: string | readonly number[],
  options: GenerateOptions,
): Generation {
  const { model } = session;
  const { maxTokens = Number.POSITIVE_INFINITY, topLogprobs = 0, signal } = options;
  checkCount('maxTokens', maxTokens === Number.POSITIVE_INFINITY ? 0 : maxTokens);
  checkCount('topLogprobs', topLogprobs);
  checkStopTokens(options.stopTokens ?? [], model.config.vocabSize);
  const sampling = checkSampling(options, model.config.vocabSize);
  const random = seededRandom(options.seed ?? Math.floor(Math.random() * 2 ** 32));
  const choice = new TokenChoice(session, sampling, topLogprobs, random);
  const text = new TextOutput(model, options);
  const ends = new Set([...(options.stopTokens ?? []), ...(options.ignoreEos ? [] : model.eosTokenIds)]);

  await session.append(promptIds(session, prompt), options);
  for (let count = 1; count <= maxTokens; count++) {
    signal?.throwIfAborted();
    const { id, logprob, alternatives } = await choice.next(signal === undefined ? {} : { signal });
    const { draft } = session;
    const isEnd = ends.has(id);
    const shown = isEnd ? { text: '', stopped: false } : text.push(id);
    let finishReason: FinishReason | null = null;
    if (isEnd) finishReason = options.stopTokens?.includes(id) ? 'stop' : 'eos';
    else if (shown.stopped) finishReason = 'stop';
    else if (count === maxTokens) finishReason = 'length';
    else if (session.remaining <= 1) finishReason = 'context';
    if (session.remaining > 0) session.push(id);
    const rest = finishReason === null || shown.stopped ? { text: '', stopped: false } : text.flush();
    // A character that was cut short is text too, and may complete a stop.
    if (rest.stopped && !isEnd) finishReason = 'stop';
    yield {
      id,
      text: shown.text + rest.text,
      logprob,
      topLogprobs: alternatives,
      draft,
      finishReason,
    };
    if (finishReason !== null) return;
  }
}

function checkCount(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 0) return;
  throw new MarianaError('INVALID_ARGUMENT', `${name} is ${value}; it must be a whole number from 0 up`);
}

/** A token that cannot come would never end anything. */
function checkStopTokens(ids: readonly number[], vocabSize: number): void {
  for (const id of ids) {
    if (Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
    throw new MarianaError(
      'TOKEN_OUT_OF_RANGE',
      `stop token ${id} is none of the vocabulary, which has ids 0 to ${vocabSize - 1}`,
      { details: { id, vocabSize } },
    );
  }
}

function promptIds(session: Session, prompt: string | readonly number[]): readonly number[] {
  if (typeof prompt !== 'string') return prompt;
  return session.model.requireTokenizer().encode(prompt, { addSpecialTokens: session.tokens.length === 0 });
}

/** Tokens to text, with stop texts cut out. Without a tokenizer there is no text. */
class TextOutput {
  readonly #decoder: StreamDecoder | undefined;
  readonly #model: Model;
  readonly #stops: StopMatcher;

  constructor(model: Model, { stop = [] }: GenerateOptions) {
    if (stop.length > 0) model.requireTokenizer();
    if (stop.includes('')) throw new MarianaError('INVALID_ARGUMENT', 'a stop text is empty; leave it out');
    this.#model = model;
    this.#decoder = model.tokenizer?.streamDecoder({ skipSpecialTokens: true });
    this.#stops = new StopMatcher(stop);
  }

  push(id: number): { text: string; stopped: boolean } {
    // Rows that pad the vocabulary have no token, and so no text.
    if (this.#decoder === undefined || this.#model.tokenizer?.idToToken(id) === undefined) {
      return { text: '', stopped: false };
    }
    return this.#stops.push(this.#decoder.push(id));
  }

  flush(): { text: string; stopped: boolean } {
    const { text, stopped } = this.#stops.push(this.#decoder?.flush() ?? '');
    return { text: stopped ? text : text + this.#stops.flush(), stopped };
  }
}
