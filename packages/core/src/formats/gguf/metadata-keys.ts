/** Typed access to the metadata of a GGUF file, for whoever builds a config of it. */

import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';
import type { GgufMetadata, GgufValue } from './value.ts';

const INTEGERS = new Set(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64']);

/** The keys of one file. Every reader gives undefined for a key that is not there. */
export class MetadataKeys {
  readonly source: string;
  readonly #metadata: GgufMetadata;

  /** @param source what to call the file in messages */
  constructor(metadata: GgufMetadata, source: string) {
    this.source = source;
    this.#metadata = metadata;
  }

  /** A whole number of any integer type; a list of equal ones (one a layer) counts as that one. */
  whole(key: string): number | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined) return undefined;
    const type = entry.type === 'array' ? entry.of : entry.type;
    const [first, ...rest] = entry.type === 'array' ? entry.value : [entry.value];
    if (!INTEGERS.has(type) || first === undefined) throw this.invalid(key, 'a whole number');
    if (rest.some((value) => value !== first)) throw this.invalid(key, 'the same number for every layer');
    return Number(first);
  }

  /** A number. An F32 is given as the shortest decimal that means it: 1e-6, not 9.999999974752427e-7. */
  real(key: string): number | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === 'f32') return shortestDecimal(entry.value);
    if (entry.type === 'f64' || INTEGERS.has(entry.type)) return Number(entry.value);
    throw this.invalid(key, 'a number');
  }

  flag(key: string): boolean | undefined {
    return this.#typed(key, 'bool')?.value;
  }

  text(key: string): string | undefined {
    return this.#typed(key, 'string')?.value;
  }

  /** A list of strings. */
  texts(key: string): readonly string[] | undefined {
    const entry = this.#typed(key, 'array');
    if (entry === undefined) return undefined;
    if (entry.of === 'string') return entry.value;
    throw this.invalid(key, 'a list of strings');
  }

  /** A list of whole numbers. */
  wholes(key: string): readonly number[] | undefined {
    const entry = this.#typed(key, 'array');
    if (entry === undefined) return undefined;
    if (INTEGERS.has(entry.of)) return entry.value.map(Number);
    throw this.invalid(key, 'a list of whole numbers');
  }

  /** The error for a key that is missing, of another type, or absurd. */
  invalid(key: string, expected: string): MarianaError {
    const entry = this.#metadata.get(key);
    const state = entry === undefined ? 'is missing' : `is ${shown(entry)}`;
    return new MarianaError('CONFIG_INVALID', `${this.source}: ${key} ${state}; expected ${expected}`, {
      details: { source: this.source, path: key, expected },
    });
  }

  #typed<T extends GgufValue['type']>(key: string, type: T): Extract<GgufValue, { type: T }> | undefined {
    const entry = this.#metadata.get(key);
    if (entry === undefined || entry.type === type) return entry as Extract<GgufValue, { type: T }> | undefined;
    throw this.invalid(key, { bool: 'true or false', string: 'a text', array: 'a list' }[type as string] ?? type);
  }
}

function shown(entry: GgufValue): string {
  if (entry.type === 'array') return `a list of ${entry.value.length} ${entry.of}`;
  return entry.type === 'string' ? quote(entry.value) : String(entry.value);
}

/** The decimal number of fewest digits whose float32 is `x`. */
function shortestDecimal(x: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(x.toPrecision(digits));
    if (Math.fround(candidate) === x) return candidate;
  }
  return x;
}
