/**
 * Reads tokenizer_config.json and the token ids of generation_config.json: which tokens begin, end and pad a text,
 * whether a text gets them when it is encoded, and the chat templates. Keys that mean nothing here are left alone.
 */
import { invalid, isObject, type JsonObject, readObject, shown } from './invalid.ts';

/** What this package makes of a tokenizer_config.json; tokens are given by their text. */
export interface CheckedConfig {
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly padToken: string | undefined;
  readonly additionalSpecialTokens: readonly string[];
  /** Whether encoding begins with the BOS token; undefined leaves that to the post-processor. */
  readonly addBosToken: boolean | undefined;
  /** Whether encoding ends with the EOS token; undefined leaves that to the post-processor. */
  readonly addEosToken: boolean | undefined;
  /** Jinja sources by name; a file with a single template has it under 'default'. */
  readonly chatTemplates: ReadonlyMap<string, string>;
}

/** The token ids of a generation_config.json (config.json has the same keys). */
export interface GenerationIds {
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
}

const FILE = 'tokenizer_config.json';

/**
 * Checks a tokenizer_config.json, given as its text or as parsed JSON.
 * @throws MarianaError `TOKENIZER_INVALID`
 */
export function readTokenizerConfig(input: unknown): CheckedConfig {
  const json = readObject(FILE, input);
  const additional = json.additional_special_tokens ?? [];
  if (!Array.isArray(additional)) {
    throw invalid(FILE, 'additional_special_tokens', `must be an array, not ${shown(additional)}`);
  }
  return {
    bosToken: readToken(json.bos_token, 'bos_token'),
    eosToken: readToken(json.eos_token, 'eos_token'),
    padToken: readToken(json.pad_token, 'pad_token'),
    additionalSpecialTokens: additional.flatMap(
      (entry: unknown, index) => readToken(entry, `additional_special_tokens[${index}]`) ?? [],
    ),
    addBosToken: readFlag(json, 'add_bos_token'),
    addEosToken: readFlag(json, 'add_eos_token'),
    chatTemplates: readTemplates(json.chat_template),
  };
}

/**
 * Checks the token ids of a generation_config.json or config.json, given as its text or as parsed JSON.
 * @throws MarianaError `TOKENIZER_INVALID`
 */
export function readGenerationIds(input: unknown): GenerationIds {
  const json = readObject('generation_config.json', input);
  const eos = json.eos_token_id ?? [];
  return {
    bosTokenId: readId(json.bos_token_id, 'bos_token_id'),
    eosTokenIds: (Array.isArray(eos) ? eos : [eos]).flatMap((id: unknown) => readId(id, 'eos_token_id') ?? []),
    padTokenId: readId(json.pad_token_id, 'pad_token_id'),
  };
}

/** A token stands as its text, or as an object with the text as its `content`. */
function readToken(value: unknown, path: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  const text = isObject(value) ? value.content : value;
  if (typeof text !== 'string') throw invalid(FILE, path, `must be a token's text, not ${shown(text)}`);
  return text;
}

/** One template, or several as `[{name, template}]`. */
function readTemplates(value: unknown): Map<string, string> {
  if (value === undefined || value === null) return new Map();
  if (typeof value === 'string') return new Map([['default', value]]);
  if (!Array.isArray(value)) throw invalid(FILE, 'chat_template', `must be a text or an array, not ${shown(value)}`);
  return new Map(
    value.map((entry: unknown, index) => {
      if (!isObject(entry) || typeof entry.name !== 'string' || typeof entry.template !== 'string') {
        throw invalid(FILE, `chat_template[${index}]`, 'must have a name and a template');
      }
      return [entry.name, entry.template];
    }),
  );
}

function readFlag(json: JsonObject, key: string): boolean | undefined {
  const value = json[key] ?? undefined;
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalid(FILE, key, `must be true or false, not ${shown(value)}`);
  }
  return value;
}

function readId(value: unknown, path: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Number.isInteger(value)) throw invalid('generation_config.json', path, `must be an id, not ${shown(value)}`);
  return value as number;
}
