/** A tokenizer for a model that is trained from nothing: byte-level BPE learned from the documents themselves. */
import { type TokenizerJson, type TrainBpeProgress, trainBpe } from '@mariana/tokenizer';
import type { DocumentPiece } from './documents.ts';

/** DeepSeek's names for the two, which get the first ids. */
const BOS = '<｜begin▁of▁sentence｜>';
const EOS = '<｜end▁of▁sentence｜>';

export interface LearnTokenizerOptions {
  /** Tokens, the 256 bytes and the two special ones included; fewer where the documents have no more pairs. */
  readonly vocabSize: number;
  readonly onProgress?: (progress: TrainBpeProgress) => void;
  /** Ends the learning with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The two files of a tokenizer, parsed. */
export interface LearnedTokenizer {
  readonly tokenizerJson: TokenizerJson;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
}

/**
 * Learns a byte-level BPE tokenizer. It puts the begin-of-text token (id 0) before every text; the end-of-text token
 * (id 1) is for the separator between documents.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a vocabulary that does not hold the bytes; what `documents` throws.
 */
export async function learnTokenizer(
  documents: AsyncIterable<DocumentPiece> | Iterable<DocumentPiece>,
  { vocabSize, onProgress, signal }: LearnTokenizerOptions,
): Promise<LearnedTokenizer> {
  const specialTokens = [BOS, EOS];
  const tokenizerJson = await trainBpe(texts(documents), {
    vocabSize,
    specialTokens,
    bosToken: BOS,
    onProgress,
    signal,
  });
  return {
    tokenizerJson,
    tokenizerConfig: {
      add_bos_token: true,
      add_eos_token: false,
      bos_token: BOS,
      eos_token: EOS,
      clean_up_tokenization_spaces: false,
      tokenizer_class: 'PreTrainedTokenizerFast',
    },
  };
}

async function* texts(
  documents: AsyncIterable<DocumentPiece> | Iterable<DocumentPiece>,
): AsyncGenerator<string, void, undefined> {
  for await (const { text } of documents) yield text;
}
