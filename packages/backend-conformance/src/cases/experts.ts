/** The routed experts: every way in which tokens can fall on experts, in every weight format. */
import type { ExpertWeights, Weight, WeightFormat } from '@mariana/core';
import fc from 'fast-check';
import { axis, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { heldValues } from '../held-weights.ts';
import { type Approximate, exactly, linear, swiglu } from '../oracle/approximate.ts';
import { integer, type Random, randomFrom, reals, shuffled } from '../random.ts';
import { activationErrors, floorOf, gamma } from '../tolerance.ts';
import { knownWeight, WEIGHT_FORMATS } from '../weight-sources.ts';
import type { Workbench } from '../workbench.ts';

interface Example {
  readonly tokens: number;
  readonly hidden: number;
  readonly inner: number;
  readonly experts: number;
  readonly topK: number;
  /** Where tokens fall: anywhere, all on the same experts, or anywhere but on some that stay idle. */
  readonly load: 'even' | 'crowded' | 'idle';
  readonly seed: number;
}

const layers: fc.Arbitrary<Example> = fc
  .record({
    tokens: axis(17),
    hidden: axis(65, 1),
    inner: axis(33, 1),
    experts: fc.integer({ min: 1, max: 6 }),
    topK: fc.nat(),
    load: fc.constantFrom('even' as const, 'crowded' as const, 'idle' as const),
    seed: valueSeed,
  })
  .map((one) => ({ ...one, topK: 1 + (one.topK % Math.min(3, one.experts)) }));

const LAYERS: readonly Example[] = [
  { tokens: 1, hidden: 5, inner: 3, experts: 4, topK: 2, load: 'even', seed: 1 },
  { tokens: 9, hidden: 8, inner: 6, experts: 4, topK: 1, load: 'crowded', seed: 2 },
  { tokens: 5, hidden: 128, inner: 33, experts: 3, topK: 3, load: 'even', seed: 3 },
  { tokens: 0, hidden: 8, inner: 6, experts: 4, topK: 2, load: 'even', seed: 4 },
  { tokens: 2, hidden: 130, inner: 129, experts: 5, topK: 2, load: 'idle', seed: 5 },
  { tokens: 3, hidden: 4, inner: 4, experts: 1, topK: 1, load: 'even', seed: 6 },
];

/** Chosen experts [tokens, topK], different ones for each token. */
function choices(random: Random, { tokens, experts, topK, load }: Example): Int32Array {
  const crowd = shuffled(random, experts);
  const busy = load === 'idle' ? Math.max(topK, experts - 2) : experts;
  const perToken = Array.from({ length: tokens }, () =>
    load === 'crowded' ? crowd.slice(0, topK) : shuffled(random, busy).slice(0, topK),
  );
  return Int32Array.from(perToken.flat());
}

/** Matrices of all experts of a layer, and the values that each is held with. */
async function loadLayer(bench: Workbench, format: WeightFormat, { hidden, inner, experts }: Example, random: Random) {
  const load = async (shape: readonly [number, number]) => {
    const sources = Array.from({ length: experts }, () => knownWeight(random, format, shape).source);
    const weights = await bench.backend.loadWeights(sources);
    for (const weight of weights) bench.hold(weight);
    return { weights, held: await Promise.all(weights.map((weight) => heldValues(bench, weight))) };
  };
  const gate = await load([inner, hidden]);
  const up = await load([inner, hidden]);
  const down = await load([hidden, inner]);
  const weights: ExpertWeights = { gate: gate.weights, up: up.weights, down: down.weights };
  return { weights, held: { gate: gate.held, up: up.held, down: down.held } };
}

type Layer = Awaited<ReturnType<typeof loadLayer>>;

/** An operand of a product with a weight of this kind: off by what it was, and by how the backend rounds it. */
function rounded(x: Approximate, { format }: Weight, bench: Workbench): Approximate {
  const rounding = activationErrors(x.values, format, bench.tolerance);
  return { values: x.values, errors: x.errors.map((error, i) => error + rounding[i]! * (1 + error)) };
}

/** down(silu(gate(x)) * up(x)) of one token. */
function runExpert(bench: Workbench, x: Float32Array, expert: number, { weights, held }: Layer): Approximate {
  const [inner, hidden] = weights.gate[expert]!.shape;
  const token = rounded(exactly(x), weights.gate[expert]!, bench);
  const gate = linear(token, held.gate[expert]!, hidden, inner);
  const up = linear(token, held.up[expert]!, hidden, inner);
  const hiddenState = rounded(swiglu(gate, up, bench.tolerance), weights.down[expert]!, bench);
  return linear(hiddenState, held.down[expert]!, inner, hidden);
}

async function expectExperts(bench: Workbench, format: WeightFormat, one: Example): Promise<void> {
  const { tokens, hidden, topK, seed } = one;
  const random = randomFrom(seed);
  const layer = await loadLayer(bench, format, one, random);
  const x = reals(random, tokens * hidden, -1, 1);
  const indices = choices(random, one);
  const shares = reals(random, tokens * topK, 0, 1);
  const values = new Float64Array(tokens * hidden);
  const bound = new Float64Array(tokens * hidden);
  for (let token = 0; token < tokens; token++) {
    const magnitudes = new Float64Array(hidden);
    for (let slot = token * topK; slot < (token + 1) * topK; slot++) {
      const row = x.subarray(token * hidden, (token + 1) * hidden);
      const result = runExpert(bench, row, indices[slot]!, layer);
      for (let i = 0; i < hidden; i++) {
        const share = shares[slot]! * result.values[i]!;
        values[token * hidden + i]! += share;
        magnitudes[i]! += Math.abs(share);
        bound[token * hidden + i]! += shares[slot]! * result.errors[i]! + floorOf(bench.tolerance);
      }
    }
    for (let i = 0; i < hidden; i++) bound[token * hidden + i]! += gamma(topK + 2, magnitudes[i]!);
  }
  const routing = {
    indices: bench.tensor(indices, [tokens, topK]),
    weights: bench.tensor(shares, [tokens, topK]),
  };
  const result = await bench.backend.experts(bench.tensor(x, [tokens, hidden]), routing, layer.weights);
  await bench.expect(result, { shape: [tokens, hidden], values, bound });
}

/** Experts of one number each: expert e computes silu(x) * x * (e + 1). */
function scalarExperts(bench: Workbench, experts: number): ExpertWeights {
  const weight = (value: number) =>
    bench.hold(bench.backend.denseWeight(bench.backend.upload(Float32Array.of(value), [1, 1])));
  const all = Array.from({ length: experts }, (_, i) => i + 1);
  return { gate: all.map(() => weight(1)), up: all.map(() => weight(1)), down: all.map((factor) => weight(factor)) };
}

export const expertCases: readonly CaseDefinition[] = [
  ...WEIGHT_FORMATS.map((format) =>
    property(
      'experts',
      `of ${format} weights, idle, busy and crowded`,
      { arbitrary: layers, examples: LAYERS },
      (bench, one) => expectExperts(bench, format, one),
    ),
  ),

  example('experts', 'worked by hand', async (bench) => {
    const weights = scalarExperts(bench, 3);
    const x = bench.tensor(Float32Array.of(1, -2), [2, 1]);
    const routing = {
      indices: bench.tensor(Int32Array.of(2, 0, 0, 1), [2, 2]),
      weights: bench.tensor(Float32Array.of(0.5, 2, 1, 0), [2, 2]),
    };
    // x silu(x) is 0.7310586 at 1 and 0.4768117 at -2; the factors are 0.5 * 3 + 2 * 1 and 1 * 1 + 0 * 2.
    const result = await bench.backend.experts(x, routing, weights);
    await bench.expect(result, { shape: [2, 1], values: [2.5587050251, 0.476811688], bound: 1e-5 });
  }),

  example('experts', 'several calls at once do not mix', async (bench) => {
    const weights = scalarExperts(bench, 2);
    const runs = [1, 2, 3].map((value) => ({
      x: bench.tensor(Float32Array.of(20 * value), [1, 1]),
      routing: {
        indices: bench.tensor(Int32Array.of(value % 2), [1, 1]),
        weights: bench.tensor(Float32Array.of(1), [1, 1]),
      },
      should: (20 * value) ** 2 * ((value % 2) + 1),
    }));
    const results = await Promise.all(runs.map(({ x, routing }) => bench.backend.experts(x, routing, weights)));
    for (const [i, result] of results.entries()) {
      await bench.expect(result, { shape: [1, 1], values: [runs[i]!.should], bound: runs[i]!.should * 1e-5 });
    }
  }),

  example('experts', 'its result belongs to no scope', async (bench) => {
    const { backend } = bench;
    const weights = scalarExperts(bench, 1);
    const x = bench.tensor(Float32Array.of(20), [1, 1]);
    const indices = bench.tensor(Int32Array.of(0), [1, 1]);
    const promise = backend.experts(x, { indices, weights: bench.tensor(Float32Array.of(1), [1, 1]) }, weights);
    // A scope that opens and closes while experts waits for the device must not take its tensors along.
    backend.scope(() => backend.upload(Float32Array.of(1), [1]).dispose());
    await bench.expect(await promise, { shape: [1, 1], values: [400], bound: 1e-2 });
  }),

  example(
    'experts',
    'refuses routing that does not fit the tokens, tensors and weights of another backend',
    async (bench) => {
      const { backend, foreign } = bench;
      const weights = scalarExperts(bench, 2);
      const x = bench.tensor(new Float32Array(2), [2, 1]);
      const indices = bench.tensor(new Int32Array(2), [2, 1]);
      const shares = bench.tensor(new Float32Array(2), [2, 1]);
      const three = bench.tensor(new Int32Array(3), [3, 1]);
      const vector = bench.tensor(new Float32Array(2), [2]);
      const routing = { indices, weights: shares };
      await bench.refuses('3 choices of 2 tokens', 'SHAPE_MISMATCH', () =>
        backend.experts(x, { indices: three, weights: shares }, weights),
      );
      await bench.refuses('tokens of rank 1', 'SHAPE_MISMATCH', () => backend.experts(vector, routing, weights));
      const other = bench.hold(foreign.denseWeight(foreign.upload(new Float32Array(1), [1, 1])));
      await bench.refuses('a weight of another backend', 'WRONG_BACKEND', () =>
        backend.experts(x, routing, { ...weights, up: [other, other] }),
      );
      const foreignX = bench.foreignTensor(new Float32Array(2), [2, 1]);
      await bench.refuses('tokens of another backend', 'WRONG_BACKEND', () =>
        backend.experts(foreignX, routing, weights),
      );
      const foreignIndices = bench.foreignTensor(new Int32Array(2), [2, 1]);
      await bench.refuses('choices of another backend', 'WRONG_BACKEND', () =>
        backend.experts(x, { indices: foreignIndices, weights: shares }, weights),
      );
      shares.dispose();
      await bench.refuses('shares, disposed,', 'TENSOR_DISPOSED', () => backend.experts(x, routing, weights));
    },
  ),

  example('experts', 'refuses experts that are not there', async (bench) => {
    const weights = scalarExperts(bench, 2);
    const x = bench.tensor(new Float32Array(2), [2, 1]);
    const shares = bench.tensor(new Float32Array(2), [2, 1]);
    for (const bad of [2, -1, integer(randomFrom(1), 100, 1000)]) {
      const indices = bench.tensor(Int32Array.of(0, bad), [2, 1]);
      await bench.refuses(`expert ${bad} of 2`, 'INVALID_ARGUMENT', () =>
        bench.backend.experts(x, { indices, weights: shares }, weights),
      );
    }
  }),
];
