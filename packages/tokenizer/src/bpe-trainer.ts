/**
 * `trainBpe`: learns a byte-level BPE vocabulary from texts and gives it as a Hugging Face tokenizer.json. All 256 bytes
 * are tokens, so every text can be encoded and comes back unchanged. The result depends on the texts and the options
 * only. Words are counted first (`bpe-words.ts`), then merges are searched over the table of words (`bpe-merges.ts`).
 */
import { MarianaError } from '@mariana/core';
import { MergeSearch } from './bpe-merges.ts';
import { WORD_REGEX, WordCounter } from './bpe-words.ts';
import { BYTE_CHARS } from './byte-alphabet.ts';
import { shown } from './invalid.ts';
import type { TokenizerJson, TokenizerStep } from './tokenizer-json.ts';

/** What to learn. */
export interface TrainBpeOptions {
  /** Size of the vocabulary, the special tokens and the 256 bytes included; fewer where the texts have no more pairs. */
  readonly vocabSize: number;
  /** Tokens with the first ids, in this order. Their text is never learned from: it stands between documents. */
  readonly specialTokens: readonly string[];
  /** How often a pair must occur to become a token. Default 2. */
  readonly minFrequency?: number;
  /** One of `specialTokens` that encoding puts before every text. Default: none. */
  readonly bosToken?: string | undefined;
  /** Called some twenty times a second: texts counted, then tokens learned of those to learn. */
  readonly onProgress?: ((progress: TrainBpeProgress) => void) | undefined;
  /** Ends the training; `trainBpe` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How far a training is. */
export interface TrainBpeProgress {
  readonly texts: number;
  readonly tokens: number;
  readonly vocabSize: number;
}

/** Milliseconds of work between two moments that are left to the rest of the program: a page must not freeze. */
const SLICE = 50;

/**
 * Learns a byte-level BPE tokenizer. Words do not cross the borders of texts; a corpus may come in pieces of any size
 * if they end where words do, at line breaks for instance. Memory grows with the number of distinct words.
 * @returns the tokenizer.json, which `Tokenizer.fromFiles` and Hugging Face's libraries load
 * @throws MarianaError `INVALID_ARGUMENT` for options that cannot be met
 */
export async function trainBpe(
  texts: Iterable<string> | AsyncIterable<string>,
  options: TrainBpeOptions,
): Promise<TokenizerJson> {
  const { specialTokens, minFrequency = 2, bosToken } = options;
  check(texts, options);
  const splits = [{ type: 'Split', pattern: { Regex: WORD_REGEX }, behavior: 'Isolated', invert: false }];
  const progress = { texts: 0, tokens: 256 + specialTokens.length, vocabSize: options.vocabSize };
  const breathe = createPauses(options, progress);

  const words = new WordCounter(splits, specialTokens);
  for await (const text of texts) {
    words.add(text);
    progress.texts++;
    await breathe();
  }

  const tokens = [...specialTokens, ...BYTE_CHARS.toSorted()];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const search = createSearch(words.counts, ids);
  const merges: string[] = [];
  while (tokens.length < options.vocabSize) {
    const pair = search.next(minFrequency);
    if (pair === undefined) break;
    const [left, right] = [tokens[pair[0]]!, tokens[pair[1]]!];
    const merged = left + right;
    // Only a special token can have this spelling already. The pair stays unmerged, as one string has one id.
    if (ids.has(merged)) continue;
    ids.set(merged, tokens.length);
    search.merge(pair[0], pair[1], tokens.length);
    tokens.push(merged);
    merges.push(`${left} ${right}`);
    progress.tokens = tokens.length;
    await breathe();
  }
  options.onProgress?.({ ...progress });
  return assemble(ids, merges, specialTokens, splits, bosToken);
}

function check(texts: unknown, { vocabSize, specialTokens, minFrequency = 2, bosToken }: TrainBpeOptions): void {
  const fail = (problem: string) => new MarianaError('INVALID_ARGUMENT', `trainBpe: ${problem}`);
  if (typeof texts === 'string') throw fail('texts must be a list of texts, not one text; put it in an array');
  if (!Array.isArray(specialTokens) || !specialTokens.every((token) => typeof token === 'string' && token !== '')) {
    throw fail('specialTokens must be an array of texts of at least one character');
  }
  if (new Set(specialTokens).size !== specialTokens.length) throw fail('specialTokens has a token twice');
  const byte = specialTokens.find((token) => BYTE_CHARS.includes(token));
  if (byte !== undefined) throw fail(`the special token ${shown(byte)} would be mistaken for a byte; make it longer`);
  const least = 256 + specialTokens.length;
  if (!Number.isInteger(vocabSize) || vocabSize < least || vocabSize > 2 ** 22) {
    const need = `${least} (256 bytes and ${specialTokens.length} special tokens)`;
    throw fail(`vocabSize must be an integer from ${need} to ${2 ** 22}, not ${shown(vocabSize)}`);
  }
  if (!Number.isInteger(minFrequency) || minFrequency < 1) {
    throw fail(`minFrequency must be an integer of at least 1, not ${shown(minFrequency)}`);
  }
  if (bosToken !== undefined && !specialTokens.includes(bosToken)) {
    throw fail(`bosToken ${shown(bosToken)} must be one of specialTokens`);
  }
}

function createSearch(counts: ReadonlyMap<string, number>, ids: ReadonlyMap<string, number>): MergeSearch {
  const idOfByte = Int32Array.from(BYTE_CHARS, (char) => ids.get(char)!);
  const utf8 = new TextEncoder();
  const words = Array.from(counts, ([word, count]) => [utf8.encode(word), count] as const);
  const size = words.reduce((sum, [bytes]) => sum + bytes.length, 0);
  const encoded = words.map(([bytes, count]) => [Int32Array.from(bytes, (byte) => idOfByte[byte]!), count] as const);
  return new MergeSearch(encoded, size);
}

/** Lets the event loop run, reports and heeds the signal, but no more often than every `SLICE` milliseconds. */
function createPauses({ onProgress, signal }: TrainBpeOptions, progress: TrainBpeProgress): () => Promise<void> | void {
  signal?.throwIfAborted();
  let last = performance.now();
  return () => {
    if (performance.now() - last < SLICE) return;
    return new Promise<void>((resolve) => setTimeout(resolve, 0)).then(() => {
      signal?.throwIfAborted();
      onProgress?.({ ...progress });
      last = performance.now();
    });
  };
}

function assemble(
  ids: ReadonlyMap<string, number>,
  merges: readonly string[],
  specialTokens: readonly string[],
  splits: readonly TokenizerStep[],
  bosToken: string | undefined,
): TokenizerJson {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits, byteLevel] },
    post_processor: bosToken === undefined ? null : startWith(bosToken, ids.get(bosToken)!),
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges,
    },
  };
}

function startWith(token: string, id: number): TokenizerStep {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [special, text('A')],
    pair: [special, text('A'), special, text('B')],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
