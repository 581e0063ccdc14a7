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

/** Every cased letter: Latin, Greek, Cyrillic, Georgian, Cherokee and their like. */
const CASED =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼ' +
  'ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';

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
    isolate(`\\s?[${CASED}]+`),
    isolate(DEEPSEEK_LLM_PUNCTUATION),
    isolate('\\s+$'),
    isolate('[一-龥ࠀ-一가-퟿]+'),
    { type: 'Digits', individual_digits: true },
    byteLevel(false),
  ),
  'gpt-2': byteLevel(true),
  'kimi-k2': sequence(isolate(KIMI), byteLevel(false)),
};

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
