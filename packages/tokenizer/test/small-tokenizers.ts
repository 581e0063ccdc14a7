/**
 * Two tokenizers small enough to be read, as parsed tokenizer.json: one spells bytes in the byte alphabet as DeepSeek's
 * do, one falls back to byte tokens as SentencePiece's do. Each call gives a fresh copy, for tests that damage it.
 */

function special(id: number, content: string) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/** Ids 0 and 1 are `<s>` and `</s>`, 2 to 257 the bytes, 258 "th", 259 "the", 260 " the"; `<tool>` (261) is no special. */
export function byteLevelJson() {
  const chars: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = /[!-~¡-¬®-ÿ]/.test(String.fromCharCode(byte));
    chars.push(String.fromCharCode(printable ? byte : next++));
  }
  const tokens = ['<s>', '</s>', ...chars, 'th', 'the', 'Ġthe'];
  return {
    version: '1.0',
    added_tokens: [special(0, '<s>'), special(1, '</s>'), { ...special(261, '<tool>'), special: false }],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ['t h', 'th e', 'Ġ the'],
    },
  };
}

/** Ids 0 to 2 are `<unk>`, `<s>`, `</s>`, 3 to 258 the bytes, then "▁", letters, "猫", and a few words. */
export function byteFallbackJson() {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...'▁acehst猫', 'th', 'the', '▁the', '▁▁'];
  return {
    version: '1.0',
    added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [
        ['t', 'h'],
        ['th', 'e'],
        ['▁', 'the'],
        ['▁', '▁'],
      ],
    },
  };
}
