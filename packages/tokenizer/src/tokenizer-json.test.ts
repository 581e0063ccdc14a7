/** Reading the files: every flaw is named with its path, and no file, however damaged, does worse than that. */
import { isMarianaError } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteFallbackJson, byteLevelJson } from '../test/small-tokenizers.ts';
import { Tokenizer, type TokenizerFiles } from './index.ts';

/** The error's message where loading fails with `TOKENIZER_INVALID`, 'loaded' where it succeeds. */
function load(files: Record<string, unknown>): string {
  try {
    Tokenizer.fromFiles(files as unknown as TokenizerFiles);
    return 'loaded';
  } catch (error) {
    if (!isMarianaError(error) || error.code !== 'TOKENIZER_INVALID') throw error;
    expect(error.message).not.toContain('\n');
    return error.message;
  }
}

describe('tokenizer.json', () => {
  it('may be text or JSON', () => {
    expect(load({ tokenizerJson: byteLevelJson() })).toBe('loaded');
    expect(load({ tokenizerJson: JSON.stringify(byteLevelJson()) })).toBe('loaded');
    expect(load({ tokenizerJson: byteFallbackJson() })).toBe('loaded');
  });

  it.each<[unknown, RegExp]>([
    ['', /^tokenizer.json is not JSON/],
    ['{"model": ', /^tokenizer.json is not JSON/],
    ['[]', /must be a JSON object, not an array/],
    [undefined, /must be a JSON object, not missing/],
    [null, /must be a JSON object/],
    [7, /must be a JSON object/],
    [{}, /^tokenizer.json: model must be an object, not missing/],
  ])('refuses %j', (tokenizerJson, message) => {
    expect(load({ tokenizerJson })).toMatch(message);
  });

  it.each<[flaw: string, path: string, value: unknown, message: RegExp]>([
    ['another model', 'model.type', 'Unigram', /model.type is "Unigram"; Mariana reads byte-pair/],
    ['no model type', 'model.type', undefined, /model.type is missing/],
    ['no vocabulary', 'model.vocab', undefined, /model.vocab must be an object/],
    ['an empty vocabulary', 'model.vocab', {}, /model.vocab is empty/],
    ['an id as text', 'model.vocab.th', '258', /model.vocab\["th"\] must be an integer from 0 to 4194303/],
    ['an id of two tokens', 'model.vocab.th', 259, /model.vocab\["the"\] has the id 259 of "th"/],
    ['a huge id', 'model.vocab.th', 2 ** 40, /must be an integer/],
    ['no merges', 'model.merges', undefined, /model.merges must be an array, not missing/],
    ['a merge of one token', 'model.merges.1', 'the', /model.merges\[1\] must be two tokens/],
    ['a merge of three', 'model.merges.1', 't h e', /model.merges\[1\] must be two tokens/],
    ['a merge of an unknown token', 'model.merges.1', 'th o猫', /merges\[1\] needs "o猫", which model.vocab/],
    ['a merge into an unknown token', 'model.merges.1', 'th a', /needs "tha", which model.vocab lacks/],
    ['dropout', 'model.dropout', 0.1, /model.dropout is 0.1, which is not supported/],
    ['a suffix', 'model.end_of_word_suffix', '</w>', /model.end_of_word_suffix is "<\/w>"/],
    ['an unknown unknown', 'model.unk_token', '?!', /model.unk_token is "\?!"/],
    ['a wrong flag', 'model.byte_fallback', 'yes', /model.byte_fallback must be true or false/],
    ['added tokens as an object', 'added_tokens', {}, /added_tokens must be an array/],
    ['an added token as text', 'added_tokens.1', '</s>', /added_tokens\[1\] must be an object/],
    ['an empty added token', 'added_tokens.1.content', '', /added_tokens\[1\].content must be a text/],
    ['an added token without id', 'added_tokens.1.id', undefined, /added_tokens\[1\].id must be an integer/],
    ['an added token with another id', 'added_tokens.1.id', 900, /gives "<\/s>" the id 900, which contradicts/],
    ['an added token on a used id', 'added_tokens.2.id', 258, /gives "<tool>" the id 258, .*"th"/],
    ['single_word', 'added_tokens.1.single_word', true, /single_word is true, which is not supported/],
    ['an unknown normalizer', 'normalizer', { type: 'Precompiled' }, /normalizer.type is "Precompiled"/],
    ['a normalizer without a type', 'normalizer', [], /normalizer must be an object with a type/],
    ['a Replace without a pattern', 'normalizer', { type: 'Replace', content: '' }, /normalizer.pattern must/],
    ['an unknown pre-tokenizer', 'pre_tokenizer', { type: 'Whitespace' }, /pre_tokenizer.type is "Whitespace"/],
    ['no prefix setting', 'pre_tokenizer.add_prefix_space', undefined, /pre_tokenizer.add_prefix_space must be true/],
    [
      'an unsupported split',
      'pre_tokenizer',
      splitWith({ behavior: 'MergedWithNext', invert: false }),
      /behavior is "MergedWithNext"/,
    ],
    [
      'an inverted split',
      'pre_tokenizer',
      splitWith({ behavior: 'Isolated', invert: true }),
      /behavior is "Isolated" with invert true/,
    ],
    [
      'no pattern',
      'pre_tokenizer',
      splitWith({ behavior: 'Isolated', pattern: 'x' }),
      /pretokenizers\[0\].pattern must be/,
    ],
    [
      'a pattern that is none',
      'pre_tokenizer',
      splitWith({ behavior: 'Isolated', pattern: { Regex: '(?<' } }),
      /cannot be used|cannot encode/,
    ],
    ['a splitting Metaspace', 'pre_tokenizer', { type: 'Metaspace', replacement: '▁' }, /split must be false/],
    [
      'a Metaspace of two characters',
      'pre_tokenizer',
      metaspaceWith({ replacement: '▁▁' }),
      /replacement must be one character/,
    ],
    [
      'an unknown prepend_scheme',
      'pre_tokenizer',
      metaspaceWith({ prepend_scheme: 'last' }),
      /prepend_scheme must be always, first or/,
    ],
    ['deep nesting', 'pre_tokenizer', nested('Sequence', 'pretokenizers', 40), /nests deeper than 16 steps/],
    ['an unknown post-processor', 'post_processor', { type: 'Bert' }, /post_processor.type is "Bert"/],
    ['a template without text', 'post_processor', templateOf([{ SpecialToken: { id: '<s>' } }]), /has no Sequence "A"/],
    ['a template with the text twice', 'post_processor', templateOf([sequenceA(), sequenceA()]), /single\[1\] must be/],
    [
      'a template of an unknown token',
      'post_processor',
      templateOf([{ SpecialToken: { id: '?!' } }, sequenceA()]),
      /names "\?!", which is no/,
    ],
    [
      'a template with unknown ids',
      'post_processor',
      templateWithIds([12345]),
      /stands for the id 12345, which no token has/,
    ],
    ['no decoder', 'decoder', null, /decoder is none; supported are ByteLevel, and/],
    ['a decoder of words', 'decoder', { type: 'WordPiece' }, /decoder is WordPiece; supported/],
  ])('is refused with %s', (_, path, value, message) => {
    const tokenizerJson = byteLevelJson();
    setAt(tokenizerJson, path.split('.'), value);
    expect(load({ tokenizerJson })).toMatch(message);
  });

  it.each<[flaw: string, path: string, value: unknown, message: RegExp]>([
    ['strips the end', 'decoder.decoders.3.stop', 1, /may strip one character from the start only/],
    ['strips a text', 'decoder.decoders.3.content', 'ab', /may strip one character from the start only/],
    ['replaces a pattern', 'decoder.decoders.0.pattern', { Regex: '.' }, /may replace a text only/],
    [
      'has another order',
      'decoder.decoders',
      byteFallbackJson().decoder.decoders.toReversed(),
      /decoder is Strip, Fuse, ByteFallback, Replace/,
    ],
  ])('is refused if its SentencePiece decoder %s', (_, path, value, message) => {
    const tokenizerJson = byteFallbackJson();
    setAt(tokenizerJson, path.split('.'), value);
    expect(load({ tokenizerJson })).toMatch(message);
  });

  it('damaged at random either loads and works or is refused, with no other error and no hang', () => {
    const probes = ['', 'the <s> the\u0301 猫😀 123', '\ufeff  \r\n'];
    let loaded = 0;
    fc.assert(
      fc.property(fc.constantFrom(byteLevelJson, byteFallbackJson), damages, (make, edits) => {
        const tokenizerJson = make();
        for (const edit of edits) applyEdit(tokenizerJson, edit);
        try {
          const tokenizer = Tokenizer.fromFiles({ tokenizerJson });
          for (const text of probes) tokenizer.decode(tokenizer.encode(text));
          loaded++;
        } catch (error) {
          if (!isMarianaError(error)) throw error;
          expect(error.code).toBe('TOKENIZER_INVALID');
        }
      }),
      { numRuns: 2000 },
    );
    expect(loaded).toBeGreaterThan(100);
  });

  it('cut off or overwritten in its text is refused, or is still JSON', () => {
    const text = JSON.stringify(byteLevelJson());
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(20), fc.string({ maxLength: 3 }), (at, drop, insert) => {
        load({ tokenizerJson: text.slice(0, at) + insert + text.slice(at + drop) });
        load({ tokenizerJson: text.slice(0, at) });
      }),
      { numRuns: 300 },
    );
  });

  it('of any JSON at all is refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(load({ tokenizerJson: value })).not.toBe('loaded');
        expect(load({ tokenizerJson: JSON.stringify(value) })).not.toBe('loaded');
      }),
    );
  });
});

describe('tokenizer_config.json and generation_config.json', () => {
  it.each<[Record<string, unknown>, RegExp]>([
    [{ tokenizerConfig: '{' }, /^tokenizer_config.json is not JSON/],
    [{ tokenizerConfig: [] }, /^tokenizer_config.json must be a JSON object/],
    [{ tokenizerConfig: { bos_token: 7 } }, /tokenizer_config.json: bos_token must be a token's text, not 7/],
    [{ tokenizerConfig: { eos_token: { content: null } } }, /eos_token must be a token's text/],
    [{ tokenizerConfig: { eos_token: '<eos>' } }, /eos_token is "<eos>", not in tokenizer.json/],
    [{ tokenizerConfig: { add_bos_token: true } }, /add_bos_token is true, but there is no bos_token/],
    [{ tokenizerConfig: { add_bos_token: 'yes' } }, /add_bos_token must be true or false/],
    [{ tokenizerConfig: { additional_special_tokens: '<s>' } }, /additional_special_tokens must be an array/],
    [{ tokenizerConfig: { chat_template: 7 } }, /chat_template must be a text or an array/],
    [
      { tokenizerConfig: { chat_template: [{ name: 'default' }] } },
      /chat_template\[0\] must have a name and a template/,
    ],
    [{ generationConfig: { eos_token_id: 'x' } }, /^generation_config.json: eos_token_id must be an id, not "x"/],
    [{ generationConfig: { eos_token_id: [1, 999] } }, /gives the token id 999, which tokenizer.json does not have/],
    [{ chatTemplate: '{% if %}' }, /^chat template cannot be read/],
    [{ chatTemplate: 7 }, /^chat template must be a text, not 7/],
  ])('are refused as in %j', (files, message) => {
    expect(load({ tokenizerJson: byteLevelJson(), ...files })).toMatch(message);
  });

  it('of any JSON are refused or do no harm', () => {
    const keys = ['bos_token', 'eos_token', 'add_bos_token', 'additional_special_tokens', 'chat_template', 'x'];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 })), (config) => {
        load({ tokenizerJson: byteLevelJson(), tokenizerConfig: config, generationConfig: config });
      }),
    );
  });
});

/** Sets what lies at `path` in a tree of JSON. */
function setAt(root: object, path: readonly string[], value: unknown): void {
  const parent = path.slice(0, -1).reduce<unknown>((node, key) => Reflect.get(node as object, key), root);
  Reflect.set(parent as object, path.at(-1)!, value);
}

function splitWith(settings: object): object {
  const split = { type: 'Split', pattern: { Regex: 'x' }, ...settings };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  return { type: 'Sequence', pretokenizers: [split, bytes] };
}

function metaspaceWith(settings: object): object {
  return { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false, ...settings };
}

function sequenceA(): object {
  return { Sequence: { id: 'A', type_id: 0 } };
}

function templateOf(single: object[], special_tokens = {}): object {
  return { type: 'TemplateProcessing', single, special_tokens };
}

function templateWithIds(ids: number[]): object {
  return templateOf([{ SpecialToken: { id: '<s>' } }, sequenceA()], { '<s>': { id: '<s>', ids, tokens: ['<s>'] } });
}

function nested(type: string, key: string, depth: number): object {
  return depth === 0 ? { type, [key]: [] } : { type, [key]: [nested(type, key, depth - 1)] };
}

/** One change somewhere in a JSON tree: `path` picks a child at each level, by number. */
interface Edit {
  path: number[];
  value: { remove: true } | { set: unknown };
}

/** Values that stand in a tokenizer.json, so that damage goes deeper than a wrong type. */
const plausible = fc.constantFrom<unknown>(
  ...['Sequence', 'ByteLevel', 'Replace', 'Split', 'NFC', 'ByteFallback', 'Fuse', 'Strip', 'Isolated', 'Removed'],
  ...['', ' ', '▁', 'the', '<s>', '(', '.', '\\p{L}+', '(?!', '[', '$&'],
  ...[true, false, null, 0, 1, 259, 4_194_303, -1, 1e300],
  ...[{}, [], { Regex: '' }, { Regex: '\\s|x*' }, { String: '' }, { type: 'NFKC' }, { type: 'ByteLevel' }],
);

const damages = fc.array(
  fc.record<Edit>({
    path: fc.array(fc.nat(400), { minLength: 1, maxLength: 5 }),
    value: fc.oneof(
      fc.constant({ remove: true as const }),
      fc.record({ set: fc.oneof(plausible, fc.jsonValue({ maxDepth: 1 })) }),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

function applyEdit(root: object, { path, value }: Edit): void {
  let node = root;
  for (const [level, pick] of path.entries()) {
    const keys = Object.keys(node);
    if (keys.length === 0) return;
    const key = keys[pick % keys.length]!;
    const child: unknown = Reflect.get(node, key);
    if (level === path.length - 1 || typeof child !== 'object' || child === null) {
      if ('set' in value) Reflect.set(node, key, structuredClone(value.set));
      else if (Array.isArray(node)) node.splice(Number(key), 1);
      else Reflect.deleteProperty(node, key);
      return;
    }
    node = child;
  }
}
