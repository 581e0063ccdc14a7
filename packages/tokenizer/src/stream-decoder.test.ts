/** Streaming decode: the pieces are whole characters and together the decoding of the whole list, for any tokens. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepseek } from '../test/deepseek.ts';
import { byteFallbackJson, byteLevelJson } from '../test/small-tokenizers.ts';
import { Tokenizer } from './index.ts';

const byteLevel = Tokenizer.fromFiles({ tokenizerJson: byteLevelJson() });
const byteFallback = Tokenizer.fromFiles({ tokenizerJson: byteFallbackJson() });

/** The id of a byte's token, in either small tokenizer. */
const byteId = { byteLevel: (byte: number) => byte + 2, byteFallback: (byte: number) => byte + 3 };

function stream(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens = false): string[] {
  const decoder = tokenizer.streamDecoder({ skipSpecialTokens });
  return [...ids.map((id) => decoder.push(id)), decoder.flush()];
}

/** The ids of a text, its characters cut into bytes here and there. */
function cutIds(tokenizer: Tokenizer, toId: (byte: number) => number) {
  return fc
    .array(
      fc.oneof(
        fc.integer({ min: 0, max: tokenizer.vocabSize - 1 }),
        fc
          .constantFrom('é', '猫', '😀', '👩‍👩‍👧', '\ufeff', 'the')
          .map((text) => [...new TextEncoder().encode(text)].map(toId)),
        fc.constantFrom([0xf0], [0x9f, 0x98], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xff]).map((bytes) => bytes.map(toId)),
      ),
      { maxLength: 20 },
    )
    .map((parts) => parts.flat());
}

describe.each([
  ['byte-level', byteLevel, byteId.byteLevel],
  ['byte-fallback', byteFallback, byteId.byteFallback],
] as const)('a %s tokenizer', (_, tokenizer, toId) => {
  it('streams what it decodes at once, whatever the tokens', () => {
    fc.assert(
      fc.property(cutIds(tokenizer, toId), fc.boolean(), (ids, skipSpecialTokens) => {
        const pieces = stream(tokenizer, ids, skipSpecialTokens);
        expect(pieces.join('')).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
        for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('never takes back what it gave: a stream is the same up to any token', () => {
    fc.assert(
      fc.property(cutIds(tokenizer, toId), fc.nat(), (ids, at) => {
        const end = at % (ids.length + 1);
        const whole = tokenizer.decode(ids);
        expect(whole.startsWith(stream(tokenizer, ids.slice(0, end)).slice(0, -1).join(''))).toBe(true);
      }),
    );
  });
});

describe('DeepSeek-V3', () => {
  it('streams any text, and any tokens', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        expect(stream(deepseek(), deepseek().encode(text, { addSpecialTokens: false })).join('')).toBe(text);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 128814 }), { maxLength: 40 }), (ids) => {
        expect(stream(deepseek(), ids).join('')).toBe(deepseek().decode(ids));
      }),
    );
  });

  it('holds an emoji back until its last token', () => {
    // "😀" is two tokens: the first has three of its four bytes.
    expect(stream(deepseek(), [28927, 225])).toEqual(['', '😀', '']);
  });

  it('gives U+FFFD for an unfinished character: where another token shows that, or at the end', () => {
    expect(stream(deepseek(), [28927])).toEqual(['', '\ufffd']);
    expect(stream(deepseek(), [28927, 0, 225])).toEqual(['', '\ufffd<｜begin▁of▁sentence｜>', '\ufffd', '']);
    expect(stream(deepseek(), [28927, 0, 225], true)).toEqual(['', '', '😀', '']);
  });
});

describe('a stream', () => {
  it('strips the first space of a SentencePiece text only, also across tokens', () => {
    const [space, word] = [byteFallback.tokenToId('▁')!, byteFallback.tokenToId('▁the')!];
    expect(stream(byteFallback, [word, word])).toEqual(['the', ' the', '']);
    expect(stream(byteFallback, [space, word])).toEqual(['', ' the', '']);
    expect(stream(byteFallback, [1, word], true)).toEqual(['', 'the', '']);
    expect(stream(byteFallback, [1, word])).toEqual(['<s>', ' the', '']);
  });

  it('begins anew after flush', () => {
    const word = byteFallback.tokenToId('▁the')!;
    const decoder = byteFallback.streamDecoder();
    expect([decoder.push(word), decoder.push(0xe7 + 3), decoder.flush()]).toEqual(['the', '', '\ufffd']);
    expect([decoder.push(word), decoder.flush()]).toEqual(['the', '']);
  });

  it('goes on after a token that does not exist', () => {
    const decoder = byteLevel.streamDecoder();
    decoder.push(0xe7 + 2);
    expect(() => decoder.push(999)).toThrow(/999/);
    expect([decoder.push(0x8c + 2), decoder.push(0xab + 2)]).toEqual(['', '猫']);
  });

  it('keeps a byte order mark', () => {
    expect(stream(byteLevel, [0xef, 0xbb, 0xbf].map(byteId.byteLevel)).join('')).toBe('\ufeff');
  });

  it('hands each token to the UTF-8 decoder once, so that its cost does not grow with the text', () => {
    let seen = 0;
    const original = TextDecoder.prototype.decode;
    TextDecoder.prototype.decode = function (this: TextDecoder, ...args: Parameters<typeof original>) {
      seen += args[0]?.byteLength ?? 0;
      return original.apply(this, args);
    };
    try {
      const ids = Array.from({ length: 5000 }, (_, i) => (i % 2 === 0 ? 259 : 0xe7 + 2));
      stream(byteLevel, ids);
      expect(seen).toBe(2500 * 3 + 2500);
    } finally {
      TextDecoder.prototype.decode = original;
    }
  });
});
