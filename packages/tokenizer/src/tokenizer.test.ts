/** The tokenizer against the original implementations, and what it promises about special tokens and bad input. */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { isMarianaError } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepseek, deepseekConfig, deepseekJson, readFixture, sha256 } from '../test/deepseek.ts';
import { byteFallbackJson, byteLevelJson } from '../test/small-tokenizers.ts';
import { type ChatMessage, Tokenizer } from './index.ts';

interface DeepSeekGolden {
  tokenizer: { tokenizer_json_sha256: string; tokenizer_config_sha256: string };
  strings: { category: string; text: string; ids: number[] }[];
  chat: {
    conversations: {
      name: string;
      messages: ChatMessage[];
      add_generation_prompt: boolean;
      rendered: string;
      ids: number[];
    }[];
  };
}

interface PipelineGolden {
  cases: {
    name: string;
    tokenizer: Record<string, unknown>;
    texts: {
      text: string;
      ids: number[];
      idsWithSpecials: number[];
      decoded: string;
      decodedWithoutSpecials: string;
    }[];
  }[];
}

const golden = readFixture<DeepSeekGolden>('deepseek-v3-golden.json');
const pipelines = readFixture<PipelineGolden>('pipeline-golden.json');

/** Any text without lone surrogates, rich in what tokenizers find hard. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.constantFrom(
        'the',
        ' ',
        '  ',
        '\n',
        '\r\n',
        '123456',
        '猫はネコ',
        '👩‍👩‍👧',
        'é',
        'e\u0301',
        '\ufeff',
        '\u0085',
        '▁',
        'Ġ',
      ),
      fc.constantFrom('<｜User｜>', '<｜end▁of▁sentence｜>', '<|EOT|>', '<s>', '</s>', '<'),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('DeepSeek-V3', () => {
  it('is the tokenizer that the expected values were made with', () => {
    expect(sha256(deepseekJson)).toBe(golden.tokenizer.tokenizer_json_sha256);
    expect(sha256(deepseekConfig)).toBe(golden.tokenizer.tokenizer_config_sha256);
  });

  it('gives the original ids and the text back, for all 200 texts', () => {
    expect(golden.strings).toHaveLength(200);
    for (const { text, ids } of golden.strings) {
      expect(deepseek().encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
      expect(deepseek().decode(ids)).toBe(text);
    }
  });

  it.each(golden.chat.conversations)('lays out the conversation "$name" like the original', (conversation) => {
    const options = { addGenerationPrompt: conversation.add_generation_prompt };
    expect(deepseek().applyChatTemplate(conversation.messages, options)).toBe(conversation.rendered);
    expect(deepseek().encodeChat(conversation.messages, options)).toEqual(conversation.ids);
  });

  it('encodes any text as the library alone does, and gives it back', () => {
    const library = new LibraryTokenizer(JSON.parse(deepseekJson), JSON.parse(deepseekConfig));
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = deepseek().encode(text, { addSpecialTokens: false });
        expect(ids).toEqual(library.encode(text, { add_special_tokens: false }).ids);
        expect(deepseek().decode(ids)).toBe(text);
      }),
    );
  });

  it('begins a text with BOS, as add_bos_token asks (transformers 4.57: [0, 19923])', () => {
    expect(deepseek().encode('Hello')).toEqual([0, 19923]);
    expect(deepseek().encode('<｜begin▁of▁sentence｜>Hello')).toEqual([0, 0, 19923]);
    expect(deepseek().encode('')).toEqual([0]);
  });

  it('knows its special tokens', () => {
    const { bosTokenId, eosTokenId, padTokenId, eosTokenIds, vocabSize } = deepseek();
    expect({ bosTokenId, eosTokenId, padTokenId, eosTokenIds, vocabSize }).toEqual({
      bosTokenId: 0,
      eosTokenId: 1,
      padTokenId: 1,
      eosTokenIds: [1],
      vocabSize: 128815,
    });
    // <｜User｜> is an added token, but DeepSeek does not mark it special; transformers shows it too.
    expect(deepseek().decode([0, 19923, 128803, 1, 128805], { skipSpecialTokens: true })).toBe('Hello<｜User｜>');
  });

  it('gives the bytes of tokens', () => {
    expect(deepseek().idToToken(223)).toBe('Ġ');
    expect(deepseek().tokenToId('Ġ')).toBe(223);
    expect([...deepseek().tokenBytes(223)]).toEqual([0x20]);
    expect(new TextDecoder().decode(deepseek().tokenBytes(1))).toBe('<｜end▁of▁sentence｜>');
    fc.assert(
      fc.property(anyText, (text) => {
        const bytes = deepseek()
          .encode(text, { addSpecialTokens: false })
          .flatMap((id) => [...deepseek().tokenBytes(id)]);
        expect(bytes).toEqual([...new TextEncoder().encode(text)]);
      }),
    );
  });

  it('takes a word of a hundred thousand letters', () => {
    const text = 'ab'.repeat(50_000);
    expect(deepseek().decode(deepseek().encode(text, { addSpecialTokens: false }))).toBe(text);
  });
});

describe.each(pipelines.cases)('the tokenizer "$name"', ({ tokenizer: tokenizerJson, texts }) => {
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson });

  it.each(texts)('does $text like the original in Rust', (expected) => {
    expect(tokenizer.encode(expected.text, { addSpecialTokens: false })).toEqual(expected.ids);
    expect(tokenizer.encode(expected.text)).toEqual(expected.idsWithSpecials);
    expect(tokenizer.decode(expected.idsWithSpecials)).toBe(expected.decoded);
    expect(tokenizer.decode(expected.idsWithSpecials, { skipSpecialTokens: true })).toBe(
      expected.decodedWithoutSpecials,
    );
  });
});

describe('special tokens', () => {
  const tokenizerJson = byteLevelJson();

  it.each([
    [{}, [], []],
    [{ bos_token: '<s>', add_bos_token: true }, [0], []],
    [{ bos_token: '<s>', eos_token: { content: '</s>' }, add_bos_token: true, add_eos_token: true }, [0], [1]],
    [{ bos_token: '<s>', add_bos_token: false }, [], []],
  ])('are put around a text as %j asks', (tokenizerConfig, before, after) => {
    const tokenizer = Tokenizer.fromFiles({ tokenizerJson, tokenizerConfig });
    expect(tokenizer.encode('the')).toEqual([...before, 259, ...after]);
  });

  it('of the post-processor are not doubled, and are left out where add_bos_token is false', () => {
    const files = { tokenizerJson: byteFallbackJson() };
    const withFlag = (add_bos_token: boolean) =>
      Tokenizer.fromFiles({ ...files, tokenizerConfig: { bos_token: '<s>', add_bos_token } }).encode('the');
    const plain = Tokenizer.fromFiles(files).encode('the', { addSpecialTokens: false });
    expect(Tokenizer.fromFiles(files).encode('the')).toEqual([1, ...plain]);
    expect(withFlag(true)).toEqual([1, ...plain]);
    expect(withFlag(false)).toEqual(plain);
  });

  it('end a text as generation_config.json says too', () => {
    const tokenizer = Tokenizer.fromFiles({
      tokenizerJson,
      tokenizerConfig: { eos_token: '</s>' },
      generationConfig: '{"bos_token_id": 0, "eos_token_id": [261, 1]}',
    });
    expect(tokenizer.eosTokenIds).toEqual([1, 261]);
    expect(tokenizer.bosTokenId).toBe(0);
    expect(tokenizer.padTokenId).toBeUndefined();
    expect(tokenizer.decode([0, 259, 261], { skipSpecialTokens: true })).toBe('the');
  });

  it('of the configuration are skipped though tokenizer.json does not mark them', () => {
    const files = { tokenizerJson, tokenizerConfig: { additional_special_tokens: ['<tool>', { content: 'th' }] } };
    expect(Tokenizer.fromFiles(files).decode([258, 261, 259], { skipSpecialTokens: true })).toBe('the');
    expect(Tokenizer.fromFiles({ tokenizerJson }).decode([258, 261, 259], { skipSpecialTokens: true })).toBe(
      'th<tool>the',
    );
  });
});

describe('bad input', () => {
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: byteLevelJson() });

  it.each([262, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40])('refuses the token id %d', (id) => {
    for (const action of [
      () => tokenizer.decode([259, id]),
      () => tokenizer.tokenBytes(id),
      () => tokenizer.streamDecoder().push(id),
    ]) {
      expect(thrownBy(action)).toMatchObject({ code: 'TOKEN_OUT_OF_RANGE', details: { id, vocabSize: 262 } });
    }
    expect(tokenizer.idToToken(id)).toBeUndefined();
  });

  it('refuses a text that is no string', () => {
    expect(thrownBy(() => tokenizer.encode(7 as never))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('gives an empty text for no tokens, and no tokens for an empty text', () => {
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.encode('')).toEqual([]);
  });

  it('says where a regular expression is wrong, at the latest when it runs', () => {
    const pre_tokenizer = { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated', invert: false };
    const tokenizerJson = { ...byteLevelJson(), pre_tokenizer };
    const error = thrownBy(() => Tokenizer.fromFiles({ tokenizerJson }).encode('the'));
    expect(isMarianaError(error) && error.code).toBe('TOKENIZER_INVALID');
  });
});
