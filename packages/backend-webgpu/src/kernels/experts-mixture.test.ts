/** A whole mixture of experts for a few tokens (norm, routed and shared experts, residual) against float64. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expertsGateUpKernel } from './experts-decode.ts';
import { expertsMixtureKernel } from './experts-mixture.ts';
import { expectedOf, layerOf, type PackedExperts, routed } from './experts-test-kit.ts';
import type { ExpertFormat } from './experts-weights.ts';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const F32: ExpertFormat = { format: 'f32', scaleBlock: [1, 0] };
const BF16: ExpertFormat = { format: 'bf16', scaleBlock: [1, 0] };
const FP8: ExpertFormat = { format: 'fp8', scaleBlock: [16, 16] };
const INT8: ExpertFormat = { format: 'int8', scaleBlock: [1, 32] };
const INT4: ExpertFormat = { format: 'int4', scaleBlock: [1, 32] };

const [TOKENS, EXPERTS, PER_TOKEN, HIDDEN, EPSILON] = [2, 5, 3, 44, 1e-6];

/** The buffers of a matrix, under a name. */
function matrix(name: string, weights: ExpertFormat, { codes, scales }: PackedExperts) {
  const isScaled = weights.scaleBlock[1] !== 0;
  return { [name]: bench.buffer(codes), ...(isScaled && { [`${name}_scales`]: bench.buffer(scales) }) };
}

/** Each expert with the bits of its weight. */
function packed(indices: Int32Array, weights: Float32Array): Int32Array {
  const bits = new Int32Array(weights.buffer, weights.byteOffset, weights.length);
  return Int32Array.from({ length: 2 * indices.length }, (_, i) => (i % 2 === 0 ? indices : bits)[i >> 1]!);
}

describe.each([
  { name: 'f32', of: F32, shared: F32, normed: true, residual: true },
  { name: 'bf16, no residual', of: BF16, shared: BF16, normed: false, residual: false },
  { name: 'fp8', of: FP8, shared: FP8, normed: true, residual: true },
  { name: 'int8, with shared experts of int4', of: INT8, shared: INT4, normed: true, residual: true },
  { name: 'int4, without shared experts', of: INT4, shared: null, normed: true, residual: true },
])('a mixture of $name', ({ of, shared, normed, residual }) => {
  test('is the weighted sum of its experts, whatever buffers bring them', async () => {
    const layer = layerOf({ weights: of, hidden: HIDDEN, width: 20 }, EXPERTS, 1);
    const common = layerOf({ weights: shared ?? of, hidden: HIDDEN, width: 36 }, 1, 50);
    const given = routed(TOKENS, PER_TOKEN, layer, 7);
    const norm = floats(HIDDEN, uniform(8, 0.5, 2));
    const base = floats(TOKENS * HIDDEN, uniform(9, -4, 4));

    const slots = TOKENS * PER_TOKEN;
    const [sharedStart, sharedWidth] = [slots * 20, shared === null ? 0 : 36];
    const inner = bench.empty((sharedStart + TOKENS * sharedWidth) * 4);
    const indices = bench.buffer(packed(given.indices, given.weights));
    const input = { x: bench.buffer(given.x), ...(normed && { norm: bench.buffer(norm) }) };
    const [result, zeros] = [bench.empty(TOKENS * HIDDEN * 4), bench.buffer(new Int32Array(TOKENS))];
    const epsilon = normed ? { epsilon: EPSILON } : {};

    const gateUp = expertsGateUpKernel(layer.config, { normed, packed: true });
    expect(gateUp.bindings.length).toBeLessThanOrEqual(8);
    await bench.run(gateUp, {
      shape: { tokens: TOKENS, perToken: PER_TOKEN },
      buffers: { ...input, ...matrix('gate', of, layer.gate), ...matrix('up', of, layer.up), indices, inner },
      uniforms: { per_token: PER_TOKEN, first_expert: 0, experts: EXPERTS, inner_start: 0, ...epsilon },
    });
    if (shared !== null) {
      const matrices = { ...matrix('gate', shared, common.gate), ...matrix('up', shared, common.up) };
      await bench.run(expertsGateUpKernel(common.config, { normed }), {
        shape: { tokens: TOKENS, perToken: 1 },
        buffers: { ...input, ...matrices, indices: zeros, inner },
        uniforms: { per_token: 1, first_expert: 0, experts: 1, inner_start: sharedStart, ...epsilon },
      });
    }
    const config = { routed: layer.config, shared: shared && { weights: shared, width: sharedWidth }, residual };
    const kernel = expertsMixtureKernel(config);
    expect(kernel.bindings.length).toBeLessThanOrEqual(8);
    await bench.run(kernel, {
      shape: { tokens: TOKENS, perToken: PER_TOKEN },
      buffers: {
        ...matrix('down', of, layer.down),
        ...(shared && matrix('shared_down', shared, common.down)),
        ...(residual && { residual: bench.buffer(base) }),
        inner,
        indices,
        result,
      },
      uniforms: { per_token: PER_TOKEN, first_expert: 0, experts: EXPERTS, shared_start: sharedStart },
    });

    const x = normed ? rmsNorm(given.x, norm) : given.x;
    const error = normed ? (HIDDEN / 2 + 10) * U : 0;
    const own = expectedOf(layer, { ...given, x }, residual ? base : null, error);
    const everybody = { x, indices: new Int32Array(TOKENS), weights: new Float32Array(TOKENS).fill(1), perToken: 1 };
    const more = shared && expectedOf(common, everybody, null, error);
    const expected = own.values.map((value, i) => value + (more?.values[i] ?? 0));
    const bound = (i: number) => own.bounds[i]! + (more?.bounds[i] ?? 0) + 64 * U * Math.abs(expected[i]!);
    expect(worst(await bench.floats(result), expected, bound)).toBeLessThan(1);
  });
});

test('experts of further buffers add to what those before them made', async () => {
  const layer = layerOf({ weights: F32, hidden: 8, width: 4 }, 2, 3);
  const inner = bench.buffer(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  const indices = bench.buffer(packed(Int32Array.of(1, 0), Float32Array.of(0.5, 2)));
  const half = (e: number) => bench.buffer(layer.down.codes.slice(e * 128, (e + 1) * 128));
  const [first, second] = [bench.empty(32), bench.empty(32)];
  const shape = { tokens: 1, perToken: 2 };
  const uniforms = { per_token: 2, experts: 1, shared_start: 8 };
  await bench.run(expertsMixtureKernel({ routed: layer.config, shared: null, residual: false }), {
    shape,
    buffers: { down: half(0), inner, indices, result: first },
    uniforms: { ...uniforms, first_expert: 0 },
  });
  await bench.run(expertsMixtureKernel({ routed: layer.config, shared: null, residual: true }), {
    shape,
    buffers: { down: half(1), inner, indices, residual: first, result: second },
    uniforms: { ...uniforms, first_expert: 1 },
  });
  const { values } = layer.down;
  const expected = Array.from({ length: 8 }, (_, row) => {
    const of = (expert: number, inner: readonly number[]) =>
      inner.reduce((sum, value, i) => sum + value * values[(expert * 8 + row) * 4 + i]!, 0);
    return 0.5 * of(1, [1, 2, 3, 4]) + 2 * of(0, [5, 6, 7, 8]);
  });
  expect(worst(await bench.floats(second), expected, () => 200 * U)).toBeLessThan(1);
});

/** x / sqrt(mean(x^2) + epsilon) * weight, rounded once. */
function rmsNorm(x: Float32Array, weight: Float32Array): Float32Array {
  return x.map((value, i) => {
    const row = x.subarray(Math.floor(i / HIDDEN) * HIDDEN, Math.floor(i / HIDDEN) * HIDDEN + HIDDEN);
    const mean = row.reduce((sum, other) => sum + other * other, 0) / HIDDEN;
    return (value / Math.sqrt(mean + EPSILON)) * weight[i % HIDDEN]!;
  });
}
