/**
 * A tokenizer's vocabulary as decoding needs it: strings, special tokens, and the bytes that each token stands for.
 * Those bytes, not the strings, are what a model writes: a character may be spread over several tokens.
 */
import { MarianaError } from '@mariana/core';
import { bytesOfChars } from './byte-alphabet.ts';
import type { DecodeRules } from './pipeline.ts';
import type { CheckedTokenizer } from './tokenizer-json.ts';

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

export class TokenTable {
  /** One more than the highest id. */
  readonly size: number;
  readonly rules: DecodeRules;
  /** The ids that `skipSpecialTokens` leaves out. */
  readonly specialIds: ReadonlySet<number>;
  readonly #tokens: ReadonlyMap<number, string>;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #addedIds: ReadonlySet<number>;
  readonly #bytes = new Map<number, Uint8Array>();
  readonly #utf8 = new TextEncoder();

  /** `extraSpecialIds` are special besides those that the tokenizer marks so. */
  constructor(tokenizer: CheckedTokenizer, extraSpecialIds: Iterable<number>) {
    this.#tokens = tokenizer.tokens;
    this.#ids = tokenizer.ids;
    this.#addedIds = new Set(tokenizer.addedTokens.map(({ id }) => id));
    this.size = Array.from(tokenizer.tokens.keys()).reduce((a, b) => Math.max(a, b), -1) + 1;
    this.rules = tokenizer.decodeRules;
    const special = tokenizer.addedTokens.filter((token) => token.special).map(({ id }) => id);
    this.specialIds = new Set([...special, ...extraSpecialIds]);
  }

  token(id: number): string | undefined {
    return this.#tokens.get(id);
  }

  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /**
   * The bytes of token `id`; the array is shared and must not be written to.
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`
   */
  bytes(id: number): Uint8Array {
    const known = this.#bytes.get(id);
    if (known !== undefined) return known;
    const token = this.#tokens.get(id);
    if (token === undefined) {
      throw new MarianaError(
        'TOKEN_OUT_OF_RANGE',
        `Token id ${String(id)} is not in the vocabulary, whose ids end at ${this.size - 1}`,
        { details: { id, vocabSize: this.size } },
      );
    }
    const bytes = this.#spell(id, token);
    this.#bytes.set(id, bytes);
    return bytes;
  }

  #spell(id: number, token: string): Uint8Array {
    if (this.rules.spelling === 'byte-level') {
      // Added tokens stand as plain text, and so does a token that is not in the byte alphabet, as in Hugging Face's.
      const bytes = this.#addedIds.has(id) ? undefined : bytesOfChars(token);
      return bytes ?? this.#utf8.encode(token);
    }
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    return this.#utf8.encode(
      this.rules.replacements.reduce((text, [from, to]) => text.replaceAll(from, () => to), token),
    );
  }
}
