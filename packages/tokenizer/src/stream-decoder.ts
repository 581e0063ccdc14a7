/**
 * Decoding token by token. A token ends where its bytes end, which may be in the middle of a character, so the bytes of
 * an unfinished character wait here for the next token. What was given out is never taken back, and the pieces put
 * together are the decoding of the whole list. Each token costs the same, however long the text before it.
 */
import type { TokenTable } from './token-table.ts';

/** How tokens are turned into text. */
export interface DecodeOptions {
  /** Leaves special tokens (BOS, EOS, padding, ...) out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Turns tokens into text as they come; made by `Tokenizer.streamDecoder`. */
export class StreamDecoder {
  readonly #table: TokenTable;
  readonly #skipSpecialTokens: boolean;
  // A byte order mark at the beginning is text like any other.
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  #left: number;

  constructor(table: TokenTable, { skipSpecialTokens = false }: DecodeOptions = {}) {
    this.#table = table;
    this.#skipSpecialTokens = skipSpecialTokens;
    this.#left = table.rules.strip.count;
  }

  /**
   * The text that token `id` completes, '' where it ends within a character. Bytes that cannot become a character give
   * U+FFFD as soon as that is certain.
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`; the state is then as it was before
   */
  push(id: number): string {
    const bytes = this.#table.bytes(id);
    if (this.#skipSpecialTokens && this.#table.specialIds.has(id)) return '';
    return this.#strip(this.#utf8.decode(bytes, { stream: true }));
  }

  /** Ends the text: U+FFFD where a character was left unfinished, else ''. The next `push` begins a new text. */
  flush(): string {
    const text = this.#strip(this.#utf8.decode());
    this.#left = this.#table.rules.strip.count;
    return text;
  }

  /** Takes from the beginning of the text what the tokenizer's decoder strips there. */
  #strip(text: string): string {
    if (this.#left === 0 || text === '') return text;
    const [rest, left] = stripStart(text, this.#table.rules.strip.char, this.#left);
    this.#left = left;
    return rest;
  }
}

/** The text of a list of tokens: what a `StreamDecoder` gives for them, at once. */
export function decodeAll(
  table: TokenTable,
  ids: Iterable<number>,
  { skipSpecialTokens = false }: DecodeOptions,
): string {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (const id of ids) {
    const piece = table.bytes(id);
    if (skipSpecialTokens && table.specialIds.has(id)) continue;
    pieces.push(piece);
    length += piece.length;
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  return stripStart(text, table.rules.strip.char, table.rules.strip.count)[0];
}

/** `text` without at most `count` times `char` at its start, and how many may still be taken after it. */
function stripStart(text: string, char: string, count: number): [rest: string, left: number] {
  let taken = 0;
  while (taken < count && taken < text.length && text[taken] === char) taken++;
  return [text.slice(taken), taken === text.length ? count - taken : 0];
}
