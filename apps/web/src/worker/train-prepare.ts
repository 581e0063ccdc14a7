/** From a text to what a run needs before its first step: a tokenizer, tokens to learn from and to hold out, a config. */
import { MarianaError, type ModelConfig } from '@mariana/core';
import { Tokenizer } from '@mariana/tokenizer';
import { learnTokenizer, PackedData, textDocument, tokenizeDocuments } from '@mariana/train';
import type { TokenizerTexts } from './train-kept.ts';
import { BATCH, configOfSize, HOLD_OUT, LONGEST_TEXT, SEQUENCE, VOCABULARY } from './train-plan.ts';
import type { TrainSettings } from './train-protocol.ts';

export interface Prepared {
  readonly config: ModelConfig;
  readonly tokenizer: TokenizerTexts;
  readonly data: PackedData;
  readonly tokens: number;
  /** Null if the text is too short to hold any of it out. */
  readonly heldOut: PackedData | null;
  readonly heldOutTokens: number;
}

export interface PrepareOptions {
  /** Learned before from the same text. */
  readonly tokenizer?: TokenizerTexts | undefined;
  readonly onProgress: (what: string, share: number | null) => void;
  readonly signal: AbortSignal;
}

/**
 * @throws MarianaError `DATA_INVALID` for a text that is empty or too long; `INVALID_ARGUMENT` for one that does not fill
 *   a sequence; the signal's reason.
 */
export async function prepare(
  text: string,
  textName: string,
  settings: TrainSettings,
  { tokenizer: learned, onProgress, signal }: PrepareOptions,
): Promise<Prepared> {
  const bytes = new TextEncoder().encode(text);
  checkLength(bytes.byteLength, text, textName);
  const documents = () => textDocument([bytes], textName);
  const files = learned ?? (await learn(documents, { onProgress, signal }));
  const tokenizer = Tokenizer.fromFiles(files);
  onProgress('Reading the text as tokens', null);
  let { training, heldOut } = await tokenizeDocuments(documents(), tokenizer, { holdOut: HOLD_OUT, signal });
  const held = heldOut.tokens.length > SEQUENCE ? heldOut : null;
  if (held === null) ({ training, heldOut } = await tokenizeDocuments(documents(), tokenizer, { signal }));
  return {
    config: {
      ...configOfSize(settings.size, tokenizer.vocabSize),
      bosTokenId: tokenizer.bosTokenId ?? null,
      eosTokenId: [...tokenizer.eosTokenIds],
    },
    tokenizer: files,
    data: new PackedData(training.tokens, { sequenceLength: SEQUENCE, seed: settings.seed }),
    tokens: training.tokens.length,
    heldOut: held && new PackedData(held.tokens, { sequenceLength: SEQUENCE }),
    heldOutTokens: held?.tokens.length ?? 0,
  };
}

async function learn(
  documents: () => ReturnType<typeof textDocument>,
  { onProgress, signal }: Pick<PrepareOptions, 'onProgress' | 'signal'>,
): Promise<TokenizerTexts> {
  const what = `Learning a vocabulary of ${VOCABULARY} tokens`;
  onProgress(what, 0);
  const { tokenizerJson, tokenizerConfig } = await learnTokenizer(documents(), {
    vocabSize: VOCABULARY,
    signal,
    onProgress: ({ tokens, vocabSize }) => onProgress(what, tokens / vocabSize),
  });
  return { tokenizerJson: JSON.stringify(tokenizerJson), tokenizerConfig: JSON.stringify(tokenizerConfig) };
}

function checkLength(bytes: number, text: string, name: string): void {
  const refuse = (what: string) => new MarianaError('DATA_INVALID', `${name}: ${what}`, { details: { bytes } });
  if (text.trim() === '') throw refuse('there is no text to learn from; paste some, or choose the sample');
  if (bytes > LONGEST_TEXT) {
    throw refuse(`${bytes} bytes are more than the ${LONGEST_TEXT} that are taken here; use a part of the text`);
  }
}

/** Tokens of one step. */
export const TOKENS_PER_STEP = BATCH * SEQUENCE;
