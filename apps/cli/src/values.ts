/** Readers of option values. Each returns the value or says what it must be; commander puts the option's name before. */
import { InvalidArgumentError } from 'commander';

/** A whole number within bounds. */
export function whole(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} up` : `from ${min} to ${max}`;
  return (text) => {
    const value = toNumber(text);
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

/** A number for which `isGood` holds. */
export function real(expected: string, isGood: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = toNumber(text);
    if (Number.isFinite(value) && isGood(value)) return value;
    throw new InvalidArgumentError(`It must be ${expected}.`);
  };
}

/** Token ids: `1,2,3`, also with spaces or in brackets, as they are printed. Whether the model has them is for it to say. */
export function ids(text: string): number[] {
  const parts = text
    .trim()
    .replace(/^\[(.*)\]$/s, '$1')
    .trim()
    .split(/\s*,\s*|\s+/);
  const values = parts.map(toNumber);
  if (values.every((value) => Number.isSafeInteger(value))) return values;
  throw new InvalidArgumentError('It must be token ids with commas between them, such as 1,2,3.');
}

/** A text of at least one character. */
export function text(value: string): string {
  if (value !== '') return value;
  throw new InvalidArgumentError('It must not be empty.');
}

/** Adds up the values of an option that can be given several times. */
export function several<T>(read: (text: string) => T): (text: string, previous: T[] | undefined) => T[] {
  return (text, previous = []) => [...previous, read(text)];
}

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** A number of bytes: `5GB`, `500 MB`, `64KiB`, `1000`. Units with an i are powers of 1024. */
export function byteCount(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?$/i.exec(text.trim());
  const [, digits = '', unit = '', binary = ''] = match ?? [];
  const letter = unit.toUpperCase();
  const factor = binary === '' ? UNITS[letter]! : 1024 ** 'KMGT'.indexOf(letter) * 1024;
  const bytes = Math.floor(Number(digits) * factor);
  if (match !== null && (binary === '' || letter !== '') && Number.isSafeInteger(bytes) && bytes >= 1) return bytes;
  throw new InvalidArgumentError('It must be a number of bytes, such as 5GB or 500MB.');
}

function toNumber(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}
