/**
 * A tokenizer.json as the metadata of a GGUF file: tokens with their types by id, merges, and the name of the way in
 * which text is cut (conversion/base.py `get_vocab_base`; gguf-py/gguf/vocab.py `SpecialVocab`).
 */

import { MarianaError } from '../../../errors.ts';
import { parseJson } from '../../files/json.ts';
import { quote } from '../../quote.ts';
import type { GgufMetadata, GgufValue } from '../value.ts';
import { PLACEHOLDER_KEY, TOKEN_TYPE } from './from-metadata.ts';
import { preTokenizerName } from './pre-tokenizers.ts';

/** A tokenizer to be written. */
export interface GgufTokenizerToWrite {
  /** tokenizer.json, as text or parsed. It must be a byte-level BPE, and consistent: `Tokenizer.fromFiles` checks that. */
  readonly tokenizerJson: unknown;
  readonly bosTokenId?: number | undefined;
  /** Tokens that end a text, the usual one first. */
  readonly eosTokenIds?: readonly number[];
  readonly padTokenId?: number | undefined;
  /** Whether BOS is put before a text, and EOS after it. */
  readonly addBosToken?: boolean;
  readonly addEosToken?: boolean;
  /** Jinja sources by name; `default` is the one that a program takes unless told otherwise. */
  readonly chatTemplates?: ReadonlyMap<string, string>;
}

/** The metadata of a tokenizer, and what they cannot say. */
export interface TokenizerMetadata {
  readonly metadata: GgufMetadata;
  readonly warnings: readonly string[];
}

const KEY = 'tokenizer.ggml';

/** What stands for a way of cutting text that has no name; of those with one it is the most like any other. */
const NEAREST = 'deepseek-v3';

/** Tokens that are markup whatever the tokenizer says of them: `<｜User｜>`. */
const MARKUP = /^<｜.*｜>$/u;

/**
 * The metadata of a tokenizer, for a model with `vocabSize` token ids; ids without a token get one that is never used.
 *
 * Where text is cut in a way that has no name in GGUF files, the nearest name is written, and the whole tokenizer.json
 * beside it (`tokenizer.huggingface.json`): a reader that knows that key, as Mariana does, encodes exactly.
 *
 * @throws MarianaError `TOKENIZER_INVALID` if it is no byte-level BPE, or has ids that the model has not.
 */
export function tokenizerMetadata(tokenizer: GgufTokenizerToWrite, vocabSize: number): TokenizerMetadata {
  const json = readJson(tokenizer.tokenizerJson);
  const { bosTokenId, eosTokenIds = [], padTokenId } = tokenizer;
  const { tokens, types } = tokenList(json, vocabSize, new Set([bosTokenId, ...eosTokenIds]));
  const pre = preTokenizerName(json.pre_tokenizer);
  const isPlain = pre !== undefined && !isNormalizing(json.normalizer);
  const ids: [string, number | undefined][] = [
    ['bos', bosTokenId],
    ['eos', eosTokenIds[0]],
    ['eot', eosTokenIds[1]],
    ['eom', eosTokenIds[2]],
    ['padding', padTokenId],
  ];
  const metadata = new Map<string, GgufValue>([
    [`${KEY}.model`, { type: 'string', value: 'gpt2' }],
    [`${KEY}.pre`, { type: 'string', value: pre ?? NEAREST }],
    [`${KEY}.tokens`, { type: 'array', of: 'string', value: tokens }],
    [`${KEY}.token_type`, { type: 'array', of: 'i32', value: types }],
    [`${KEY}.merges`, { type: 'array', of: 'string', value: mergeList(json) }],
  ]);
  for (const [name, id] of ids) {
    if (id !== undefined) metadata.set(`${KEY}.${name}_token_id`, { type: 'u32', value: id });
  }
  metadata.set(`${KEY}.add_bos_token`, { type: 'bool', value: tokenizer.addBosToken ?? false });
  metadata.set(`${KEY}.add_eos_token`, { type: 'bool', value: tokenizer.addEosToken ?? false });
  addTemplates(metadata, tokenizer.chatTemplates ?? new Map());
  if (isPlain) return { metadata, warnings: [] };
  metadata.set('tokenizer.huggingface.json', { type: 'string', value: JSON.stringify(json) });
  return {
    metadata,
    warnings: [`llama.cpp has no name for the way in which this tokenizer cuts text; it will cut as ${NEAREST} does`],
  };
}

/**
 * The metadata of a model without a tokenizer. llama.cpp's programs do not load one that has none at all, so single bytes
 * stand in for tokens, and a key of our own says that they mean nothing: Mariana then has no tokenizer either.
 */
export function placeholderMetadata(
  vocabSize: number,
  { bosTokenId, eosTokenIds }: { readonly bosTokenId: number | null; readonly eosTokenIds: readonly number[] },
): GgufMetadata {
  const special = new Map<number, string>();
  for (const [i, id] of eosTokenIds.entries()) special.set(id, `[EOS${i}]`);
  if (bosTokenId !== null) special.set(bosTokenId, '[BOS]');
  const bytes = byteAlphabet();
  const tokens: string[] = [];
  const types: number[] = [];
  for (let id = 0; id < vocabSize; id++) {
    const name = special.get(id);
    const byte = name === undefined ? bytes.shift() : undefined;
    tokens.push(name ?? byte ?? `[PAD${id}]`);
    types.push(name !== undefined ? TOKEN_TYPE.control : byte !== undefined ? TOKEN_TYPE.normal : TOKEN_TYPE.unused);
  }
  const metadata = new Map<string, GgufValue>([
    [`${KEY}.model`, { type: 'string', value: 'gpt2' }],
    [`${KEY}.pre`, { type: 'string', value: 'gpt-2' }],
    [`${KEY}.tokens`, { type: 'array', of: 'string', value: tokens }],
    [`${KEY}.token_type`, { type: 'array', of: 'i32', value: types }],
    [`${KEY}.merges`, { type: 'array', of: 'string', value: [] }],
    [`${KEY}.add_bos_token`, { type: 'bool', value: false }],
    [PLACEHOLDER_KEY, { type: 'bool', value: true }],
  ]);
  if (bosTokenId !== null) metadata.set(`${KEY}.bos_token_id`, { type: 'u32', value: bosTokenId });
  const [eos] = eosTokenIds;
  if (eos !== undefined) metadata.set(`${KEY}.eos_token_id`, { type: 'u32', value: eos });
  return metadata;
}

/** Characters that byte-level tokenizers write bytes in: those that print as they are, the others from U+0100 on. */
function byteAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const char = String.fromCharCode(byte);
    return /[!-~¡-¬®-ÿ]/.test(char) ? char : String.fromCharCode(next++);
  });
}

type Json = Readonly<Record<string, unknown>>;

function readJson(given: unknown): Json & { readonly model: Json } {
  const json = typeof given === 'string' ? parseJson(given, 'tokenizer.json') : given;
  if (!isObject(json) || !isObject(json.model)) throw invalid('it has no model');
  const { type, byte_fallback } = json.model;
  if (type !== 'BPE' || byte_fallback === true || !JSON.stringify(json.decoder ?? null).includes('"ByteLevel"')) {
    throw invalid('a GGUF file of this family holds byte-level BPE tokenizers only');
  }
  return json as Json & { readonly model: Json };
}

function tokenList(
  json: Json & { readonly model: Json },
  vocabSize: number,
  special: ReadonlySet<number | undefined>,
): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocabSize).fill(TOKEN_TYPE.unused);
  const set = (id: unknown, content: unknown, type: number) => {
    if (typeof id !== 'number' || !(id in tokens) || typeof content !== 'string') {
      throw invalid(`token ${quote(String(content))} has the id ${String(id)}, the model has ${vocabSize} ids`);
    }
    tokens[id] = content;
    types[id] = type;
  };
  const vocab = isObject(json.model.vocab) ? json.model.vocab : {};
  for (const [content, id] of Object.entries(vocab)) set(id, content, TOKEN_TYPE.normal);
  for (const added of Array.isArray(json.added_tokens) ? json.added_tokens : []) {
    const { id, content, special: isSpecial } = isObject(added) ? added : {};
    const control = isSpecial === true || special.has(id as number) || MARKUP.test(String(content));
    set(id, content, control ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined);
  }
  return { tokens, types };
}

function mergeList({ model }: { readonly model: Json }): string[] {
  const merges = Array.isArray(model.merges) ? model.merges : [];
  return merges.map((merge: unknown) => (Array.isArray(merge) ? merge.join(' ') : String(merge)));
}

/** Whether a normalizer does anything: an empty sequence does not. */
function isNormalizing(normalizer: unknown): boolean {
  if (normalizer === null || normalizer === undefined) return false;
  return !(isObject(normalizer) && Array.isArray(normalizer.normalizers) && normalizer.normalizers.length === 0);
}

function addTemplates(metadata: Map<string, GgufValue>, templates: ReadonlyMap<string, string>): void {
  const others = [...templates.keys()].filter((name) => name !== 'default');
  const main = templates.get('default');
  if (main !== undefined) metadata.set('tokenizer.chat_template', { type: 'string', value: main });
  if (others.length === 0) return;
  metadata.set('tokenizer.chat_templates', { type: 'array', of: 'string', value: others });
  for (const name of others) {
    metadata.set(`tokenizer.chat_template.${name}`, { type: 'string', value: templates.get(name)! });
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): MarianaError {
  return new MarianaError('TOKENIZER_INVALID', `tokenizer.json cannot be written as GGUF: ${what}`);
}
