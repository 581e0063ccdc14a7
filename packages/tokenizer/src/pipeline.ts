/**
 * The steps around the byte-pair model in a tokenizer.json: normalizer, pre-tokenizer, post-processor, decoder. Each
 * reader below admits the types that are carried out exactly as Hugging Face's own `tokenizers` does. A few that the
 * encoding library takes differently are rewritten into others that it takes right; anything else is refused. The
 * post-processor and the decoder are reduced to what they mean for one text: tokens around it, and how tokens spell
 * bytes.
 */
import { invalid, isObject, type JsonObject, shown } from './invalid.ts';
import type { TokenizerStep } from './tokenizer-json.ts';

/** The ids that `addSpecialTokens` puts before and after a text. */
export interface Surroundings {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** How tokens become bytes and bytes become text. */
export interface DecodeRules {
  /** 'byte-level': characters of the byte alphabet. 'byte-fallback': text, with tokens like `<0x0A>` for a byte. */
  readonly spelling: 'byte-level' | 'byte-fallback';
  /** Replacements in each token's string, in order ('byte-fallback' only): SentencePiece's "▁" for a space. */
  readonly replacements: readonly (readonly [from: string, to: string])[];
  /** Removes up to `count` times `char` from the beginning of a decoded text. */
  readonly strip: { readonly char: string; readonly count: number };
}

const FILE = 'tokenizer.json';

/** Steps nest at most this deep: enough for any real file, and no stack runs out. */
const MAX_DEPTH = 16;

/** A step of our own: a space before each piece that does not begin with one. */
export const PREFIX_SPACE = 'PrefixSpace';

/** GPT-2's split, which `ByteLevel` applies unless `use_regex` is false. */
const GPT2_SPLIT = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** Reads `normalizer`. */
export function readNormalizer(value: unknown): TokenizerStep | null {
  return value === undefined || value === null ? null : normalizer(value, 'normalizer', 0);
}

function normalizer(value: unknown, path: string, depth: number): TokenizerStep {
  const step = readStep(value, path, depth);
  switch (step.type) {
    case 'Sequence':
      return { type: 'Sequence', normalizers: readSteps(step, 'normalizers', path, depth, normalizer) };
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return { type: step.type };
    case 'Prepend':
      return { type: 'Prepend', prepend: readText(step, 'prepend', path) };
    case 'Replace':
      // The library hands `content` to String.replaceAll, where "$" would begin a pattern.
      return {
        type: 'Replace',
        pattern: readPattern(step, path),
        content: readText(step, 'content', path).replaceAll('$', '$$$$'),
      };
    default:
      throw unsupported(path, step.type, 'Sequence, NFC, NFD, NFKC, NFKD, Prepend, Replace');
  }
}

/** Reads `pre_tokenizer`. */
export function readPreTokenizer(value: unknown): TokenizerStep | null {
  return value === undefined || value === null ? null : preTokenizer(value, 'pre_tokenizer', 0);
}

function preTokenizer(value: unknown, path: string, depth: number): TokenizerStep {
  const step = readStep(value, path, depth);
  switch (step.type) {
    case 'Sequence':
      return { type: 'Sequence', pretokenizers: readSteps(step, 'pretokenizers', path, depth, preTokenizer) };
    case 'Split':
      return split(step, path);
    case 'ByteLevel':
      return byteLevel(step, path);
    case 'Digits':
      // The library splits ASCII digits only; the original takes every number character.
      return isolate(readFlag(step, 'individual_digits', path) ? '\\p{N}' : '\\p{N}+');
    case 'Metaspace':
      return metaspace(step, path);
    default:
      throw unsupported(path, step.type, 'Sequence, Split, ByteLevel, Digits, Metaspace');
  }
}

function split(step: TokenizerStep, path: string): TokenizerStep {
  const pattern = readPattern(step, path);
  const { behavior } = step;
  const invert = step.invert !== undefined && readFlag(step, 'invert', path);
  // Of the original's behaviours the library has these two; it would take the others for "Isolated".
  if (!(behavior === 'Isolated' && !invert) && !(behavior === 'Removed' && invert)) {
    const found = `${shown(behavior)} with invert ${invert}`;
    throw invalid(FILE, `${path}.behavior`, `is ${found}; supported are "Isolated", and "Removed" with invert true`);
  }
  return { type: 'Split', pattern, behavior, invert };
}

/**
 * `ByteLevel` is three things: a space before the text, GPT-2's split, the spelling in bytes. The library does the split
 * with JavaScript's \s, which has U+FEFF and lacks U+0085; as steps of their own all three are right.
 */
function byteLevel(step: TokenizerStep, path: string): TokenizerStep {
  const steps: TokenizerStep[] = [{ type: 'ByteLevel', add_prefix_space: false, use_regex: false }];
  if (step.use_regex === undefined || readFlag(step, 'use_regex', path)) steps.unshift(isolate(GPT2_SPLIT));
  if (readFlag(step, 'add_prefix_space', path)) steps.unshift({ type: PREFIX_SPACE });
  return { type: 'Sequence', pretokenizers: steps };
}

function metaspace(step: TokenizerStep, path: string): TokenizerStep {
  const { replacement, prepend_scheme } = step;
  if (step.split !== false) throw invalid(FILE, `${path}.split`, 'must be false: splitting at spaces is not supported');
  if (typeof replacement !== 'string' || [...replacement].length !== 1) {
    throw invalid(FILE, `${path}.replacement`, `must be one character, not ${shown(replacement)}`);
  }
  if (prepend_scheme !== 'always' && prepend_scheme !== 'first' && prepend_scheme !== 'never') {
    throw invalid(FILE, `${path}.prepend_scheme`, `must be always, first or never, not ${shown(prepend_scheme)}`);
  }
  return { type: 'Metaspace', replacement, prepend_scheme };
}

function isolate(regex: string): TokenizerStep {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}

/** Reads `post_processor`; `ids` has every token's id. */
export function readPostProcessor(value: unknown, ids: ReadonlyMap<string, number>): Surroundings {
  if (value === undefined || value === null) return { before: [], after: [] };
  return postProcessor(value, 'post_processor', 0, ids);
}

function postProcessor(value: unknown, path: string, depth: number, ids: ReadonlyMap<string, number>): Surroundings {
  const step = readStep(value, path, depth);
  switch (step.type) {
    case 'ByteLevel': // only adjusts offsets into the text
      return { before: [], after: [] };
    case 'TemplateProcessing':
      return template(step, path, ids);
    case 'Sequence': {
      const inner = readSteps(step, 'processors', path, depth, (entry, at, level) =>
        postProcessor(entry, at, level, ids),
      );
      // A later processor works on the result of an earlier one, so its tokens stand outside.
      return {
        before: inner.toReversed().flatMap(({ before }) => before),
        after: inner.flatMap(({ after }) => after),
      };
    }
    default:
      throw unsupported(path, step.type, 'ByteLevel, TemplateProcessing, Sequence');
  }
}

function template(step: TokenizerStep, path: string, ids: ReadonlyMap<string, number>): Surroundings {
  const before: number[] = [];
  const after: number[] = [];
  let side = before;
  if (!Array.isArray(step.single)) throw invalid(FILE, `${path}.single`, `must be an array, not ${shown(step.single)}`);
  for (const [index, piece] of step.single.entries()) {
    const at = `${path}.single[${index}]`;
    const special = isObject(piece) ? piece.SpecialToken : undefined;
    const sequence = isObject(piece) ? piece.Sequence : undefined;
    if (isObject(special)) side.push(...templateIds(step, special.id, at, ids));
    else if (isObject(sequence) && sequence.id === 'A' && side === before) side = after;
    else throw invalid(FILE, at, 'must be a SpecialToken, or the one Sequence "A"');
  }
  if (side === before) throw invalid(FILE, `${path}.single`, 'has no Sequence "A": the text would be dropped');
  return { before, after };
}

function templateIds(step: TokenizerStep, name: unknown, path: string, ids: ReadonlyMap<string, number>): number[] {
  const table = isObject(step.special_tokens) ? step.special_tokens : {};
  const entry = typeof name === 'string' && Object.hasOwn(table, name) ? table[name] : undefined;
  if (isObject(entry) && Array.isArray(entry.ids)) {
    const known = new Set(ids.values());
    for (const id of entry.ids) {
      if (!known.has(id)) throw invalid(FILE, path, `stands for the id ${shown(id)}, which no token has`);
    }
    return entry.ids;
  }
  const id = typeof name === 'string' ? ids.get(name) : undefined;
  if (id === undefined) throw invalid(FILE, path, `names ${shown(name)}, which is no token`);
  return [id];
}

/** Reads `decoder`. */
export function readDecoder(value: unknown): DecodeRules {
  const steps = decoderSteps(value, 'decoder', 0);
  const [first] = steps;
  if (first?.type === 'ByteLevel' && steps.length === 1) {
    return { spelling: 'byte-level', replacements: [], strip: { char: '', count: 0 } };
  }
  const replacements: [string, string][] = [];
  let strip = { char: '', count: 0 };
  const types: string[] = [];
  for (const step of steps) {
    if (types.at(-1) !== step.type || step.type === 'Strip') types.push(step.type);
    if (step.type === 'Replace') {
      const { String: from } = readPattern(step, 'decoder');
      if (from === undefined || from === '') throw invalid(FILE, 'decoder', 'may replace a text only, not a Regex');
      replacements.push([from, readText(step, 'content', 'decoder')]);
    }
    if (step.type === 'Strip') strip = readStrip(step);
  }
  // This order is SentencePiece's as it is exported. Any other, or no decoder at all, has no meaning token by token.
  if (!/^(Replace )?ByteFallback Fuse( Strip)?$/.test(types.join(' '))) {
    const found = types.length === 0 ? 'none' : types.join(', ');
    throw invalid(FILE, 'decoder', `is ${found}; supported are ByteLevel, and Replace, ByteFallback, Fuse, Strip`);
  }
  return { spelling: 'byte-fallback', replacements, strip };
}

function decoderSteps(value: unknown, path: string, depth: number): TokenizerStep[] {
  if (value === undefined || value === null) return [];
  const step = readStep(value, path, depth);
  return step.type === 'Sequence' ? readSteps(step, 'decoders', path, depth, decoderSteps).flat() : [step];
}

function readStrip(step: TokenizerStep): { char: string; count: number } {
  const { content, start, stop } = step;
  if (typeof content !== 'string' || content.length !== 1 || stop !== 0 || !Number.isInteger(start)) {
    throw invalid(FILE, 'decoder', 'may strip one character from the start only');
  }
  return { char: content, count: start as number };
}

function readStep(value: unknown, path: string, depth: number): TokenizerStep {
  if (depth > MAX_DEPTH) throw invalid(FILE, path, `nests deeper than ${MAX_DEPTH} steps`);
  if (!isObject(value) || typeof value.type !== 'string') {
    throw invalid(FILE, path, `must be an object with a type, not ${shown(value)}`);
  }
  return value as JsonObject & { type: string };
}

function readSteps<T>(
  step: TokenizerStep,
  key: string,
  path: string,
  depth: number,
  read: (value: unknown, path: string, depth: number) => T,
): T[] {
  const list = step[key];
  if (!Array.isArray(list)) throw invalid(FILE, `${path}.${key}`, `must be an array, not ${shown(list)}`);
  return list.map((entry: unknown, index) => read(entry, `${path}.${key}[${index}]`, depth + 1));
}

function readPattern(step: TokenizerStep, path: string): { Regex?: string; String?: string } {
  const { pattern } = step;
  if (isObject(pattern)) {
    if (typeof pattern.Regex === 'string') return { Regex: pattern.Regex };
    if (typeof pattern.String === 'string') return { String: pattern.String };
  }
  throw invalid(FILE, `${path}.pattern`, `must be {"Regex": ...} or {"String": ...}, not ${shown(pattern)}`);
}

function readText(step: TokenizerStep, key: string, path: string): string {
  const value = step[key];
  if (typeof value !== 'string') throw invalid(FILE, `${path}.${key}`, `must be a text, not ${shown(value)}`);
  return value;
}

function readFlag(step: TokenizerStep, key: string, path: string): boolean {
  const value = step[key];
  if (typeof value !== 'boolean') throw invalid(FILE, `${path}.${key}`, `must be true or false, not ${shown(value)}`);
  return value;
}

function unsupported(path: string, type: string, supported: string) {
  return invalid(FILE, `${path}.type`, `is ${shown(type)}, which is not supported; supported are ${supported}`);
}
