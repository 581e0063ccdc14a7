/** One run of generation, timed: what `generate` and `chat` have in common. */
import type { FinishReason, GeneratedChunk, GenerateOptions, Session } from '@mariana/runtime';
import { exact, rate } from './format.ts';

/** What was generated, and how fast. */
export interface Answer {
  readonly ids: readonly number[];
  /** The text of `ids` up to a stop text; null without a tokenizer. */
  readonly text: string | null;
  /** Null if the run was cut short. */
  readonly finishReason: FinishReason | null;
  readonly chunks: readonly GeneratedChunk[];
  /** Milliseconds until the first token was there: the prompt was read, that is. */
  readonly prefillMs: number;
  /** Generated tokens a second, the first not counted: it comes from reading the prompt. */
  readonly decodeTokensPerSecond: number | null;
}

/**
 * Reads a prompt, if one is given, and generates from there.
 *
 * @param onChunk - Sees each token as it comes.
 * @throws what the generation throws; if `cutShort` is aborted, the answer so far is returned instead.
 */
export async function answer(
  session: Session,
  prompt: readonly number[],
  options: GenerateOptions,
  onChunk: (chunk: GeneratedChunk) => void,
  cutShort?: AbortSignal,
): Promise<Answer> {
  const chunks: GeneratedChunk[] = [];
  const started = performance.now();
  let first: number | undefined;
  let last = started;
  try {
    for await (const chunk of session.generate(prompt, { ...options, ...(cutShort && { signal: cutShort }) })) {
      last = performance.now();
      first ??= last;
      chunks.push(chunk);
      onChunk(chunk);
    }
  } catch (error) {
    if (!cutShort?.aborted) throw error;
  }
  first ??= performance.now();
  return {
    ids: chunks.map(({ id }) => id),
    text: session.model.tokenizer === null ? null : chunks.map(({ text }) => text).join(''),
    finishReason: cutShort?.aborted ? null : (chunks.at(-1)?.finishReason ?? 'length'),
    chunks,
    prefillMs: first - started,
    decodeTokensPerSecond: rate(chunks.length - 1, last - first),
  };
}

const ENDS: Readonly<Record<FinishReason, string>> = {
  stop: ', up to a stop',
  eos: ', up to the end of the text',
  length: '',
  context: ', until the context was full',
};

/** Figures of an answer in words. */
export function describeAnswer({ ids, decodeTokensPerSecond, finishReason }: Answer): string {
  const speed = decodeTokensPerSecond === null ? '' : ` at ${decodeTokensPerSecond} tokens/s`;
  const end = finishReason === null ? ', cut short' : ENDS[finishReason];
  return `${exact(ids.length)} tokens generated${speed}${end}`;
}
