/** One request for text: reads the prompt, generates, and tells what came at most some thirty times a second. */
import { MarianaError } from '@mariana/core';
import type { GeneratedChunk, Model } from '@mariana/runtime';
import type { GenerateEvent, GenerateRequest, GenerateResult, TextToken, Timings, TokenPiece } from './model-api.ts';
import type { Loaded } from './model-engine.ts';

/** Milliseconds between two events: pictures need no more, and each event costs the page some drawing. */
const EVENT_MS = 33;

/** How many alternatives are told for each token. */
const ALTERNATIVES = 5;

export interface GenerateHooks {
  readonly emit: (event: GenerateEvent) => void;
  readonly signal: AbortSignal;
  /** Awaited between two tokens. */
  readonly between: () => Promise<void>;
}

export async function generateText(
  { model, session, observation }: Loaded,
  request: GenerateRequest,
  { emit, signal, between }: GenerateHooks,
): Promise<GenerateResult> {
  const requested = performance.now();
  const { maxTokens, temperature, topP, seed } = request;
  let first: number | null = null;
  let last = requested;
  let count = 0;
  let told = performance.now();
  let start = 0;
  let tokens: TextToken[] = [];
  /** Tokens that are through the network: not the newest, unless it was drafted rightly. */
  let through = 0;

  const timings = (): Timings => ({
    firstToken: first === null ? null : (first - requested) / 1000,
    tokensPerSecond: first === null || count < 2 ? null : ((count - 1) * 1000) / (last - first),
  });
  const tell = async (reading: GenerateEvent['reading'] = null) => {
    const seen = await observation.take(through);
    emit({ ...seen, start, tokens, reading, timings: timings() });
    start += tokens.length;
    tokens = [];
    told = performance.now();
  };

  const { prompt } = request;
  const ids = typeof prompt === 'string' ? promptIds(model, prompt) : prompt;
  if (typeof prompt === 'string') tokens = promptTokens(model, ids);
  else start = ids.length;
  await tell({ done: 0, total: ids.length });
  through = ids.length;
  // What the session kept of the prompt would not be run, and so not be seen.
  if (observation.layer !== null && typeof prompt === 'string') session.truncate(0);
  try {
    // If it cannot be told, reading fails too, and says so.
    const onProgress = (done: number, total: number) => void tell({ done, total }).catch(() => {});
    await session.sync(ids, { signal, onProgress });
  } catch (error) {
    if (signal.aborted) return { finish: null, timings: timings() };
    throw error;
  }

  const piece = pieces(model);
  try {
    const options = { maxTokens, temperature, topP, seed, topLogprobs: ALTERNATIVES, signal };
    for await (const chunk of session.generate([], options)) {
      last = performance.now();
      first ??= last;
      count++;
      const position = start + tokens.length;
      tokens.push(textToken(chunk, position, piece));
      through = position + (chunk.draft === chunk.id ? 1 : 0);
      if (chunk.finishReason !== null) {
        await tell();
        return { finish: chunk.finishReason, timings: timings() };
      }
      if (last - told >= EVENT_MS) await tell();
      await between();
    }
    await tell();
    return { finish: 'length', timings: timings() };
  } catch (error) {
    await tell();
    if (signal.aborted) return { finish: null, timings: timings() };
    throw error;
  }
}

/** Ids of a prompt; a model without a tokenizer takes them as numbers. */
function promptIds(model: Model, prompt: string): readonly number[] {
  if (model.tokenizer !== null) return model.tokenizer.encode(prompt);
  const words = prompt.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length > 0 && words.every((word) => /^\d+$/.test(word))) return words.map(Number);
  throw new MarianaError(
    'TOKENIZER_MISSING',
    `${model.name}: there is no tokenizer.json beside the weights, so the prompt must be token ids, such as 3 14 15`,
  );
}

function promptTokens(model: Model, ids: readonly number[]): TextToken[] {
  const decoder = model.tokenizer?.streamDecoder();
  const piece = pieces(model);
  return ids.map((id, position) => {
    const known = model.tokenizer?.idToToken(id) !== undefined;
    const text = known ? decoder!.push(id) : `${id} `;
    return { id, text, name: piece(id).text, position, logprob: null, alternatives: [], draft: null };
  });
}

function textToken(chunk: GeneratedChunk, position: number, piece: (id: number) => TokenPiece): TextToken {
  const { id, logprob, topLogprobs, draft } = chunk;
  const own = piece(id);
  return {
    id,
    // Without a tokenizer the id stands for the text.
    text: chunk.text === '' && own.text.startsWith('#') ? `${id} ` : chunk.text,
    name: own.text,
    position,
    logprob,
    alternatives: topLogprobs.map((other) => ({ ...piece(other.id), logprob: other.logprob })),
    draft: draft === null ? null : piece(draft),
  };
}

/** Tokens by themselves, as a person can read them: part of a character shows as its bytes. */
function pieces({ tokenizer }: Model): (id: number) => TokenPiece {
  const known = new Map<number, TokenPiece>();
  return (id) => {
    let piece = known.get(id);
    if (piece === undefined) {
      piece = { id, text: nameOf(id) };
      known.set(id, piece);
    }
    return piece;
  };
  function nameOf(id: number): string {
    if (tokenizer === null || tokenizer.idToToken(id) === undefined) return `#${id}`;
    const text = tokenizer.decode([id]);
    if (!text.includes('\ufffd')) return text;
    const bytes = Array.from(tokenizer.tokenBytes(id), (byte) => byte.toString(16).padStart(2, '0'));
    return `‹${bytes.join(' ')}›`;
  }
}
