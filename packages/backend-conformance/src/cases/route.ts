/** The router: every way to score, group and normalise, and the traps that implementations have fallen into. */
import type { RoutingOptions } from '@mariana/core';
import fc from 'fast-check';
import { axis, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { ConformanceError } from '../conformance-error.ts';
import { type RoutedToken, routeToken } from '../oracle/route.ts';
import { type Random, randomFrom, reals } from '../random.ts';
import { relativeError, U } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

type BiasKind = 'none' | 'mixed' | 'negative';

interface Example {
  readonly tokens: number;
  readonly options: RoutingOptions;
  readonly experts: number;
  readonly bias: BiasKind;
  readonly seed: number;
}

const examples: fc.Arbitrary<Example> = fc
  .record({
    tokens: axis(17),
    groups: fc.constantFrom(1, 2, 3, 4, 8),
    groupSize: fc.integer({ min: 1, max: 9 }),
    topGroups: fc.nat(),
    topK: fc.nat(),
    scoring: fc.constantFrom('sigmoid' as const, 'softmax' as const),
    groupScore: fc.constantFrom('top2' as const, 'max' as const),
    normalize: fc.boolean(),
    scale: fc.constantFrom(1, 2.5, 16),
    bias: fc.constantFrom<BiasKind>('none', 'mixed', 'negative'),
    seed: valueSeed,
  })
  .map(({ tokens, groups, groupSize, topGroups, topK, bias, seed, ...rules }) => {
    const kept = 1 + (topGroups % groups);
    // As many experts as the kept groups have, at most: masked ones are never chosen.
    const chosen = 1 + (topK % Math.min(8, (groups === 1 ? 1 : kept) * groupSize));
    const options = { ...rules, groups, topGroups: kept, topK: chosen };
    return { tokens, options, experts: groups * groupSize, bias, seed };
  });

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
  scoring: 'softmax',
  topK: 6,
  groups: 8,
  topGroups: 3,
  groupScore: 'max',
  normalize: false,
  scale: 16,
};

const MODELS: readonly Example[] = [
  { tokens: 5, options: V3, experts: 64, bias: 'mixed', seed: 1 },
  { tokens: 5, options: V3, experts: 64, bias: 'negative', seed: 2 },
  { tokens: 5, options: V2, experts: 64, bias: 'none', seed: 3 },
  { tokens: 3, options: { ...V2, groups: 1, topGroups: 1 }, experts: 64, bias: 'none', seed: 4 },
  { tokens: 3, options: { ...V3, groups: 3, topGroups: 2, topK: 4 }, experts: 12, bias: 'negative', seed: 5 },
  { tokens: 0, options: { ...V3, topK: 2 }, experts: 16, bias: 'mixed', seed: 6 },
];

/** Every way to score, group, normalise and bias, on a small router. */
const COMBINATIONS: readonly Example[] = (['sigmoid', 'softmax'] as const).flatMap((scoring) =>
  (['top2', 'max'] as const).flatMap((groupScore) =>
    [true, false].flatMap((normalize) =>
      [1, 4].flatMap((groups) =>
        (['none', 'mixed', 'negative'] as const).map((bias) => ({
          tokens: 3,
          options: { scoring, groupScore, normalize, groups, topGroups: groups === 1 ? 1 : 2, topK: 3, scale: 2.5 },
          experts: 12,
          bias,
          seed: 7,
        })),
      ),
    ),
  ),
);

const BIAS: Readonly<Record<BiasKind, readonly [number, number]>> = {
  none: [0, 0],
  mixed: [-0.5, 0.5],
  negative: [-4, -2],
};

/** Logits of one token by which the router's decisions are beyond doubt; ties would leave them to rounding. */
function clearToken(random: Random, bias: Float32Array | null, one: Example, bench: Workbench) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const logits = reals(random, one.experts, -4, 4);
    const routed = routeToken(logits, bias, one.options, bench.tolerance);
    if (routed.isClear) return { logits, routed };
  }
  throw new ConformanceError('route', 'the tolerance leaves no logits whose routing is beyond doubt; it is too wide');
}

async function expectRouting(
  bench: Workbench,
  logits: Float32Array,
  bias: Float32Array | null,
  options: RoutingOptions,
  tokens: readonly RoutedToken[],
): Promise<void> {
  const experts = tokens.length === 0 ? (bias?.length ?? 0) : logits.length / tokens.length;
  const result = bench.backend.route(
    bench.tensor(logits, [tokens.length, experts]),
    bias === null ? null : bench.tensor(bias, [experts]),
    options,
  );
  for (const tensor of [result.indices, result.weights, result.scores]) bench.hold(tensor);
  const shape = [tokens.length, options.topK];
  await bench.expect(result.indices, { shape, dtype: 'i32', values: tokens.flatMap(({ indices }) => indices) });
  const flat = (of: 'weights' | 'scores') => ({
    values: tokens.flatMap((token) => [...token[of].values]),
    bound: tokens.flatMap((token) => [...token[of].errors]),
  });
  await bench.expect(result.weights, { shape, ...flat('weights') });
  await bench.expect(result.scores, { shape: [tokens.length, experts], ...flat('scores') });
}

/** A case in which the decision is plain: its indices are worked by hand, its weights follow the formula. */
const byHand = (
  name: string,
  rows: readonly { logits: readonly number[]; indices: readonly number[] }[],
  bias: readonly number[] | null,
  options: RoutingOptions,
): CaseDefinition =>
  example('route', name, async (bench) => {
    const biases = bias === null ? null : Float32Array.from(bias);
    const tokens = rows.map(({ logits, indices }) => {
      const routed = routeToken(Float32Array.from(logits), biases, options, bench.tolerance);
      return { ...routed, indices: [...indices] };
    });
    await expectRouting(bench, Float32Array.from(rows.flatMap(({ logits }) => logits)), biases, options, tokens);
  });

export const routeCases: readonly CaseDefinition[] = [
  property(
    'route',
    'chooses and weighs as the formulas do',
    { arbitrary: examples, examples: [...MODELS, ...COMBINATIONS] },
    async (bench, one) => {
      const random = randomFrom(one.seed);
      const bias = one.bias === 'none' && one.tokens > 0 ? null : reals(random, one.experts, ...BIAS[one.bias]);
      const tokens = Array.from({ length: one.tokens }, () => clearToken(random, bias, one, bench));
      const logits = Float32Array.from(tokens.flatMap((token) => [...token.logits]));
      await expectRouting(
        bench,
        logits,
        bias,
        one.options,
        tokens.map(({ routed }) => routed),
      );
    },
  ),

  // Groups {0, 1}, {2, 3}, {4, 5}; all scores with bias below zero. A mask of zero would put the masked ones first.
  byHand(
    'masks groups with minus infinity: no expert of theirs is chosen where all scores are negative',
    [{ logits: [3, -1, 1, 1.5, -3, -2], indices: [3, 2, 0] }],
    [-3, -3.5, -2, -2, -6, -6],
    { ...V3, topK: 3, groups: 3, topGroups: 2, scale: 1 },
  ),

  // The best single expert is 0, but groups {2, 3} have the better pair.
  byHand('scores a group by its two best experts together', [{ logits: [4, -4, 1, 0.5], indices: [2, 3] }], null, {
    ...V3,
    topK: 2,
    groups: 2,
    topGroups: 1,
  }),
  byHand('scores a group by its best expert alone', [{ logits: [4, -4, 1, 0.5], indices: [0, 1] }], null, {
    ...V3,
    topK: 2,
    groups: 2,
    topGroups: 1,
    groupScore: 'max',
  }),
  byHand('chooses by the bias, and weighs without it', [{ logits: [2, 1, 0, -1], indices: [3, 2] }], [0, 0, 5, 6], {
    ...V3,
    topK: 2,
    groups: 1,
    topGroups: 1,
  }),
  byHand('lets the bias choose the groups', [{ logits: [3, 3.5, -3, -2.5], indices: [3, 2] }], [0, 0, 3, 3], {
    ...V3,
    topK: 2,
    groups: 2,
    topGroups: 1,
  }),
  byHand(
    'takes the softmax over all experts, and does not normalise unless told to',
    [{ logits: [0, 1, 2, 3], indices: [3, 2] }],
    null,
    { ...V2, topK: 2, groups: 1, topGroups: 1, scale: 1 },
  ),
  byHand(
    'keeps weights finite where all scores vanish',
    [{ logits: [-150, -160, -170, -180], indices: [2, 1] }],
    [1, 2, 3, 0],
    { ...V3, topK: 2, groups: 1, topGroups: 1 },
  ),
  byHand('groups of one expert', [{ logits: [0.5, 2, -1, 1], indices: [1, 3] }], null, {
    ...V3,
    topK: 2,
    groups: 4,
    topGroups: 2,
  }),

  example('route', 'weights that are normalised sum to the scale', async (bench) => {
    const logits = reals(randomFrom(9), 6 * 16, -4, 4);
    const { indices, weights, scores } = bench.backend.route(bench.tensor(logits, [6, 16]), null, {
      ...V3,
      topK: 4,
      groups: 4,
      topGroups: 2,
    });
    for (const tensor of [indices, scores]) bench.hold(tensor);
    const sums = bench.hold(bench.backend.reduce('sum', bench.hold(weights), -1));
    const relative = 16 * U + 2 * relativeError('sigmoid', 4, bench.tolerance);
    await bench.expect(sums, { shape: [6], values: new Float32Array(6).fill(2.5), bound: 2.5 * relative });
  }),

  example(
    'route',
    'refuses groups that do not divide the experts, a bias of another size, too many experts',
    async (bench) => {
      const { backend } = bench;
      const x = bench.tensor(new Float32Array(12), [2, 6]);
      const bias = bench.tensor(new Float32Array(5), [5]);
      const flat = bench.tensor(new Float32Array(6), [6]);
      const ints = bench.tensor(new Int32Array(12), [2, 6]);
      const options = { ...V3, topK: 2, groups: 1, topGroups: 1 };
      const refused = (what: string, code: 'SHAPE_MISMATCH' | 'DTYPE_MISMATCH', call: () => unknown) =>
        bench.refuses(what, code, call);
      await refused('6 experts in 4 groups', 'SHAPE_MISMATCH', () => backend.route(x, null, { ...options, groups: 4 }));
      await refused('a bias [5]', 'SHAPE_MISMATCH', () => backend.route(x, bias, options));
      await refused('logits [6]', 'SHAPE_MISMATCH', () => backend.route(flat, null, options));
      await refused('7 of 6 experts', 'SHAPE_MISMATCH', () => backend.route(x, null, { ...options, topK: 7 }));
      await refused('3 of 2 groups', 'SHAPE_MISMATCH', () =>
        backend.route(x, null, { ...options, groups: 2, topGroups: 3 }),
      );
      await refused('i32', 'DTYPE_MISMATCH', () => backend.route(ints, null, options));
    },
  ),
];
