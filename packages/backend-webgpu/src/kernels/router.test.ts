/** The router kernel against the contract's default on the reference backend. */

import { reference } from '@mariana/backend-reference';
import type { RoutingOptions } from '@mariana/core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { type RouterConfig, routerFits, routerKernel } from './router.ts';
import { routingPartKernel } from './routing-part.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const V3: RoutingOptions = {
  scoring: 'sigmoid',
  topK: 8,
  groups: 8,
  topGroups: 4,
  groupScore: 'top2',
  normalize: true,
  scale: 2.5,
};
const V2: RoutingOptions = {
  ...V3,
  scoring: 'softmax',
  topK: 6,
  topGroups: 3,
  groupScore: 'max',
  normalize: false,
  scale: 16,
};

async function route(config: Omit<RouterConfig, 'biased'>, logits: Float32Array, bias: Float32Array | null) {
  const { experts, options, always = 0 } = config;
  const tokens = logits.length / experts;
  const slots = options.topK + always;
  const [indices, weights, scores] = [tokens * slots * 4, tokens * slots * 4, logits.byteLength].map((n) =>
    bench.empty(n),
  );
  await bench.run(routerKernel({ ...config, biased: bias !== null }), {
    shape: { tokens },
    buffers: {
      logits: bench.buffer(logits),
      ...(bias === null ? {} : { bias: bench.buffer(bias) }),
      indices: indices!,
      weights: weights!,
      scores: scores!,
    },
    uniforms: { tokens },
  });
  return {
    indices: [...(await bench.integers(indices!))],
    weights: await bench.floats(weights!),
    scores: await bench.floats(scores!),
  };
}

async function expected(experts: number, options: RoutingOptions, logits: Float32Array, bias: Float32Array | null) {
  const backend = reference();
  const routing = backend.route(
    backend.upload(logits, [logits.length / experts, experts]),
    bias && backend.upload(bias, [experts]),
    options,
  );
  return {
    indices: [...((await backend.read(routing.indices)) as Int32Array)],
    weights: (await backend.read(routing.weights)) as Float32Array,
    scores: (await backend.read(routing.scores)) as Float32Array,
  };
}

/**
 * Relative error of a score: for logits in [-L, L], `exp` errs by 3 + 2 (2 L) ulps of 2u at most (softmax subtracts the
 * maximum), its sum over n experts by n u more, the division by 5 u; the reference rounds each step, some 4 u.
 */
const scoreError = (experts: number, largest: number) => (2 * (3 + 4 * largest) + experts + 9) * U;

/** Logits that are shuffled multiples of a step, so that no two scores of a token are within rounding of each other. */
function apart(experts: number, seed: number, step = 1 / 32): Float32Array {
  const next = uniform(seed, 0, 1);
  const places = Array.from({ length: experts }, (_, i) => i - experts / 2).sort(() => next() - 0.5);
  return Float32Array.from(places, (place) => place * step + 0.001 * next() * step);
}

async function expectSame(experts: number, options: RoutingOptions, logits: Float32Array, bias: Float32Array | null) {
  const [got, want] = [await route({ experts, options }, logits, bias), await expected(experts, options, logits, bias)];
  expect(got.indices).toEqual(want.indices);
  const error = scoreError(experts, Math.max(...logits.map(Math.abs)));
  expect(worst(got.scores, want.scores, (i) => error * want.scores[i]! + 2 ** -126)).toBeLessThanOrEqual(1);
  // A weight is a score over a sum of such, times the scale: twice the error of a score, and a few roundings.
  const ofWeight = 2 * error + (options.topK + 12) * U;
  expect(worst(got.weights, want.weights, (i) => ofWeight * want.weights[i]! + 2 ** -126)).toBeLessThanOrEqual(1);
}

describe('routes as the reference does', () => {
  test.each([
    ['DeepSeek-V3', 256, V3, true],
    ['DeepSeek-V2', 160, V2, false],
    ['DeepSeek-V2-Lite', 64, { ...V2, groups: 1, topGroups: 1, scale: 1 }, false],
    ['Kimi-K2', 384, { ...V3, groups: 1, topGroups: 1, scale: 2.827 }, true],
    ['softmax, normalised, with bias', 300, { ...V2, groups: 5, groupScore: 'top2', normalize: true }, true],
    ['groups of one expert', 8, { ...V3, topK: 3 }, true],
    ['one expert', 1, { ...V3, topK: 1, groups: 1, topGroups: 1 }, false],
  ] satisfies [string, number, RoutingOptions, boolean][])('%s', async (_name, experts, options, biased) => {
    const tokens = 5;
    const logits = Float32Array.from(Array.from({ length: tokens }, (_, t) => [...apart(experts, 11 + t)]).flat());
    // Whole numbers: they move experts past each other and leave the gaps as they are.
    const next = uniform(5, 0, 3);
    const bias = biased ? Float32Array.from({ length: experts }, () => Math.floor(next())) : null;
    await expectSame(experts, options, logits, bias);
  });

  test('any rules', async () => {
    const rules = fc.record({
      groups: fc.constantFrom(1, 2, 3, 8),
      size: fc.integer({ min: 1, max: 40 }),
      topGroups: fc.nat(),
      topK: fc.nat(),
      scoring: fc.constantFrom('sigmoid' as const, 'softmax' as const),
      groupScore: fc.constantFrom('top2' as const, 'max' as const),
      normalize: fc.boolean(),
      scale: fc.constantFrom(1, 2.5),
      biased: fc.boolean(),
      seed: fc.integer(),
    });
    await fc.assert(
      fc.asyncProperty(rules, async ({ groups, size, topGroups, topK, biased, seed, ...rest }) => {
        const kept = 1 + (topGroups % groups);
        const options = { ...rest, groups, topGroups: kept, topK: 1 + (topK % Math.min(8, kept * size)) };
        const experts = groups * size;
        const next = uniform(seed, -4, -1);
        const bias = biased ? Float32Array.from({ length: experts }, () => Math.floor(next())) : null;
        await expectSame(
          experts,
          options,
          Float32Array.from([...apart(experts, seed), ...apart(experts, seed + 1)]),
          bias,
        );
      }),
      { numRuns: 6 },
    );
  });

  test('tokens along both axes of the grid', async () => {
    const logits = Float32Array.of(0, 1, 1, 0, 0, 1);
    const options = { ...V3, topK: 1, groups: 1, topGroups: 1, scale: 1 };
    const kernel = routerKernel({ experts: 2, options, biased: false });
    expect(kernel.dispatch({ tokens: 70_000 })).toEqual([32768, 3, 1]);
    const [indices, weights, scores] = [bench.empty(12), bench.empty(12), bench.empty(24)];
    await bench.run(
      { ...kernel, dispatch: () => [2, 2, 1] },
      {
        shape: { tokens: 3 },
        buffers: { logits: bench.buffer(logits), indices, weights, scores },
        uniforms: { tokens: 3 },
      },
    );
    expect([...(await bench.integers(indices))]).toEqual([1, 0, 1]);
  });
});

describe('ties and edges', () => {
  test('equal scores: the lower index first, in groups too', async () => {
    const same = new Float32Array(64).fill(0.5);
    expect((await route({ experts: 64, options: V3 }, same, null)).indices).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const bias = Float32Array.from({ length: 64 }, (_, i) => (i >= 32 ? 1 : 0));
    expect((await route({ experts: 64, options: V3 }, same, bias)).indices).toEqual([32, 33, 34, 35, 36, 37, 38, 39]);
  });

  test('masked groups stay behind where all scores are negative', async () => {
    const options = { ...V3, topK: 3, groups: 3, topGroups: 2, scale: 1 };
    const logits = Float32Array.of(3, -1, 1, 1.5, -3, -2);
    expect((await route({ experts: 6, options }, logits, Float32Array.of(-3, -3.5, -2, -2, -6, -6))).indices).toEqual([
      3, 2, 0,
    ]);
  });

  test('where all scores vanish weights are finite', async () => {
    const options = { ...V3, topK: 2, groups: 1, topGroups: 1 };
    const { indices, weights } = await route(
      { experts: 4, options },
      Float32Array.of(-150, -160, -170, -180),
      Float32Array.of(1, 2, 3, 0),
    );
    expect(indices).toEqual([2, 1]);
    expect([...weights]).toEqual([0, 0]);
  });

  test('NaN is chosen first and shows in its weight; indices stay distinct', async () => {
    const logits = Float32Array.of(
      1,
      Number.NaN,
      3,
      Number.POSITIVE_INFINITY,
      2,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      0,
    );
    const options = { ...V3, topK: 4, groups: 1, topGroups: 1, normalize: false };
    const { indices, weights } = await route({ experts: 8, options }, logits, null);
    expect(indices).toEqual([1, 6, 3, 2]);
    expect([...weights.slice(0, 2)]).toEqual([Number.NaN, Number.NaN]);
  });

  test('experts that every token takes come last, with weight 1', async () => {
    const logits = Float32Array.from([...apart(16, 1), ...apart(16, 2)]);
    const options = { ...V3, topK: 3, groups: 4, topGroups: 2 };
    const [plain, more] = [
      await route({ experts: 16, options }, logits, null),
      await route({ experts: 16, options, always: 2 }, logits, null),
    ];
    for (const token of [0, 1]) {
      expect(more.indices.slice(token * 5, token * 5 + 5)).toEqual([
        ...plain.indices.slice(token * 3, token * 3 + 3),
        16,
        17,
      ]);
      expect([...more.weights.slice(token * 5, token * 5 + 5)]).toEqual([
        ...plain.weights.slice(token * 3, token * 3 + 3),
        1,
        1,
      ]);
    }
  });

  test('packed, each expert is followed by the bits of its weight, which come out again one by one', async () => {
    const logits = Float32Array.from([...apart(16, 1), ...apart(16, 2)]);
    const options = { ...V3, topK: 3, groups: 4, topGroups: 2 };
    const plain = await route({ experts: 16, options, always: 1 }, logits, null);
    const [choice, scores] = [bench.empty(2 * 4 * 8), bench.empty(logits.byteLength)];
    await bench.run(routerKernel({ experts: 16, options, always: 1, biased: false, packed: true }), {
      shape: { tokens: 2 },
      buffers: { logits: bench.buffer(logits), choice, scores },
      uniforms: { tokens: 2 },
    });
    const part = async (part: number) => {
      const y = bench.empty(2 * 4 * 4);
      await bench.run(routingPartKernel(), {
        shape: { size: 8 },
        buffers: { choice, y },
        uniforms: { size: 8, part },
      });
      return y;
    };
    expect([...(await bench.integers(await part(0)))]).toEqual(plain.indices);
    expect(await bench.floats(await part(1))).toEqual(plain.weights);
    expect(await bench.floats(scores)).toEqual(plain.scores);
  });

  test('too many experts are refused', () => {
    expect(routerFits({ experts: 3800, options: V3 })).toBe(true);
    expect(() => routerKernel({ experts: 4096, biased: false, options: V3 })).toThrow(/4096 experts/);
  });
});
