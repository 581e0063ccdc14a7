/** Packing, and the order of training data. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PackedData, packDocuments } from '../src/index.ts';

describe('packDocuments', () => {
  it('puts documents one after the other with separators between', () => {
    expect([...packDocuments([[1, 2], [], Int32Array.of(3)], 9)]).toEqual([1, 2, 9, 9, 3, 9]);
    expect([...packDocuments([[1, 2], [3]], null)]).toEqual([1, 2, 3]);
    expect(packDocuments([], 1)).toHaveLength(0);
  });

  it('keeps every token of long documents', () => {
    const documents = Array.from({ length: 50 }, (_, i) =>
      Int32Array.from({ length: 97 * i }, (_, j) => i * 10000 + j),
    );
    expect([...packDocuments(documents, null)]).toEqual(documents.flatMap((document) => [...document]));
  });
});

const setup = fc.record({
  sequences: fc.integer({ min: 1, max: 40 }),
  rest: fc.nat(3),
  sequenceLength: fc.integer({ min: 1, max: 5 }),
  seed: fc.integer({ min: -5, max: 1e6 }),
  count: fc.integer({ min: 1, max: 7 }),
});

describe('PackedData', () => {
  const make = ({ sequences, rest, sequenceLength, seed }: typeof setup extends fc.Arbitrary<infer T> ? T : never) => {
    const length = sequences * sequenceLength + 1 + Math.min(rest, sequenceLength - 1);
    return new PackedData(
      Int32Array.from({ length }, (_, i) => i),
      { sequenceLength, seed },
    );
  };

  it('an epoch has every sequence once, whole, and overlapping in one token', () => {
    fc.assert(
      fc.property(setup, (options) => {
        const data = make(options);
        expect(data.sequences).toBe(options.sequences);
        for (const epoch of [0, 1]) {
          const starts = [];
          for (let i = 0; i < data.sequences; i++) {
            const { tokens, sequences } = data.batch(epoch * data.sequences + i, 1);
            expect(sequences).toBe(1);
            expect([...tokens]).toEqual(Array.from({ length: data.sequenceLength + 1 }, (_, j) => tokens[0]! + j));
            starts.push(tokens[0]! / data.sequenceLength);
          }
          expect(starts.sort((a, b) => a - b)).toEqual(Array.from({ length: data.sequences }, (_, i) => i));
        }
      }),
    );
  });

  it('batches are the same in any order of asking, and join across epochs', () => {
    fc.assert(
      fc.property(setup, fc.array(fc.nat(20), { minLength: 1, maxLength: 8 }), (options, indices) => {
        const data = make(options);
        for (const index of indices) {
          const { tokens } = data.batch(index, options.count);
          const single = Array.from({ length: options.count }, (_, i) => [
            ...make(options).batch(index * options.count + i, 1).tokens,
          ]);
          expect([...tokens]).toEqual(single.flat());
        }
      }),
    );
  });

  it('other seeds and epochs give other orders', () => {
    const tokens = Int32Array.from({ length: 201 }, (_, i) => i);
    const order = (seed: number, epoch: number) => {
      const data = new PackedData(tokens, { sequenceLength: 2, seed });
      return Array.from({ length: 100 }, (_, i) => data.batch(epoch * 100 + i, 1).tokens[0]);
    };
    const orders = [order(0, 0), order(0, 1), order(1, 0), order(1, 1), order(2, 0)].map((places) => places.join());
    expect(new Set(orders).size).toBe(5);
  });

  it('the fingerprint changes with tokens, length and seed', () => {
    const print = (tokens: number[], sequenceLength: number, seed: number) =>
      new PackedData(tokens, { sequenceLength, seed }).fingerprint;
    const prints = [print([1, 2, 3], 1, 0), print([1, 2, 4], 1, 0), print([1, 2, 3], 2, 0), print([1, 2, 3], 1, 1)];
    expect(new Set(prints).size).toBe(4);
    expect(print([1, 2, 3], 1, 0)).toBe(prints[0]);
  });

  it('refuses too few tokens and impossible lengths', () => {
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => new PackedData([1, 2], { sequenceLength: 2 })).toThrow(invalid);
    expect(() => new PackedData([1, 2], { sequenceLength: 0 })).toThrow(invalid);
    expect(() => new PackedData([1, 2], { sequenceLength: 1, seed: 0.5 })).toThrow(invalid);
  });
});
