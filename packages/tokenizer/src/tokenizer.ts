/**
 * `Tokenizer`: text to token ids and back, and conversations to prompts, for a checkpoint's own tokenizer.json.
 * It puts the parts together: the checked files, the encoder, the special tokens as tokenizer_config.json asks for them,
 * the chat templates, and decoding by bytes, so that streaming and whole texts agree to the letter.
 */
import { MarianaError } from '@mariana/core';
import { ChatTemplate } from './chat-template.ts';
import { Encoder } from './encoder.ts';
import { describe, invalid, isObject, shown } from './invalid.ts';
import { type DecodeOptions, decodeAll, StreamDecoder } from './stream-decoder.ts';
import { TokenTable } from './token-table.ts';
import { type CheckedConfig, readGenerationIds, readTokenizerConfig } from './tokenizer-config.ts';
import { type CheckedTokenizer, readTokenizerJson, type TokenizerJson } from './tokenizer-json.ts';

/** The files of a checkpoint that make its tokenizer, each as its text or as parsed JSON. */
export interface TokenizerFiles {
  /** tokenizer.json, or what `trainBpe` gave. */
  readonly tokenizerJson: string | TokenizerJson | Readonly<Record<string, unknown>>;
  /** tokenizer_config.json: special tokens and chat templates. */
  readonly tokenizerConfig?: string | Readonly<Record<string, unknown>> | undefined;
  /** chat_template.jinja; goes before the default template of tokenizer_config.json. */
  readonly chatTemplate?: string | undefined;
  /** generation_config.json (or config.json): `eos_token_id`, and ids that tokenizer_config.json does not name. */
  readonly generationConfig?: string | Readonly<Record<string, unknown>> | undefined;
}

/** How a text is encoded. */
export interface EncodeOptions {
  /** Puts the tokens around the text that the tokenizer wants there, as a rule BOS before it. Default true. */
  readonly addSpecialTokens?: boolean;
}

/** One message of a conversation. Templates may read further keys, such as `tool_calls` or `name`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

/** How a conversation is laid out. */
export interface ChatOptions {
  /** Ends the prompt where the assistant is to answer. Default false, as in Hugging Face's libraries. */
  readonly addGenerationPrompt?: boolean;
  /** Function descriptions for templates that offer them to the model. */
  readonly tools?: readonly unknown[] | undefined;
  /** Documents for templates that can cite them. */
  readonly documents?: readonly unknown[] | undefined;
  /** The template to use where there are several. Default 'tool_use' with tools, if there is one, else 'default'. */
  readonly template?: string | undefined;
  /** Whatever else the template reads, such as `{ thinking: true }` for DeepSeek-V3.1. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export class Tokenizer {
  /** Begins a text, if the tokenizer has such a token. */
  readonly bosTokenId: number | undefined;
  /** Ends a text: the first of `eosTokenIds`. */
  readonly eosTokenId: number | undefined;
  /** Every token that ends a generated text: the EOS token and those of generation_config.json. May be empty. */
  readonly eosTokenIds: readonly number[];
  /** Fills batches; in DeepSeek's tokenizers the EOS token. */
  readonly padTokenId: number | undefined;
  /** The tokens that `skipSpecialTokens` leaves out. */
  readonly specialTokenIds: ReadonlySet<number>;
  /** One more than the highest id. A model's own `vocab_size` may be larger: its last rows then have no token. */
  readonly vocabSize: number;

  readonly #encoder: Encoder;
  readonly #table: TokenTable;
  readonly #before: readonly number[];
  readonly #after: readonly number[];
  readonly #templates: ReadonlyMap<string, ChatTemplate>;
  readonly #namedTokens: Readonly<Record<string, string>>;

  /**
   * Builds the tokenizer from its files' contents.
   * @throws MarianaError `TOKENIZER_INVALID` for a file that is malformed, contradicts itself, or asks for something
   * that would not be encoded exactly; the message has the key's path
   */
  static fromFiles({ tokenizerJson, tokenizerConfig, chatTemplate, generationConfig }: TokenizerFiles): Tokenizer {
    const tokenizer = readTokenizerJson(tokenizerJson);
    const config = readTokenizerConfig(tokenizerConfig ?? {});
    const generation = readGenerationIds(generationConfig ?? {});
    const sources = new Map(config.chatTemplates);
    if (chatTemplate !== undefined) {
      if (typeof chatTemplate !== 'string') {
        throw invalid('chat template', '', `must be a text, not ${shown(chatTemplate)}`);
      }
      sources.set('default', chatTemplate);
    }
    return new Tokenizer(tokenizer, config, generation, sources);
  }

  private constructor(
    tokenizer: CheckedTokenizer,
    config: CheckedConfig,
    generation: ReturnType<typeof readGenerationIds>,
    templates: ReadonlyMap<string, string>,
  ) {
    const { ids } = tokenizer;
    const named = (token: string | undefined, key: string): number | undefined => {
      if (token === undefined) return undefined;
      const id = ids.get(token);
      if (id === undefined) throw invalid('tokenizer_config.json', key, `is ${shown(token)}, not in tokenizer.json`);
      return id;
    };
    const eosTokenId = named(config.eosToken, 'eos_token');
    this.bosTokenId = named(config.bosToken, 'bos_token') ?? generation.bosTokenId;
    this.padTokenId = named(config.padToken, 'pad_token') ?? generation.padTokenId;
    this.eosTokenIds = [...new Set([...(eosTokenId === undefined ? [] : [eosTokenId]), ...generation.eosTokenIds])];
    this.eosTokenId = this.eosTokenIds[0];

    const special = [this.bosTokenId, this.padTokenId, ...this.eosTokenIds].filter((id) => id !== undefined);
    for (const id of special) {
      if (!tokenizer.tokens.has(id)) {
        throw invalid('generation_config.json', '', `gives the token id ${id}, which tokenizer.json does not have`);
      }
    }
    const additional = config.additionalSpecialTokens.flatMap((token) => ids.get(token) ?? []);
    this.#table = new TokenTable(tokenizer, [...special, ...additional]);
    this.specialTokenIds = this.#table.specialIds;
    this.vocabSize = this.#table.size;

    const { before, after } = tokenizer.surroundings;
    this.#before = withToken(before, 'first', this.bosTokenId, config.addBosToken, 'bos_token');
    this.#after = withToken(after, 'last', this.eosTokenId, config.addEosToken, 'eos_token');
    this.#templates = new Map(Array.from(templates, ([name, source]) => [name, new ChatTemplate(source)]));
    this.#namedTokens = Object.fromEntries(
      [
        ['bos_token', this.bosTokenId],
        ['eos_token', this.eosTokenId],
        ['pad_token', this.padTokenId],
      ].flatMap(([key, id]) => (typeof id === 'number' ? [[key, tokenizer.tokens.get(id)]] : [])),
    );
    try {
      this.#encoder = new Encoder(tokenizer);
    } catch (cause) {
      throw invalid('tokenizer.json', '', `cannot be used: ${describe(cause)}`, cause);
    }
  }

  /** Whether the tokenizer came with a chat template of this name. */
  hasChatTemplate(name = 'default'): boolean {
    return this.#templates.has(name);
  }

  /**
   * The token ids of `text`. The text of a special token within it becomes that token, as everywhere in this family:
   * a program that encodes strangers' text decides itself what to do about that.
   * @throws MarianaError `INVALID_ARGUMENT` if `text` is not a string
   */
  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): number[] {
    if (typeof text !== 'string') {
      throw new MarianaError('INVALID_ARGUMENT', `Tokenizer.encode takes a string, not ${shown(text)}`);
    }
    let ids: number[];
    try {
      ids = this.#encoder.encode(text);
    } catch (cause) {
      // Regular expressions are compiled when they first run; one that the engine then rejects ends up here.
      throw invalid('tokenizer.json', '', `cannot encode this text: ${describe(cause)}`, cause);
    }
    return addSpecialTokens ? [...this.#before, ...ids, ...this.#after] : ids;
  }

  /**
   * The text of `ids`. Bytes that are no UTF-8 become U+FFFD; spaces are never "cleaned up", whatever
   * `clean_up_tokenization_spaces` says, so that decoding gives back what was encoded.
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    return decodeAll(this.#table, ids, options);
  }

  /** Decodes token by token, for text that is shown while it is generated. */
  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return new StreamDecoder(this.#table, options);
  }

  /**
   * The conversation as the prompt text that the model knows, special tokens written out. Encode it with
   * `addSpecialTokens: false` (or call `encodeChat`), since the template has already put the BOS token there.
   * @throws MarianaError `TOKENIZER_MISSING` without a template, `INVALID_ARGUMENT` where the template refuses the
   * messages or fails on them
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    const { addGenerationPrompt = false, tools, documents, variables } = options;
    const wellFormed = Array.isArray(messages) && messages.every((m) => isObject(m) && typeof m.role === 'string');
    if (!wellFormed) {
      throw new MarianaError('INVALID_ARGUMENT', 'A conversation is an array of messages like { role, content }');
    }
    return this.#template(options).render({
      ...this.#namedTokens,
      messages,
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt: addGenerationPrompt,
      ...variables,
    });
  }

  /** The token ids of a conversation: `applyChatTemplate`, encoded. */
  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    return this.encode(this.applyChatTemplate(messages, options), { addSpecialTokens: false });
  }

  /** The token's string as it stands in tokenizer.json (byte alphabet and all), or undefined for an unused id. */
  idToToken(id: number): string | undefined {
    return this.#table.token(id);
  }

  /** The id of a token's string as it stands in tokenizer.json, or undefined. */
  tokenToId(token: string): number | undefined {
    return this.#table.id(token);
  }

  /**
   * The bytes that a token stands for; a character may need several tokens. The sum of their lengths over a text is
   * its size for bits per byte.
   * @throws MarianaError `TOKEN_OUT_OF_RANGE`
   */
  tokenBytes(id: number): Uint8Array {
    return this.#table.bytes(id).slice();
  }

  #template({ template, tools }: ChatOptions): ChatTemplate {
    const name = template ?? (tools !== undefined && this.#templates.has('tool_use') ? 'tool_use' : 'default');
    const found = this.#templates.get(name);
    if (found !== undefined) return found;
    const names = [...this.#templates.keys()].join(', ') || 'none';
    throw new MarianaError(
      'TOKENIZER_MISSING',
      `The tokenizer has no chat template "${name}" (it has: ${names}); pass chatTemplate to Tokenizer.fromFiles`,
    );
  }
}

/**
 * The tokens on one side of a text, with `id` at the outer end or not as `add_bos_token` / `add_eos_token` say. Where
 * those are given they overrule the post-processor, as in Hugging Face's `LlamaTokenizerFast`, the class that DeepSeek's
 * checkpoints name: DeepSeek-V3's post-processor adds nothing, and the model expects the BOS token.
 */
function withToken(
  tokens: readonly number[],
  end: 'first' | 'last',
  id: number | undefined,
  wanted: boolean | undefined,
  key: string,
): readonly number[] {
  if (wanted === undefined || (id === undefined && !wanted)) return tokens;
  if (id === undefined) throw invalid('tokenizer_config.json', `add_${key}`, `is true, but there is no ${key}`);
  const present = (end === 'first' ? tokens[0] : tokens.at(-1)) === id;
  if (present === wanted) return tokens;
  if (end === 'first') return wanted ? [id, ...tokens] : tokens.slice(1);
  return wanted ? [...tokens, id] : tokens.slice(0, -1);
}
