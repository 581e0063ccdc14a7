/**
 * First half of training: text becomes a table of distinct words with their counts. Words are what the pre-tokenizer
 * makes, and merges never cross them, so a corpus of any length shrinks to its vocabulary of words.
 */
import { SequencePreTokenizer } from '@huggingface/tokenizers';
import { MarianaError } from '@mariana/core';
import { detached, escapeRegExp } from './encoder.ts';
import { shown } from './invalid.ts';
import type { TokenizerStep } from './tokenizer-json.ts';

/**
 * The default split, in the spirit of GPT-2 and DeepSeek: English contractions; words with the space before them,
 * letters with their combining marks; digits in threes; runs of punctuation with the space before and the line breaks
 * after; line breaks with the white space before them; other white space, its last character left to the next word.
 */
export const WORD_REGEX = [
  String.raw`'(?:[sdmt]|ll|ve|re)(?!\p{L})`,
  String.raw` ?[\p{L}\p{M}]+`,
  String.raw`\p{N}{1,3}`,
  String.raw` ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*`,
  String.raw`\s*[\r\n]+`,
  String.raw`\s+(?!\S)`,
  String.raw`\s+`,
].join('|');

/** Counts the words of texts that are added one by one. */
export class WordCounter {
  /** How often each word occurs; in order of first occurrence. */
  readonly counts = new Map<string, number>();
  readonly #specials: RegExp | undefined;
  readonly #splitter: SequencePreTokenizer;

  /** `splits` are the pre-tokenizer's steps but for the byte alphabet; `specialTokens` end a word and count for none. */
  constructor(splits: readonly TokenizerStep[], specialTokens: readonly string[]) {
    // The same code that splits a text when it is encoded, so that training sees the words that encoding will see.
    this.#splitter = new SequencePreTokenizer({ type: 'Sequence', pretokenizers: [...splits] } as never);
    const longestFirst = specialTokens.toSorted((a, b) => b.length - a.length);
    this.#specials = longestFirst.length === 0 ? undefined : new RegExp(longestFirst.map(escapeRegExp).join('|'));
  }

  /** @throws MarianaError `INVALID_ARGUMENT` if `text` is not a string */
  add(text: unknown): void {
    if (typeof text !== 'string') {
      throw new MarianaError('INVALID_ARGUMENT', `trainBpe takes texts as strings, not ${shown(text)}`);
    }
    for (const section of this.#specials === undefined ? [text] : text.split(this.#specials)) {
      if (section === '') continue;
      for (const word of this.#splitter.pre_tokenize(section)) {
        const count = this.counts.get(word);
        if (count === undefined) this.counts.set(detached(word), 1);
        else this.counts.set(word, count + 1);
      }
    }
  }
}
