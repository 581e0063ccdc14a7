/**
 * The tokenizer in a GGUF file as the files of a Hugging Face checkpoint: tokenizer.json and what belongs to it. A file
 * lists tokens with their types and merges, and names the way in which text is cut into words.
 */

import type { JsonObject, JsonValue } from '../../../config/model-config.ts';
import { MarianaError } from '../../../errors.ts';
import { quote } from '../../quote.ts';
import type { GgufFile } from '../gguf-file.ts';
import { MetadataKeys } from '../metadata-keys.ts';
import { PRE_TOKENIZER_NAMES, preTokenizerOf } from './pre-tokenizers.ts';

/** What a checkpoint's tokenizer is made of, as parsed JSON or, for tokenizer.json, perhaps as its text. */
export interface GgufTokenizer {
  readonly tokenizerJson: JsonObject | string;
  readonly tokenizerConfig: JsonObject;
  readonly generationConfig: JsonObject;
}

/** Token types of ggml (`llama_token_type`). */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 } as const;

/** Says that the tokenizer of a file only stands in for one; `ggufModel` writes it where there is none. */
export const PLACEHOLDER_KEY = 'mariana.placeholder_tokenizer';

const KEY = 'tokenizer.ggml';

/**
 * The tokenizer of a file, or null if it has none. A whole tokenizer.json in the file (`tokenizer.huggingface.json`) goes
 * before the lists.
 *
 * Normal tokens become the vocabulary; control and user-defined ones become added tokens, special or not; unused ones
 * are left out, as they stand for ids without a token. Whether a text begins with BOS is left to what the file says.
 *
 * @throws MarianaError `TOKENIZER_INVALID` for another kind of tokenizer, a way to cut text that is not known, or lists
 *   that contradict each other; `CONFIG_INVALID` for a key of another type.
 */
export function tokenizerFromGguf(file: GgufFile): GgufTokenizer | null {
  const keys = new MetadataKeys(file.metadata, file.name);
  const model = keys.text(`${KEY}.model`) ?? 'none';
  if (model === 'none' || model === 'no_vocab' || keys.flag(PLACEHOLDER_KEY)) return null;
  const tokens = keys.texts(`${KEY}.tokens`) ?? [];
  const named = namedTokens(keys, tokens);
  return {
    tokenizerJson: keys.text('tokenizer.huggingface.json') ?? tokenizerJson(keys, model, tokens, named),
    tokenizerConfig: tokenizerConfig(keys, tokens, named),
    generationConfig: generationConfig(named),
  };
}

type NamedTokens = ReadonlyMap<string, number>;

/** Ids of the tokens that have a part to play: `bos`, `eos`, `eot`, `eom`, `padding`, `unknown`. */
function namedTokens(keys: MetadataKeys, tokens: readonly string[]): NamedTokens {
  const named = new Map<string, number>();
  for (const name of ['bos', 'eos', 'eot', 'eom', 'padding', 'unknown']) {
    const id = keys.whole(`${KEY}.${name}_token_id`);
    if (id === undefined) continue;
    if (tokens[id] === undefined) throw invalid(keys, `${KEY}.${name}_token_id is ${id}, which no token has`);
    named.set(name, id);
  }
  return named;
}

function tokenizerJson(keys: MetadataKeys, model: string, tokens: readonly string[], named: NamedTokens): JsonObject {
  if (model !== 'gpt2') {
    throw invalid(keys, `its tokenizer is of the kind ${quote(model)}; read are byte-level ones ("gpt2")`);
  }
  const pre = keys.text(`${KEY}.pre`) ?? 'default';
  const pre_tokenizer = preTokenizerOf(pre);
  if (pre_tokenizer === undefined) {
    const known = PRE_TOKENIZER_NAMES.join(', ');
    throw invalid(keys, `its tokenizer cuts text by ${quote(pre)}; known are ${known}`);
  }
  const types = keys.wholes(`${KEY}.token_type`) ?? tokens.map(() => TOKEN_TYPE.normal);
  if (types.length !== tokens.length) {
    throw invalid(keys, `it has ${tokens.length} tokens, but the types of ${types.length}`);
  }
  const special = new Set(named.values());
  const vocab = new Map<string, number>();
  const added_tokens: JsonObject[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id]!;
    if (type === TOKEN_TYPE.normal && !special.has(id)) {
      if (vocab.has(content)) throw invalid(keys, `tokens ${vocab.get(content)} and ${id} are both ${quote(content)}`);
      vocab.set(content, id);
    } else if (type !== TOKEN_TYPE.unused || special.has(id)) {
      added_tokens.push({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: type !== TOKEN_TYPE.userDefined,
      });
    }
  }
  const decoder = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens,
    normalizer: null,
    pre_tokenizer,
    post_processor: null,
    decoder,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges: keys.texts(`${KEY}.merges`) ?? [],
    },
  };
}

function tokenizerConfig(keys: MetadataKeys, tokens: readonly string[], named: NamedTokens): JsonObject {
  const config: Record<string, JsonValue> = {};
  for (const [key, name] of [
    ['bos_token', 'bos'],
    ['eos_token', 'eos'],
    ['pad_token', 'padding'],
  ] as const) {
    const id = named.get(name);
    if (id !== undefined) config[key] = tokens[id]!;
  }
  for (const name of ['bos', 'eos']) {
    const flag = keys.flag(`${KEY}.add_${name}_token`);
    if (flag !== undefined && (named.has(name) || !flag)) config[`add_${name}_token`] = flag;
  }
  const template = keys.text('tokenizer.chat_template');
  const others = (keys.texts('tokenizer.chat_templates') ?? []).flatMap((name) => {
    const source = keys.text(`tokenizer.chat_template.${name}`);
    return source === undefined ? [] : [{ name, template: source }];
  });
  if (others.length > 0) {
    const first = template === undefined ? [] : [{ name: 'default', template }];
    config.chat_template = [...first, ...others];
  } else if (template !== undefined) config.chat_template = template;
  return config;
}

function generationConfig(named: NamedTokens): JsonObject {
  const ids = new Set(['eos', 'eot', 'eom'].flatMap((name) => named.get(name) ?? []));
  return ids.size === 0 ? {} : { eos_token_id: [...ids] };
}

function invalid(keys: MetadataKeys, what: string): MarianaError {
  return new MarianaError(
    'TOKENIZER_INVALID',
    `${keys.source}: ${what}; put the model's tokenizer.json beside the file, or pass token ids`,
    { details: { file: keys.source } },
  );
}
