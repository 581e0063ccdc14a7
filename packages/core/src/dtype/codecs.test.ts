/**
 * The codecs of the narrow floats against a plain enumeration: every code's value from the definition of the format,
 * and every rounding from the two codes that a number lies between.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeE4m3, decodeE5m2, decodeE8m0, encodeE4m3, encodeE5m2 } from './float8.ts';
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from './float16.ts';

interface Format {
  readonly name: string;
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** The largest code (without sign) that is a finite number. */
  readonly largest: number;
  readonly decode: (code: number) => number;
  readonly encode: (x: number) => number;
  /** What a magnitude beyond the largest number becomes. */
  readonly overflow: number;
}

const FORMATS: readonly Format[] = [
  {
    name: 'E4M3',
    exponentBits: 4,
    mantissaBits: 3,
    largest: 0x7e,
    decode: decodeE4m3,
    encode: encodeE4m3,
    overflow: 0x7e,
  },
  {
    name: 'E5M2',
    exponentBits: 5,
    mantissaBits: 2,
    largest: 0x7b,
    decode: decodeE5m2,
    encode: encodeE5m2,
    overflow: 0x7b,
  },
  {
    name: 'E5M2 that overflows',
    exponentBits: 5,
    mantissaBits: 2,
    largest: 0x7b,
    decode: decodeE5m2,
    encode: (x) => encodeE5m2(x, false),
    overflow: 0x7c,
  },
  {
    name: 'F16',
    exponentBits: 5,
    mantissaBits: 10,
    largest: 0x7bff,
    decode: decodeF16,
    encode: encodeF16,
    overflow: 0x7c00,
  },
  {
    name: 'BF16',
    exponentBits: 8,
    mantissaBits: 7,
    largest: 0x7f7f,
    decode: decodeBf16,
    encode: encodeBf16,
    overflow: 0x7f80,
  },
];

/** The value of a code without sign, from its binary digits. */
function plainValue(code: number, { exponentBits, mantissaBits }: Format): number {
  const digits = code.toString(2).padStart(exponentBits + mantissaBits, '0');
  const exponent = Number.parseInt(digits.slice(0, exponentBits), 2);
  const bias = 2 ** (exponentBits - 1) - 1;
  let value = exponent === 0 ? 0 : 1;
  for (let i = 0; i < mantissaBits; i++) if (digits[exponentBits + i] === '1') value += 2 ** -(i + 1);
  return value * 2 ** (Math.max(exponent, 1) - bias);
}

/** The float32 next to `x` (positive) in the direction of `step`. */
function neighbour(x: number, step: 1 | -1): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, x);
  view.setUint32(0, view.getUint32(0) + step);
  return view.getFloat32(0);
}

describe.each(FORMATS)('$name', (format) => {
  const { exponentBits, mantissaBits, largest, decode, encode, overflow } = format;
  const signBit = 2 ** (exponentBits + mantissaBits);

  it('gives every code the value of its digits', () => {
    const wrong: number[] = [];
    for (let code = 0; code <= largest; code++) {
      const value = plainValue(code, format);
      if (!Object.is(decode(code), value) || !Object.is(decode(code + signBit), -value)) wrong.push(code);
    }
    expect(wrong).toEqual([]);
  });

  it('gives the codes above the largest number infinities and NaN', () => {
    for (let code = largest + 1; code < signBit; code++) {
      const isInfinite = format.name !== 'E4M3' && code === largest + 1;
      expect(decode(code)).toBe(isInfinite ? Number.POSITIVE_INFINITY : Number.NaN);
      expect(decode(code + signBit)).toBe(isInfinite ? Number.NEGATIVE_INFINITY : Number.NaN);
    }
  });

  it('gives every number of the format its code back', () => {
    const wrong: number[] = [];
    for (let code = 0; code <= largest; code++) {
      if (encode(decode(code)) !== code || encode(decode(code + signBit)) !== code + signBit) wrong.push(code);
    }
    expect(wrong).toEqual([]);
  });

  it('rounds every tie to the even code and its neighbours to their side', () => {
    const wrong: number[] = [];
    for (let code = 0; code < largest; code++) {
      const tie = (plainValue(code, format) + plainValue(code + 1, format)) / 2;
      const even = code % 2 === 0 ? code : code + 1;
      const isRight =
        Math.fround(tie) === tie &&
        encode(tie) === even &&
        encode(-tie) === even + signBit &&
        encode(neighbour(tie, -1)) === code &&
        encode(neighbour(tie, 1)) === code + 1;
      if (!isRight) wrong.push(code);
    }
    expect(wrong).toEqual([]);
  });

  it('treats what is beyond the largest number as the format says', () => {
    const top = plainValue(largest, format);
    const step = top - plainValue(largest - 1, format);
    expect(encode(neighbour(top + step / 2, -1))).toBe(largest);
    if (top + step / 2 < 2 ** 128) expect(encode(top + step / 2)).toBe(overflow);
    for (const x of [top * 4, 3.4e38 * 10, Number.POSITIVE_INFINITY]) {
      expect(encode(x)).toBe(overflow);
      expect(encode(-x)).toBe(overflow + signBit);
    }
  });

  it('keeps NaN', () => {
    expect(decode(encode(Number.NaN))).toBe(Number.NaN);
    expect(decode(encode(-Number.NaN))).toBe(Number.NaN);
  });

  it('finds the nearest number for any float32', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, max: 60000, min: -60000 }), (x) => {
        fc.pre(Math.abs(x) <= plainValue(largest, format));
        const code = encode(x);
        const distance = Math.abs(decode(code) - x);
        for (const other of [code - 1, code + 1]) {
          if ((other & (signBit - 1)) > largest || other < 0) continue;
          expect(distance).toBeLessThanOrEqual(Math.abs(decode(other) - x));
        }
        expect(Math.sign(decode(code)) * Math.sign(x)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('E8M0', () => {
  it('is a power of two, NaN at 255', () => {
    for (let code = 0; code < 255; code++) expect(Math.log2(decodeE8m0(code))).toBe(code - 127);
    expect(decodeE8m0(255)).toBe(Number.NaN);
  });
});
