/**
 * How this package says that a tokenizer file cannot be used: one error code, the path of the offending key, and what
 * was expected there, so that every reader below reports in the same words.
 */
import { MarianaError } from '@mariana/core';

/** Which file a problem is in: the beginning of every message. */
export type TokenizerFile = 'tokenizer.json' | 'tokenizer_config.json' | 'generation_config.json' | 'chat template';

/** A `TOKENIZER_INVALID` error: `path` is the key's path within `file` ('' for the whole file). */
export function invalid(file: TokenizerFile, path: string, problem: string, cause?: unknown): MarianaError {
  const where = path === '' ? file : `${file}: ${path}`;
  return new MarianaError('TOKENIZER_INVALID', `${where} ${problem}`, { cause, details: { file, path } });
}

/** A JSON object whose keys have not been looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON object in `input`, which is the file's text or what a JSON parser made of it. */
export function readObject(file: TokenizerFile, input: unknown): JsonObject {
  let value = input;
  if (typeof input === 'string') {
    try {
      value = JSON.parse(input);
    } catch (cause) {
      throw invalid(file, '', `is not JSON (${describe(cause)}); download it again`, cause);
    }
  }
  if (!isObject(value)) throw invalid(file, '', `must be a JSON object, not ${shown(value)}`);
  return value;
}

/** A value as it may stand in an error message: short, on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The one-line message of anything thrown. */
export function describe(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.length > 200 ? `${text.slice(0, 197)}...` : text;
}
