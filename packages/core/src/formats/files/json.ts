/**
 * JSON with the things that `JSON.parse` leaves out: where a text is broken, in every engine; whether a key is given
 * twice, which `JSON.parse` passes over in silence; and a bound on nesting, without which a file of a hundred million
 * brackets keeps `JSON.parse` busy for minutes. A scanner looks for these first, the values then come from
 * `JSON.parse`.
 */

import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';

/** No config, index or header nests deeper than this by far. */
const DEEPEST = 256;

/** How `parseJson` reads. */
export interface ParseJsonOptions {
  /** Whether an object with the same key twice is an error. By default the last one counts, as for `JSON.parse`. */
  uniqueKeys?: boolean;
}

/**
 * The value of a JSON text.
 *
 * @param name what to call the text in messages
 * @throws MarianaError `CHECKPOINT_CORRUPT`, with line and column, if it is not JSON, nests deeper than 256, or, with
 *   `uniqueKeys`, gives a key twice.
 */
export function parseJson(text: string, name: string, options: ParseJsonOptions = {}): unknown {
  const flaw = findFlaw(text, options.uniqueKeys ?? false);
  if (flaw !== undefined) {
    throw new MarianaError('CHECKPOINT_CORRUPT', `${name}: ${flaw.what} at ${place(text, flaw.position)}`, {
      details: { file: name, position: flaw.position },
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MarianaError('CHECKPOINT_CORRUPT', `${name}: not JSON (${String(cause)}); fetch the file again`, {
      cause,
      details: { file: name },
    });
  }
}

interface Flaw {
  /** What is wrong, to be followed by "at line ...". */
  readonly what: string;
  /** Index into the text. */
  readonly position: number;
}

/** The first flaw of a JSON text, or undefined if it has none. Runs in one pass and without recursion. */
function findFlaw(text: string, uniqueKeys: boolean): Flaw | undefined {
  // For each open object the keys seen so far, for each open array null.
  const open: (Set<string> | null)[] = [];
  let expected: 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or end' = 'value';
  let at = skipSpace(text, 0);
  const notJson = (position: number): Flaw => ({
    what: `not JSON: ${position < text.length ? `${JSON.stringify(text.slice(position, position + 16))} is out of place` : 'it ends'}`,
    position,
  });

  while (at < text.length || open.length > 0 || expected !== ', or end') {
    const char = text[at];
    const container = open.at(-1);
    let end = at + 1;
    if (expected === 'key' || expected === 'key or }') {
      if (char === '}' && expected === 'key or }') {
        open.pop();
        expected = ', or end';
      } else if (char === '"') {
        end = stringEnd(text, at);
        if (end < 0) return notJson(~end);
        if (uniqueKeys) {
          const key: string = JSON.parse(text.slice(at, end));
          if (container?.has(key)) return { what: `${quote(key)} is given for the second time`, position: at };
          container?.add(key);
        }
        expected = ':';
      } else {
        return notJson(at);
      }
    } else if (expected === ':') {
      if (char !== ':') return notJson(at);
      expected = 'value';
    } else if (expected === ', or end') {
      if (char === ',' && container !== undefined) {
        expected = container === null ? 'value' : 'key';
      } else if (container !== undefined && char === (container === null ? ']' : '}')) {
        open.pop();
      } else {
        return notJson(at);
      }
    } else if (char === '{' || char === '[') {
      if (open.length === DEEPEST) return { what: `nested more than ${DEEPEST} deep`, position: at };
      open.push(char === '{' ? new Set() : null);
      expected = char === '{' ? 'key or }' : 'value or ]';
    } else if (char === ']' && expected === 'value or ]') {
      open.pop();
      expected = ', or end';
    } else {
      end = scalarEnd(text, at);
      if (end < 0) return notJson(~end);
      expected = ', or end';
    }
    at = skipSpace(text, end);
  }
  return undefined;
}

/** The index after the string, number or name that begins at `start`, or the complement (~) of where it is broken. */
function scalarEnd(text: string, start: number): number {
  if (text[start] === '"') return stringEnd(text, start);
  for (const name of ['true', 'false', 'null']) if (text.startsWith(name, start)) return start + name.length;
  let at = text[start] === '-' ? start + 1 : start;
  const whole = digitsEnd(text, at);
  if (whole === at) return ~at;
  at = text[at] === '0' ? at + 1 : whole;
  if (text[at] === '.') {
    const fraction = digitsEnd(text, at + 1);
    if (fraction === at + 1) return ~fraction;
    at = fraction;
  }
  if (text[at] === 'e' || text[at] === 'E') {
    const digits = text[at + 1] === '+' || text[at + 1] === '-' ? at + 2 : at + 1;
    at = digitsEnd(text, digits);
    if (at === digits) return ~at;
  }
  return at;
}

function digitsEnd(text: string, start: number): number {
  let at = start;
  for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(at)) at++;
  return at;
}

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at + 1;
    if (code < 0x20) return ~at;
    if (code === 0x5c) {
      at++;
      if (text[at] === 'u') {
        if (!/^[\dA-Fa-f]{4}$/.test(text.slice(at + 1, at + 5))) return ~at;
        at += 4;
      } else if (!/^["\\/bfnrt]$/.test(text[at] ?? '')) {
        return ~at;
      }
    }
  }
  return ~text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09; ) {
    code = text.charCodeAt(++at);
  }
  return at;
}

function place(text: string, position: number): string {
  const before = text.slice(0, position);
  return `line ${before.split('\n').length}, column ${position - before.lastIndexOf('\n')}`;
}
