/**
 * Reads a Hugging Face tokenizer.json into a checked form. The library that encodes is lenient: it skips what it does
 * not know, ignores contradictions, and then gives other ids than the tokenizer's authors meant. A language model fed
 * wrong ids fails without a word, so this reader admits what is encoded exactly and refuses the rest, naming the key.
 * Only byte-pair models are read: every DeepSeek tokenizer is one. The processing steps around the model are read in
 * `pipeline.ts`.
 */
import { invalid, isObject, type JsonObject, readObject, shown } from './invalid.ts';
import {
  type DecodeRules,
  readDecoder,
  readNormalizer,
  readPostProcessor,
  readPreTokenizer,
  type Surroundings,
} from './pipeline.ts';

/** One processing step of a tokenizer.json: its `type` and that type's own settings. */
export interface TokenizerStep {
  readonly type: string;
  readonly [setting: string]: unknown;
}

/** A token that is matched in the text before anything is split or merged. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  /** Whether white space to the left of the token belongs to it. */
  readonly lstrip: boolean;
  /** Whether white space to the right of the token belongs to it. */
  readonly rstrip: boolean;
  /** Whether the token is looked for in the normalized text instead of the text as given. */
  readonly normalized: boolean;
  /** Whether decoding may leave it out (`skipSpecialTokens`). */
  readonly special: boolean;
}

/** The byte-pair model: vocabulary and merges, the earlier merge going first. */
export interface BpeModel {
  readonly type: 'BPE';
  readonly dropout: null;
  readonly unk_token: string | null;
  readonly continuing_subword_prefix: null;
  readonly end_of_word_suffix: null;
  readonly fuse_unk: boolean;
  readonly byte_fallback: boolean;
  readonly ignore_merges: boolean;
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly string[] | readonly (readonly [string, string])[];
}

/** A Hugging Face tokenizer.json, as `trainBpe` makes one. `JSON.stringify` of it is the file. */
export interface TokenizerJson {
  readonly version: string;
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: TokenizerStep | null;
  readonly pre_tokenizer: TokenizerStep | null;
  readonly post_processor: TokenizerStep | null;
  readonly decoder: TokenizerStep | null;
  readonly model: BpeModel;
}

/** What this package makes of a tokenizer.json. */
export interface CheckedTokenizer {
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: TokenizerStep | null;
  readonly preTokenizer: TokenizerStep | null;
  readonly model: BpeModel;
  /** Every token's string by its id, those of `addedTokens` among them. */
  readonly tokens: ReadonlyMap<number, string>;
  /** Every token's id by its string. */
  readonly ids: ReadonlyMap<string, number>;
  readonly surroundings: Surroundings;
  readonly decodeRules: DecodeRules;
}

const FILE = 'tokenizer.json';

/** Ids must stay below this, so that a damaged file cannot ask for a table of any size. The largest in use are 2^18. */
const MAX_TOKENS = 2 ** 22;

/**
 * Checks a tokenizer.json, given as its text or as parsed JSON.
 * @throws MarianaError `TOKENIZER_INVALID`
 */
export function readTokenizerJson(input: unknown): CheckedTokenizer {
  const json = readObject(FILE, input);
  const tokens = new Map<number, string>();
  const ids = new Map<string, number>();
  const model = readModel(json.model, tokens, ids);
  const addedTokens = readAddedTokens(json.added_tokens, tokens, ids);
  if (model.unk_token !== null && !ids.has(model.unk_token)) {
    throw invalid(FILE, 'model.unk_token', `is ${shown(model.unk_token)}, which the vocabulary does not have`);
  }
  return {
    addedTokens,
    normalizer: readNormalizer(json.normalizer),
    preTokenizer: readPreTokenizer(json.pre_tokenizer),
    model,
    tokens,
    ids,
    surroundings: readPostProcessor(json.post_processor, ids),
    decodeRules: readDecoder(json.decoder),
  };
}

function readModel(value: unknown, tokens: Map<number, string>, ids: Map<string, number>): BpeModel {
  if (!isObject(value)) throw invalid(FILE, 'model', `must be an object, not ${shown(value)}`);
  if (value.type !== 'BPE') {
    throw invalid(FILE, 'model.type', `is ${shown(value.type)}; Mariana reads byte-pair tokenizers ("BPE")`);
  }
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix', 'dropout']) {
    const setting = value[key];
    if (setting !== undefined && setting !== null && setting !== '' && setting !== 0) {
      throw invalid(FILE, `model.${key}`, `is ${shown(setting)}, which is not supported; it must be null`);
    }
  }
  if (!isObject(value.vocab)) throw invalid(FILE, 'model.vocab', `must be an object, not ${shown(value.vocab)}`);
  readVocab(value.vocab, tokens, ids);
  return {
    type: 'BPE',
    dropout: null,
    unk_token: value.unk_token === undefined || value.unk_token === null ? null : readString(value, 'unk_token'),
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: readFlag(value, 'fuse_unk', 'model'),
    byte_fallback: readFlag(value, 'byte_fallback', 'model'),
    ignore_merges: readFlag(value, 'ignore_merges', 'model'),
    vocab: value.vocab as Record<string, number>,
    merges: readMerges(value.merges, ids),
  };
}

// The vocabulary and the merges have a hundred thousand entries each: nothing is put into words until it is wrong.

function readVocab(vocab: JsonObject, tokens: Map<number, string>, ids: Map<string, number>): void {
  for (const token of Object.keys(vocab)) {
    const id = vocab[token];
    if (!isId(id)) throw notAnId(id, `model.vocab[${shown(token)}]`);
    const other = tokens.get(id);
    if (other !== undefined) throw invalid(FILE, `model.vocab[${shown(token)}]`, `has the id ${id} of ${shown(other)}`);
    tokens.set(id, token);
    ids.set(token, id);
  }
  if (tokens.size === 0) throw invalid(FILE, 'model.vocab', 'is empty');
}

function readMerges(value: unknown, ids: ReadonlyMap<string, number>): [string, string][] {
  if (!Array.isArray(value)) throw invalid(FILE, 'model.merges', `must be an array, not ${shown(value)}`);
  return value.map((merge: unknown, index) => {
    const [left, right, more]: unknown[] =
      typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    if (typeof left !== 'string' || typeof right !== 'string' || more !== undefined) {
      const expected = 'must be two tokens ("a b" or ["a", "b"])';
      throw invalid(FILE, `model.merges[${index}]`, `${expected}, not ${shown(merge)}`);
    }
    const missing = [left, right, left + right].find((token) => !ids.has(token));
    if (missing !== undefined) {
      throw invalid(FILE, `model.merges[${index}]`, `needs ${shown(missing)}, which model.vocab lacks`);
    }
    return [left, right];
  });
}

/** Reads the added tokens and enters them in `tokens` and `ids`. */
function readAddedTokens(value: unknown, tokens: Map<number, string>, ids: Map<string, number>): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(FILE, 'added_tokens', `must be an array, not ${shown(value)}`);
  return value.map((entry: unknown, index) => {
    const path = `added_tokens[${index}]`;
    if (!isObject(entry)) throw invalid(FILE, path, `must be an object, not ${shown(entry)}`);
    const { content } = entry;
    if (typeof content !== 'string' || content === '') {
      throw invalid(FILE, `${path}.content`, `must be a text of at least one character, not ${shown(content)}`);
    }
    const { id } = entry;
    if (!isId(id)) throw notAnId(id, `${path}.id`);
    if ((tokens.get(id) ?? content) !== content || (ids.get(content) ?? id) !== id) {
      const clash = tokens.get(id) ?? `id ${ids.get(content)}`;
      throw invalid(FILE, path, `gives ${shown(content)} the id ${id}, which contradicts ${shown(clash)}`);
    }
    tokens.set(id, content);
    ids.set(content, id);
    if (readFlag(entry, 'single_word', path)) {
      throw invalid(FILE, `${path}.single_word`, 'is true, which is not supported');
    }
    const special = readFlag(entry, 'special', path);
    return {
      id,
      content,
      single_word: false,
      lstrip: readFlag(entry, 'lstrip', path),
      rstrip: readFlag(entry, 'rstrip', path),
      normalized: entry.normalized === undefined ? !special : readFlag(entry, 'normalized', path),
      special,
    };
  });
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_TOKENS;
}

function notAnId(value: unknown, path: string) {
  return invalid(FILE, path, `must be an integer from 0 to ${MAX_TOKENS - 1}, not ${shown(value)}`);
}

function readFlag(object: JsonObject, key: string, path: string): boolean {
  const value = object[key] ?? false;
  if (typeof value !== 'boolean') throw invalid(FILE, `${path}.${key}`, `must be true or false, not ${shown(value)}`);
  return value;
}

function readString(object: JsonObject, key: string): string {
  const value = object[key];
  if (typeof value !== 'string') throw invalid(FILE, `model.${key}`, `must be a text, not ${shown(value)}`);
  return value;
}
