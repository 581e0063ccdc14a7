/**
 * How a text is cut into words before byte pairs are merged. A tokenizer.json spells the cuts out, a GGUF file only
 * names them; this is the table between the two. The cuts are facts of the published tokenizers (their tokenizer.json;
 * for Kimi, tokenization_kimi.py), as llama.cpp's `llm_tokenizer_bpe` has them too (src/llama-vocab.cpp).
 */

import type { JsonObject } from '../../../config/model-config.ts';

/** A way to cut that llama.cpp knows by name (`tokenizer.ggml.pre`). */
export type PreTokenizerName = 'deepseek-v3' | 'deepseek-llm' | 'gpt-2' | 'kimi-k2';

const isolate = (regex: string): JsonObject => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});

const byteLevel = (use_regex: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});

const sequence = (...pretokenizers: JsonObject[]): JsonObject => ({ type: 'Sequence', pretokenizers });

const DEEPSEEK_V3_CJK = '[一-龥぀-ゟ゠-ヿ]+';
const DEEPSEEK_LLM_PUNCTUATION = '\\s?[!-/:-~！-／：-～‘-‟　-。]+';

/** The letters of DeepSeek-LLM's words, as ranges of code points: those with a case, as of an older Unicode. */
const LETTERS = characters(
  [
    '41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c',
    '38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b',
    '1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4',
    '1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113',
    '2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183 2184 2c00-2c7b',
    '2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06',
    'fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df',
    '1e900-1e943',
  ].join(' '),
);

/** Kimi's words: not Han, capitals before small letters, an English contraction after them. */
const KIMI_CAPITAL = '(?:(?!\\p{Script=Han})[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])';
const KIMI_SMALL = '(?:(?!\\p{Script=Han})[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])';
const KIMI_CONTRACTION = "(?:'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))?";
const KIMI = [
  '\\p{Script=Han}+',
  `[^\\r\\n\\p{L}\\p{N}]?${KIMI_CAPITAL}*${KIMI_SMALL}+${KIMI_CONTRACTION}`,
  `[^\\r\\n\\p{L}\\p{N}]?${KIMI_CAPITAL}+${KIMI_SMALL}*${KIMI_CONTRACTION}`,
  '\\p{N}{1,3}',
  ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*',
  '\\s*[\\r\\n]+',
  '\\s+(?!\\S)',
  '\\s+',
].join('|');

const PRE_TOKENIZERS: Readonly<Record<PreTokenizerName, JsonObject>> = {
  'deepseek-v3': sequence(
    isolate('\\p{N}{1,3}'),
    isolate(DEEPSEEK_V3_CJK),
    isolate(
      '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    ),
    byteLevel(false),
  ),
  'deepseek-llm': sequence(
    isolate('[\\r\\n]'),
    isolate(`\\s?[${LETTERS}]+`),
    isolate(DEEPSEEK_LLM_PUNCTUATION),
    isolate('\\s+$'),
    isolate('[一-龥ࠀ-一가-퟿]+'),
    { type: 'Digits', individual_digits: true },
    byteLevel(false),
  ),
  'gpt-2': byteLevel(true),
  'kimi-k2': sequence(isolate(KIMI), byteLevel(false)),
};

/** Ranges of hexadecimal code points as the inside of a character class. */
function characters(ranges: string): string {
  const spelled = (code: string) => String.fromCodePoint(Number.parseInt(code, 16));
  return ranges
    .split(' ')
    .map((range) => range.split('-').map(spelled).join('-'))
    .join('');
}

/** Every name that is known, for messages. */
export const PRE_TOKENIZER_NAMES = Object.keys(PRE_TOKENIZERS) as readonly PreTokenizerName[];

/** The `pre_tokenizer` of a tokenizer.json that a name stands for; undefined for a name that is not known. */
export function preTokenizerOf(name: string): JsonObject | undefined {
  return Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name as PreTokenizerName] : undefined;
}

/** The name of a `pre_tokenizer`, known by the step that no other has; undefined where there is no name for it. */
export function preTokenizerName(preTokenizer: unknown): PreTokenizerName | undefined {
  const text = JSON.stringify(preTokenizer ?? null);
  const has = (regex: string) => text.includes(JSON.stringify(regex));
  if (has(DEEPSEEK_V3_CJK)) return 'deepseek-v3';
  if (has(DEEPSEEK_LLM_PUNCTUATION)) return 'deepseek-llm';
  if (has(KIMI)) return 'kimi-k2';
  return isGpt2(preTokenizer) ? 'gpt-2' : undefined;
}

/** One `ByteLevel` with its own split and nothing before it. */
function isGpt2(step: unknown): boolean {
  if (typeof step !== 'object' || step === null || !('type' in step)) return false;
  if (step.type === 'Sequence' && 'pretokenizers' in step && Array.isArray(step.pretokenizers)) {
    return step.pretokenizers.length === 1 && isGpt2(step.pretokenizers[0]);
  }
  const split = !('use_regex' in step) || step.use_regex === true;
  const prefix = 'add_prefix_space' in step && step.add_prefix_space === true;
  return step.type === 'ByteLevel' && split && !prefix;
}
