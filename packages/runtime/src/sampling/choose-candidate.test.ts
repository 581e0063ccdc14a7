/** Choosing among the best gives what the whole row gives, or says that it cannot know. */
import type { TokenCandidates } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { candidatesWanted, chooseCandidate } from './choose-candidate.ts';
import { checkSampling, type SamplingOptions } from './options.ts';
import { seededRandom } from './random.ts';
import { sample } from './sample.ts';

/** What a device says of a row: the `count` best, and sums that may be wrong by `error` of themselves. */
function bestOf(row: Float32Array, count: number, temperature: number, error = 0): TokenCandidates {
  const ids = Int32Array.from(row.keys()).sort((a, b) => (row[a] === row[b] ? a - b : row[b]! > row[a]! ? 1 : -1));
  const top = row[ids[0]!]!;
  const logSum = (t: number) =>
    top / t + Math.log(row.reduce((sum, logit) => sum + Math.exp((logit - top) / t), 0)) + Math.log1p(error);
  const kept = ids.slice(0, count);
  const logits = Float32Array.from(kept, (id) => row[id]!);
  return { ids: kept, logits, logSumExp: logSum(1), scaledLogSumExp: logSum(temperature) };
}

const checked = (options: SamplingOptions) => checkSampling(options, 1000);

/** The token that is chosen among the best, or null. */
function chosen(row: Float32Array, count: number, options: SamplingOptions, { seed = 1, error = 0 } = {}) {
  const sampling = checked(options);
  const best = bestOf(row, count, sampling.temperature || 1, error);
  const place = chooseCandidate(best, sampling, seededRandom(seed));
  return place === null ? null : best.ids[place]!;
}

test('whatever is asked for, the token is that of the whole row', () => {
  const options = fc.record({
    temperature: fc.constantFrom(0, 0.3, 0.6, 1, 1.7),
    topK: fc.constantFrom(0, 1, 5, 12),
    topP: fc.constantFrom(0.2, 0.7, 0.95, 1),
    minP: fc.constantFrom(0, 0.05, 0.5),
  });
  const logit = fc.oneof(fc.float({ min: -8, max: 8, noNaN: true }), fc.constantFrom(0, 1, Number.NEGATIVE_INFINITY));
  const rows = fc.array(logit, { minLength: 3, maxLength: 60 }).filter((row) => row.some(Number.isFinite));
  const errors = fc.double({ min: -(2 ** -12), max: 2 ** -12, noNaN: true });
  let known = 0;
  fc.assert(
    fc.property(rows, options, fc.nat(), fc.integer({ min: 1, max: 24 }), errors, (logits, options, seed, n, error) => {
      const row = Float32Array.from(logits);
      const id = chosen(row, Math.min(n, row.length), options, { seed, error });
      if (id === null) return;
      known++;
      expect(id).toBe(sample(row, [], checked(options), seededRandom(seed)));
    }),
    { numRuns: 2000 },
  );
  // Most of them are known: a test in which none is would show nothing.
  expect(known).toBeGreaterThan(500);
});

describe('the row decides', () => {
  const row = Float32Array.from({ length: 40 }, (_, i) => -i / 4);

  test('where top-p reaches beyond the list, and not where it ends within', () => {
    expect(chosen(row, 4, { temperature: 1, topP: 0.95 })).toBeNull();
    expect(chosen(row, 16, { temperature: 1, topP: 0.9 })).not.toBeNull();
  });

  test('where the cut of top-p is within the error of the sum', () => {
    const mass = (n: number) => {
      const shares = Array.from(row, Math.exp);
      const total = shares.reduce((sum, share) => sum + share, 0);
      return shares.slice(0, n).reduce((sum, share) => sum + share, 0) / total;
    };
    expect(chosen(row, 16, { temperature: 1, topP: mass(5) + 1e-5 })).toBeNull();
    expect(chosen(row, 16, { temperature: 1, topP: mass(5) - 1e-5 })).toBeNull();
    expect(chosen(row, 16, { temperature: 1, topP: (mass(5) + mass(6)) / 2 })).not.toBeNull();
  });

  test('where min-p or top-k do not end the list', () => {
    expect(chosen(row, 4, { temperature: 1, topP: 1, minP: 0.3 })).toBeNull();
    expect(chosen(row, 8, { temperature: 1, topP: 1, minP: 0.3 })).not.toBeNull();
    expect(chosen(row, 4, { temperature: 1, topP: 1, topK: 5 })).toBeNull();
    expect(chosen(row, 5, { temperature: 1, topP: 1, topK: 5 })).not.toBeNull();
  });

  test('and no random number is taken then', () => {
    const random = seededRandom(3);
    const options = checked({ temperature: 1, topP: 0.95 });
    expect(chooseCandidate(bestOf(row, 4, 1), options, random)).toBeNull();
    expect(random.next()).toBe(seededRandom(3).next());
  });
});

test('how many are asked for', () => {
  const wanted = (options: SamplingOptions, alternatives = 0) => candidatesWanted(checked(options), alternatives);
  expect(wanted({ temperature: 0 })).toBe(1);
  expect(wanted({ temperature: 0 }, 5)).toBe(5);
  expect(wanted({ topK: 40 })).toBe(40);
  expect(wanted({})).toBe(32);
  expect(wanted({}, 50)).toBe(50);
  expect(wanted({ topP: 1, minP: 0.1 })).toBe(32);
  // These look at tokens that need not be among the best.
  expect(wanted({ topP: 1 })).toBeNull();
  expect(wanted({ temperature: 0, repetitionPenalty: 1.1 })).toBeNull();
  expect(wanted({ temperature: 0, logitBias: { 3: 1 } })).toBeNull();
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'a best logit of %d is refused',
  (logit) => {
    const best = { ids: Int32Array.of(7), logits: Float32Array.of(logit), logSumExp: logit, scaledLogSumExp: logit };
    const choose = () => chooseCandidate(best, checked({ temperature: 0 }), seededRandom(1));
    expect(choose).toThrow(expect.objectContaining({ name: 'MarianaError', code: 'BACKEND_FAILED' }));
  },
);
