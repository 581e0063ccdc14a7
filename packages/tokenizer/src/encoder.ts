/**
 * Text to token ids. The parts are those of `@huggingface/tokenizers` (normalizers, pre-tokenizers, the byte-pair
 * model); the way through them is written here instead of using its `Tokenizer`, because words repeat: a table from
 * words to ids skips their spelling in the byte alphabet and the merges, which is some ten times faster on prose and
 * leaves the ids as they are.
 */
import { BPE, SequenceNormalizer, SequencePreTokenizer } from '@huggingface/tokenizers';
import { BYTE_CHARS } from './byte-alphabet.ts';
import { PREFIX_SPACE } from './pipeline.ts';
import type { AddedToken, CheckedTokenizer, TokenizerStep } from './tokenizer-json.ts';

/** How many words are remembered, and how long they may be, so that the table stays within some ten megabytes. */
const MAX_WORDS = 50_000;
const MAX_WORD_LENGTH = 64;

export class Encoder {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #inText: AddedTokenSplitter;
  readonly #inNormalized: AddedTokenSplitter;
  readonly #normalizer: SequenceNormalizer | undefined;
  readonly #preTokenize: (text: string, options: PieceOptions) => string[];
  /** Whether words come as text and are still to be spelled in the byte alphabet. */
  readonly #spell: boolean;
  readonly #model: BPE;
  readonly #words = new Map<string, readonly number[]>();
  readonly #utf8 = new TextEncoder();

  /** @throws whatever the library throws for a tokenizer that it cannot use, a wrong regular expression for instance */
  constructor({ addedTokens, normalizer, preTokenizer, model, ids }: CheckedTokenizer) {
    this.#ids = ids;
    this.#normalizer = normalizer === null ? undefined : new SequenceNormalizer(sequence('normalizers', [normalizer]));
    this.#inText = new AddedTokenSplitter(addedTokens.filter(({ normalized }) => !normalized));
    this.#inNormalized = new AddedTokenSplitter(
      addedTokens
        .filter(({ normalized }) => normalized)
        .map((token) => ({ ...token, content: this.#normalize(token.content) })),
    );
    const steps = flatten(preTokenizer);
    this.#spell = steps.at(-1)?.type === 'ByteLevel';
    this.#preTokenize = createPreTokenizer(this.#spell ? steps.slice(0, -1) : steps);
    this.#model = new BPE({ ...model } as never);
  }

  /** The ids of `text`, nothing put around it. */
  encode(text: string): number[] {
    const ids: number[] = [];
    let first = true;
    for (const section of this.#inText.split(text)) {
      if (typeof section === 'number') {
        ids.push(section);
      } else {
        for (const part of this.#inNormalized.split(this.#normalize(section))) {
          if (typeof part === 'number') ids.push(part);
          else this.#encodePlain(part, first, ids);
          first = false;
        }
      }
      first = false;
    }
    return ids;
  }

  /** Appends the ids of text without added tokens; `first` says that it begins the whole text. */
  #encodePlain(text: string, first: boolean, ids: number[]): void {
    for (const word of this.#preTokenize(text, { section_index: first ? 0 : 1 })) {
      let known = this.#words.get(word);
      if (known === undefined) {
        known = this.#encodeWord(word);
        if (word.length <= MAX_WORD_LENGTH) {
          if (this.#words.size >= MAX_WORDS) this.#words.clear();
          this.#words.set(detached(word), known);
        }
      }
      for (const id of known) ids.push(id);
    }
  }

  #encodeWord(word: string): number[] {
    const spelled = this.#spell ? Array.from(this.#utf8.encode(word), (byte) => BYTE_CHARS[byte]).join('') : word;
    return this.#model([spelled]).map((token: string) => this.#ids.get(token)!);
  }

  #normalize(text: string): string {
    return this.#normalizer === undefined ? text : this.#normalizer.normalize(text);
  }
}

/** Finds added tokens in a text: the leftmost first, of those that begin together the longest. */
class AddedTokenSplitter {
  readonly #pattern: RegExp | undefined;
  readonly #tokens: ReadonlyMap<string, AddedToken>;

  constructor(tokens: readonly AddedToken[]) {
    const findable = tokens.filter(({ content }) => content !== '');
    this.#tokens = new Map(findable.map((token) => [token.content, token]));
    const longestFirst = [...this.#tokens.keys()].sort((a, b) => b.length - a.length);
    this.#pattern = longestFirst.length === 0 ? undefined : new RegExp(longestFirst.map(escapeRegExp).join('|'), 'g');
  }

  /** The text in order: the ids of added tokens, and what lies between them. */
  split(text: string): (string | number)[] {
    if (this.#pattern === undefined) return text === '' ? [] : [text];
    const parts: (string | number)[] = [];
    let start = 0;
    let strip = false;
    const pushText = (end: number, stripEnd: boolean) => {
      let between = text.slice(start, end);
      if (strip) between = trimStart(between);
      if (stripEnd) between = trimEnd(between);
      if (between !== '') parts.push(between);
    };
    for (const match of text.matchAll(this.#pattern)) {
      const token = this.#tokens.get(match[0])!;
      pushText(match.index, token.lstrip);
      parts.push(token.id);
      start = match.index + match[0].length;
      strip = token.rstrip;
    }
    pushText(text.length, false);
    return parts;
  }
}

/**
 * White space as Unicode defines it, where JavaScript's trim has its own list. Character by character: a pattern that
 * ends in "$" takes quadratic time on long runs.
 */
const WHITE_SPACE = /^\p{White_Space}$/u;

function trimStart(text: string): string {
  let start = 0;
  while (start < text.length && WHITE_SPACE.test(text.charAt(start))) start++;
  return text.slice(start);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && WHITE_SPACE.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** A copy of a word: engines keep a word as a part of its text, and the whole text in memory with it. */
export function detached(word: string): string {
  return Array.from(word).join('');
}

/** A text as a regular expression that matches it. */
export function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

/** What the library's pre-tokenizers know of a piece of text: 0 if it begins the whole text. */
interface PieceOptions {
  readonly section_index: number;
}

function createPreTokenizer(steps: readonly TokenizerStep[]): (text: string, options: PieceOptions) => string[] {
  const passes = steps.map((step) => {
    if (step.type === PREFIX_SPACE) {
      return (pieces: string[]) => pieces.map((piece) => (piece.startsWith(' ') ? piece : ` ${piece}`));
    }
    const library = new SequencePreTokenizer(sequence('pretokenizers', [step]));
    return (pieces: string[], options: PieceOptions) => library.pre_tokenize(pieces, options);
  });
  return (text, options) => passes.reduce((pieces, pass) => pass(pieces, options), [text]);
}

/** The steps of nested sequences, one after another. */
function flatten(step: TokenizerStep | null): TokenizerStep[] {
  if (step === null) return [];
  return step.type === 'Sequence' ? (step.pretokenizers as TokenizerStep[]).flatMap(flatten) : [step];
}

/** A sequence in the library's terms: its types list every setting of every step, which `pipeline.ts` has checked. */
function sequence(key: string, steps: readonly TokenizerStep[]): never {
  return { type: 'Sequence', [key]: steps } as never;
}
