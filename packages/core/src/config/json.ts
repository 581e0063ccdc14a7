/**
 * JSON as data that came from outside: a frozen copy that shares nothing with the caller's object, refusing what JSON
 * cannot hold (functions, NaN, cycles, endless nesting), and a short rendering of any value for error messages.
 */
import { MarianaError } from '../errors.ts';
import type { JsonObject, JsonValue } from './model-config.ts';

/** Deeper than any config, and shallow enough for the stack. */
const MAX_DEPTH = 64;
/** More than any config holds (a quantization_config may list some thousand modules); ends graphs that only look small. */
const MAX_VALUES = 1_000_000;

/**
 * A deep, frozen copy of `value`. Keys whose value is `undefined` are left out, as `JSON.stringify` does.
 *
 * @throws MarianaError `CONFIG_INVALID` at the first part that JSON cannot hold, with its path.
 */
export function frozenJson(value: unknown, source: string): JsonValue {
  let count = 0;
  const copy = (part: unknown, path: readonly PropertyKey[]): JsonValue => {
    if (path.length > MAX_DEPTH || ++count > MAX_VALUES) {
      throw invalidConfig(source, path, part, `at most ${MAX_DEPTH} levels and ${MAX_VALUES} values, without cycles`);
    }
    if (part === null || typeof part === 'boolean' || typeof part === 'string') return part;
    if (typeof part === 'number' && Number.isFinite(part)) return part;
    if (Array.isArray(part)) return Object.freeze(Array.from(part, (item, index) => copy(item, [...path, index])));
    if (typeof part !== 'object' || !isPlainObject(part)) throw invalidConfig(source, path, part, 'a JSON value');
    const entries: [string, JsonValue][] = [];
    for (const [key, item] of Object.entries(part)) {
      if (item !== undefined) entries.push([key, copy(item, [...path, key])]);
    }
    return Object.freeze(Object.fromEntries(entries));
  };
  return copy(value, []);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether a JSON value is an object (not null, not an array). */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `rope_scaling.factor`, `eos_token_id[2]`, `["a key with spaces"]`; the empty path is `(whole file)`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^\w+$/.test(String(part))) text += `[${clip(JSON.stringify(String(part)))}]`;
    else text += text === '' ? clip(String(part)) : `.${clip(String(part))}`;
  }
  return text === '' ? '(whole file)' : text;
}

/** A value in a few words, for a message. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) {
    const short = value.length <= 4 && value.every((item) => typeof item !== 'object');
    return short ? clip(`[${value.map(showValue).join(', ')}]`) : 'an array';
  }
  if (typeof value === 'string') return clip(JSON.stringify(value));
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  return clip(String(value));
}

/** One `CONFIG_INVALID`: which key of which file, what it is and what it should be. */
export function invalidConfig(
  source: string,
  path: readonly PropertyKey[],
  value: unknown,
  expected: string,
  cause?: unknown,
): MarianaError {
  const where = formatPath(path);
  const state = value === undefined ? 'is missing' : `is ${showValue(value)}`;
  return new MarianaError('CONFIG_INVALID', `${source}: ${where} ${state}; expected ${expected}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { source, path: where, expected },
  });
}

function clip(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
