/** Sampling against values worked out by hand, against properties, and against the frequencies that it promises. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkSampling, type SamplingOptions } from './options.ts';
import { seededRandom } from './random.ts';
import {
  argmax,
  biasLogits,
  candidates,
  draw,
  logprobOf,
  logSoftmax,
  penalizeRepetition,
  sample,
  topTokens,
} from './sample.ts';

const f32 = (...values: number[]) => Float32Array.from(values);

/** Logits of probabilities: these are 1/2, 1/4, 1/8, 1/8. */
const HALVES = f32(Math.log(1 / 4), Math.log(1 / 2), Math.log(1 / 8), Math.log(1 / 8));
const all = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** Candidates with probabilities rounded, since HALVES are rounded themselves. */
function kept(options: Partial<typeof all>, logits = HALVES): [number, number][] {
  const { ids, probabilities } = candidates(logits, { ...all, ...options });
  return Array.from(ids, (id, i) => [id, Number(probabilities[i]!.toFixed(6))]);
}

describe('by hand', () => {
  test('log softmax', () => {
    const logprobs = logSoftmax(HALVES);
    expect(Array.from(logprobs, (value) => Number(Math.exp(value).toFixed(6)))).toEqual([0.25, 0.5, 0.125, 0.125]);
    // Shifting all logits changes nothing, however far: exp of the values themselves would overflow.
    expect(Array.from(logSoftmax([1000, 1001]))).toEqual(Array.from(logSoftmax([0, 1])));
    expect(logSoftmax([0, Number.NEGATIVE_INFINITY])).toEqual(Float64Array.of(0, Number.NEGATIVE_INFINITY));
  });

  test('everything is kept, most probable first, of equals the lower id', () => {
    expect(kept({})).toEqual([
      [1, 0.5],
      [0, 0.25],
      [2, 0.125],
      [3, 0.125],
    ]);
  });

  test('temperature: at 1/2 probabilities are squared, at 2 they are rooted', () => {
    const squares = 1 / 4 + 1 / 16 + 2 / 64;
    expect(kept({ temperature: 0.5 })[0]).toEqual([1, Number((1 / 4 / squares).toFixed(6))]);
    const roots = Math.sqrt(1 / 2) + Math.sqrt(1 / 4) + 2 * Math.sqrt(1 / 8);
    expect(kept({ temperature: 2 })[0]).toEqual([1, Number((Math.sqrt(1 / 2) / roots).toFixed(6))]);
  });

  test('top-k: two of four, which are then 2/3 and 1/3; more than there are keeps all', () => {
    expect(kept({ topK: 2 })).toEqual([
      [1, 0.666667],
      [0, 0.333333],
    ]);
    expect(kept({ topK: 3 }).map(([id]) => id)).toEqual([1, 0, 2]);
    expect(kept({ topK: 99 })).toHaveLength(4);
  });

  test('top-p: the fewest that reach it; the token that crosses the border is kept', () => {
    expect(kept({ topP: 0.4 })).toEqual([[1, 1]]);
    expect(kept({ topP: 0.6 }).map(([id]) => id)).toEqual([1, 0]);
    expect(kept({ topP: 0.74 }).map(([id]) => id)).toEqual([1, 0]);
    expect(kept({ topP: 0.76 }).map(([id]) => id)).toEqual([1, 0, 2]);
    expect(kept({ topP: 1e-9 })).toEqual([[1, 1]]);
  });

  test('top-p counts within what top-k left', () => {
    // Of 2/3 and 1/3 the first alone reaches 0.6; of 1/2 and 1/4 it would not.
    expect(kept({ topK: 2, topP: 0.6 })).toEqual([[1, 1]]);
  });

  test('min-p: a share of the best', () => {
    expect(kept({ minP: 0.3 }).map(([id]) => id)).toEqual([1, 0]);
    expect(kept({ minP: 0.2 })).toHaveLength(4);
    expect(kept({ minP: 1 })).toEqual([[1, 1]]);
  });

  test('repetition penalty: positive logits are divided, negative ones multiplied, each token once', () => {
    const logits = f32(2, -2, 0, 4);
    penalizeRepetition(logits, [0, 1, 1, 2], 2);
    expect(logits).toEqual(f32(1, -4, 0, 4));
    penalizeRepetition(logits, [3], 1);
    expect(logits).toEqual(f32(1, -4, 0, 4));
  });

  test('logit bias is added to single tokens', () => {
    const logits = f32(1, 2, 3);
    biasLogits(logits, { 0: 10, 2: Number.NEGATIVE_INFINITY });
    expect(logits).toEqual(f32(11, 2, Number.NEGATIVE_INFINITY));
  });

  test('the log probability of one token is that of all, to the last digit', () => {
    const rows = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(rows, (row) => {
        expect(row.map((_, id) => logprobOf(row, id))).toEqual([...logSoftmax(row)]);
      }),
    );
  });

  test('argmax takes the first of equals', () => {
    expect(argmax([1, 3, 3, 2])).toBe(1);
    expect(argmax([Number.NEGATIVE_INFINITY, -5])).toBe(1);
  });

  test('the best tokens with their log-probabilities', () => {
    const logprobs = logSoftmax(HALVES);
    expect(topTokens(logprobs, 3).map(({ id }) => id)).toEqual([1, 0, 2]);
    expect(topTokens(logprobs, 3)[0]!.logprob).toBe(logprobs[1]);
    expect(topTokens(logprobs, 0)).toEqual([]);
    expect(topTokens(logprobs, 10)).toHaveLength(4);
  });

  test('the order of the steps: bias and penalty come before the cuts', () => {
    const options = { temperature: 0, logitBias: { 0: 5 }, repetitionPenalty: 10 };
    expect(pick(f32(0, 1, 2), [], options)).toBe(0);
    expect(pick(f32(0, 1, 2), [0], options)).toBe(2); // 5 / 10 is less than 2
  });
});

function pick(logits: Float32Array, past: number[], options: SamplingOptions, seed = 0): number {
  return sample(logits, past, checkSampling(options, logits.length), seededRandom(seed));
}

// Multiples of coarse steps, so that values are equal or clearly apart: what lies on a border is for rounding to decide.
const stepped = (min: number, max: number, step: number) =>
  fc.integer({ min: Math.ceil(min / step), max: Math.floor(max / step) }).map((count) => count * step);
const someLogits = fc
  .array(fc.oneof({ weight: 9, arbitrary: stepped(-30, 30, 0.25) }, fc.constant(Number.NEGATIVE_INFINITY)), {
    minLength: 1,
    maxLength: 60,
  })
  .map((values) => Float32Array.from(values))
  .filter((values) => values.some((value) => value > Number.NEGATIVE_INFINITY));
const someOptions = fc.record({
  temperature: stepped(0.1, 5, 0.1),
  topK: fc.integer({ min: 0, max: 70 }),
  topP: stepped(0.01, 1, 1 / 97),
  minP: stepped(0, 1, 1 / 89),
});

/** The same by the book: sort everything, then cut. What the fast way must agree with. */
function candidatesByTheBook(logits: Float32Array, { temperature, topK, topP, minP }: typeof all): number[] {
  const max = Math.max(...logits);
  const weights = Array.from(logits, (value) => Math.exp((value - max) / temperature));
  let ids = weights.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b);
  ids = ids.filter((id) => weights[id]! > 0);
  if (topK > 0) ids = ids.slice(0, topK);
  const total = ids.reduce((sum, id) => sum + weights[id]!, 0);
  const best = weights[ids[0]!]!;
  let mass = 0;
  const kept: number[] = [];
  for (const id of ids) {
    if (kept.length > 0 && topP < 1 && mass >= topP) break;
    if (weights[id]! < minP * best * (1 - 1e-12)) break;
    kept.push(id);
    mass += weights[id]! / total;
  }
  return kept;
}

describe('properties', () => {
  test('candidates are those of the definition', () => {
    fc.assert(
      fc.property(someLogits, someOptions, (logits, options) => {
        const { ids, probabilities } = candidates(logits, options);
        expect([...ids]).toEqual(candidatesByTheBook(logits, options));
        expect(probabilities.reduce((sum, probability) => sum + probability, 0)).toBeCloseTo(1, 9);
        expect(probabilities.every((probability) => probability > 0)).toBe(true);
        expect([...probabilities]).toEqual([...probabilities].sort((a, b) => b - a));
      }),
      { numRuns: 2000 },
    );
  });

  test('a large vocabulary gives the same as the definition', () => {
    const random = seededRandom(3);
    const logits = Float32Array.from({ length: 20_000 }, () => 12 * (random.next() + random.next() + random.next()));
    for (const options of [
      { ...all, topK: 50 },
      { ...all, topP: 0.95 },
      { ...all, topP: 0.5, topK: 1000 },
      { ...all, minP: 0.05 },
      { ...all, temperature: 0.6, topP: 0.95 },
      all,
    ]) {
      expect([...candidates(logits, options).ids]).toEqual(candidatesByTheBook(logits, options));
    }
  });

  test('the drawn token is a candidate; at temperature 0 it is the best; logits stay as they were', () => {
    fc.assert(
      fc.property(someLogits, someOptions, fc.integer(), (logits, options, seed) => {
        const before = logits.slice();
        const id = pick(logits, [], options, seed);
        expect([...candidates(logits, options).ids]).toContain(id);
        expect(logits[pick(logits, [], { temperature: 0 })] === Math.max(...logits)).toBe(true);
        expect(logits).toEqual(before);
      }),
    );
  });

  test('what has no probability is never drawn, not even by the last remainder of rounding', () => {
    const logits = f32(0, Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY);
    const almostOne = { next: () => 1 - 2 ** -53, clone: () => almostOne };
    expect(draw(candidates(logits, all), almostOne)).toBe(2);
    expect(draw({ ids: Int32Array.of(7, 8), probabilities: Float64Array.of(0.5, 0.4999999) }, almostOne)).toBe(8);
  });

  test('seeds repeat, and a clone goes on alike', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const [a, b] = [seededRandom(seed), seededRandom(seed)];
        const numbers = Array.from({ length: 5 }, () => a.next());
        expect(Array.from({ length: 5 }, () => b.next())).toEqual(numbers);
        expect(a.clone().next()).toBe(b.next());
        for (const number of numbers) expect(number >= 0 && number < 1).toBe(true);
      }),
    );
    expect(seededRandom(1).next()).not.toBe(seededRandom(2).next());
  });
});

test('frequencies are the probabilities: chi-square over 20,000 draws', () => {
  const logits = Float32Array.from({ length: 12 }, (_, i) => Math.sin(5 * i) * 2);
  const { ids, probabilities } = candidates(logits, { ...all, topP: 0.97, temperature: 1.3 });
  const random = seededRandom(2024);
  const counts = new Map<number, number>();
  const draws = 20_000;
  for (let i = 0; i < draws; i++) {
    const id = sample(logits, [], checkSampling({ topP: 0.97, temperature: 1.3 }, 12), random);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  expect([...counts.keys()].every((id) => ids.includes(id))).toBe(true);
  const chiSquare = Array.from(ids, (id, i) => {
    const expected = draws * probabilities[i]!;
    return ((counts.get(id) ?? 0) - expected) ** 2 / expected;
  }).reduce((sum, term) => sum + term, 0);
  // With k - 1 degrees of freedom the mean is k - 1 and the deviation sqrt(2 (k - 1)); five of those are beyond chance.
  const freedom = ids.length - 1;
  expect(freedom).toBeGreaterThan(5);
  expect(chiSquare).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom));
});

describe('what makes no sense is refused', () => {
  test.each<[string, SamplingOptions]>([
    ['temperature', { temperature: -1 }],
    ['temperature', { temperature: Number.NaN }],
    ['temperature', { temperature: Number.POSITIVE_INFINITY }],
    ['topK', { topK: 1.5 }],
    ['topK', { topK: -1 }],
    ['topP', { topP: 0 }],
    ['topP', { topP: 1.1 }],
    ['minP', { minP: -0.1 }],
    ['minP', { minP: 2 }],
    ['repetitionPenalty', { repetitionPenalty: 0 }],
    ['seed', { seed: Number.NaN }],
    ['logitBias[4]', { logitBias: { 4: 1 } }],
    ['logitBias[x]', { logitBias: { x: 1 } as Record<number, number> }],
    ['logitBias[1]', { logitBias: { 1: Number.POSITIVE_INFINITY } }],
  ])('%s of %o', (name, options) => {
    expect(() => checkSampling(options, 4)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`${name} is `) }),
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('a logit of %d', (value) => {
    const failure = expect.objectContaining({ code: 'BACKEND_FAILED', message: expect.stringContaining('token 1') });
    expect(() => logSoftmax([0, value])).toThrow(failure);
    expect(() => candidates(f32(0, value), all)).toThrow(failure);
  });

  test('a bias on every token', () => {
    const banned = f32(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY);
    expect(() => candidates(banned, all)).toThrow(expect.objectContaining({ code: 'BACKEND_FAILED' }));
  });
});
