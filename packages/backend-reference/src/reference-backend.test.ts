/**
 * The specification, worked by hand: what the operations mean, in numbers that a reader can check without a computer,
 * or that are known from elsewhere. The suite in `@mariana/backend-conformance` checks the rest, against float64
 * formulas of its own.
 */
import { MemorySource, type RoutingOptions, type Tensor, type WeightSource } from '@mariana/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ReferenceBackend, reference } from './index.ts';

let backend: ReferenceBackend;

beforeEach(() => {
  backend = reference();
});

const f32 = (shape: readonly number[], ...values: number[]) => backend.upload(Float32Array.from(values), shape);
const i32 = (shape: readonly number[], ...values: number[]) => backend.upload(Int32Array.from(values), shape);

/** Values close to float32 precision; -0 counts as 0. */
async function expectValues(tensor: Tensor, shape: readonly number[], ...values: number[]): Promise<void> {
  expect(tensor.shape).toEqual(shape);
  const actual = [...(await tensor.read())];
  expect(actual).toHaveLength(values.length);
  for (const [i, value] of values.entries()) {
    if (Number.isFinite(value)) expect(actual[i]).toBeCloseTo(value, 5);
    else expect(actual[i]).toBe(value);
  }
}

describe('primitives', () => {
  test('matmul reads its operands as told', async () => {
    // [1 2 3; 4 5 6] times the columns (1, 0, -1) and (2, 1, 0).
    const a = f32([2, 3], 1, 2, 3, 4, 5, 6);
    await expectValues(backend.matmul(a, f32([3, 2], 1, 2, 0, 1, -1, 0)), [2, 2], -2, 4, -2, 13);
    await expectValues(backend.matmul(a, f32([2, 3], 1, 0, -1, 2, 1, 0), { transposeB: true }), [2, 2], -2, 4, -2, 13);
    await expectValues(backend.matmul(a, a, { transposeA: true }), [3, 3], 17, 22, 27, 22, 29, 36, 27, 36, 45);
  });

  test('matmul takes one matrix to each of a batch', async () => {
    const a = f32([2, 1, 2], 1, 2, 3, 4);
    await expectValues(backend.matmul(a, f32([2, 1], 10, 1)), [2, 1, 1], 12, 34);
  });

  test('gather takes rows in any arrangement; scatterAdd is its reverse', async () => {
    const table = f32([3, 2], 1, 2, 3, 4, 5, 6);
    await expectValues(backend.gather(table, i32([2, 1], 2, 0)), [2, 1, 2], 5, 6, 1, 2);
    await expectValues(backend.scatterAdd(i32([3], 1, 1, 0), table, 3), [3, 2], 5, 6, 4, 6, 0, 0);
  });

  test('cast rounds to nearest, ties to even, and E4M3 stops at 448', async () => {
    // 0.1 is 1.6 * 2^-4, between the mantissas 12/8 and 13/8: exponent 3, mantissa 5. 17 lies between 16 and 18.
    const codes = backend.cast(f32([5], 0.1, 17, 19, 1000, -0.001), 'e4m3');
    expect([...(await codes.read())]).toEqual([0x1d, 0x58, 0x5a, 0x7e, 0x80 | 1]);
    await expectValues(backend.cast(codes, 'f32'), [5], 0.1015625, 16, 20, 448, -(2 ** -9));
    // 1 + 2^-8 lies between the BF16 numbers 1 and 1 + 2^-7.
    expect([...(await backend.cast(f32([2], 1 + 2 ** -8, 1 + 3 * 2 ** -8), 'bf16').read())]).toEqual([0x3f80, 0x3f82]);
  });

  test('writeRows changes whole rows, in place', async () => {
    const cache = backend.upload(new Uint16Array(6), [3, 2], 'bf16');
    backend.writeRows(cache, Int32Array.of(2, 0), f32([2, 2], 1, 2, -1, 0.5));
    expect([...(await cache.read())]).toEqual([0xbf80, 0x3f00, 0, 0, 0x3f80, 0x4000]);
  });
});

describe('composites', () => {
  test('softmax', async () => {
    await expectValues(backend.softmax(f32([3], 1, 2, 3)), [3], 0.09003057, 0.24472847, 0.66524096);
    await expectValues(backend.softmax(f32([2], 1000, Number.NEGATIVE_INFINITY)), [2], 1, 0);
  });

  test('rmsNorm', async () => {
    // The mean of the squares of 1, 1, 7, 7 is 25.
    await expectValues(backend.rmsNorm(f32([4], 1, 1, 7, 7), f32([4], 5, 10, 5, -5), 0), [4], 1, 2, 7, -7);
  });

  test('rotary turns the pair (2i, 2i + 1)', async () => {
    const [cos, sin] = [f32([1, 2], 0.6, 0), f32([1, 2], 0.8, 1)];
    await expectValues(backend.rotary(f32([1, 1, 4], 5, 10, 1, 2), cos, sin), [1, 1, 4], -5, 10, -2, 1);
  });

  test('swiglu is silu of the gate, times up', async () => {
    await expectValues(backend.swiglu(f32([3], 1, -1, 0), f32([3], 2, 1, 5)), [3], 1.46211716, -0.26894142, 0);
  });

  test('attention of the second query over three keys', async () => {
    // Scores are 0 and ln 3 for the two keys that it sees: weights 1/4 and 3/4.
    const q = f32([1, 1, 1, 1], 1);
    const k = f32([1, 3, 1, 1], 0, Math.log(3), 50);
    const v = f32([1, 3, 1, 2], 4, 0, 8, 4, 99, 99);
    await expectValues(backend.attention(q, k, v, { scale: 1, queryStart: 1 }), [1, 1, 1, 2], 7, 3);
  });

  test('latentAttention is attention whose keys are whole rows and whose values are their latent parts', async () => {
    const pool = f32([4, 2], 8, Math.log(3), -1, -1, 4, 0, 99, 99);
    const view = { pool, pageSize: 1, pages: Int32Array.of(2, 0), length: 2 };
    const options = { latentDim: 1, scale: 1, queryStart: 1 };
    await expectValues(backend.latentAttention(f32([1, 1, 2], 0, 1), view, options), [1, 1, 1], 7);
  });

  test('quantizeActivations scales the largest of a tile to 448', async () => {
    const { codes, scales } = backend.quantizeActivations(f32([3], 896, -2, 14), { tile: 2 });
    await expectValues(scales, [2], 2, 14 / 448);
    await expectValues(backend.cast(codes, 'f32'), [3], 448, -1, 448);
  });
});

describe('route', () => {
  const options: RoutingOptions = {
    scoring: 'sigmoid',
    topK: 2,
    groups: 2,
    topGroups: 1,
    groupScore: 'top2',
    normalize: true,
    scale: 3,
  };
  /** The logit whose sigmoid is p. */
  const logit = (p: number) => Math.log(p / (1 - p));

  test('chooses the group by its two best, with the bias, and weighs without it', async () => {
    // With the bias: 0.5, 0.6 | 0.9, 0.1. The first group has 1.1, the second 1.0.
    const logits = f32([1, 4], ...[0.3, 0.6, 0.9, 0.1].map(logit));
    const { indices, weights, scores } = backend.route(logits, f32([4], 0.2, 0, 0, 0), options);
    expect([...(await indices.read())]).toEqual([1, 0]);
    await expectValues(weights, [1, 2], 2, 1);
    await expectValues(scores, [1, 4], 0.3, 0.6, 0.9, 0.1);
  });

  test('masks with minus infinity, so that negative choices do not lose to masked ones', async () => {
    const logits = f32([1, 4], ...[0.3, 0.6, 0.9, 0.1].map(logit));
    const { indices } = backend.route(logits, f32([4], -2, -2, -3, -3), options);
    expect([...(await indices.read())]).toEqual([1, 0]);
  });

  test('softmax over all experts, the best group by its best expert, no division', async () => {
    // exp gives 1, 2, 3, 4 of a sum of 10.
    const logits = f32([1, 4], ...[1, 2, 3, 4].map(Math.log));
    const rules = { ...options, scoring: 'softmax', groupScore: 'max', normalize: false, scale: 10 } as const;
    const { indices, weights } = backend.route(logits, null, rules);
    expect([...(await indices.read())]).toEqual([3, 2]);
    await expectValues(weights, [1, 2], 4, 3);
  });
});

describe('weights', () => {
  const bytes = (data: ArrayBufferView) => new MemorySource(new Uint8Array(data.buffer), 'by hand');

  const SOURCES: readonly (readonly [WeightSource, number[]])[] = [
    [
      { name: 'bf16', format: 'bf16', shape: [1, 3], values: bytes(Uint16Array.of(0x3f80, 0xc000, 0x3f00)) },
      [1, -2, 0.5],
    ],
    [
      { name: 'f16', format: 'f16', shape: [1, 3], values: bytes(Uint16Array.of(0x3c00, 0xc000, 1)) },
      [1, -2, 2 ** -24],
    ],
    [
      {
        name: 'fp8',
        format: 'fp8',
        shape: [3, 2],
        blockSize: [2, 1],
        values: bytes(Uint8Array.of(0x38, 0x38, 0x40, 0xb8, 0x7e, 0)),
        scales: bytes(Float32Array.of(1, 10, 0.5, 7)),
      },
      [1, 10, 2, -10, 224, 0],
    ],
    [
      {
        name: 'int8',
        format: 'int8',
        shape: [2, 3],
        groupSize: 2,
        values: bytes(Int8Array.of(1, -2, 3, 127, 0, -127)),
        scales: bytes(Float32Array.of(1, 10, 0.5, 2)),
      },
      [1, -2, 30, 63.5, 0, -254],
    ],
    [
      {
        name: 'int4',
        format: 'int4',
        shape: [2, 3],
        groupSize: 2,
        // Nibbles 9, 0 | 15 and 8, 7 | 10, low half of a byte first, a row of three in two bytes.
        values: bytes(Uint8Array.of(0x09, 0x8f, 0x78, 0x8a)),
        scales: bytes(Float32Array.of(1, 10, 2, -3)),
      },
      [1, -8, 70, 0, -2, -6],
    ],
  ];

  test.each(SOURCES)('$name is decoded, multiplied and embedded', async (source, values) => {
    using weight = await backend.loadWeight(source);
    const [out, inputs] = source.shape;
    await expectValues(backend.dequantize(weight), source.shape, ...values);
    const first = values.filter((_, i) => i % inputs === 0);
    await expectValues(backend.linear(f32([inputs], 1, ...new Array(inputs - 1).fill(0)), weight), [out], ...first);
    await expectValues(backend.embed(i32([1], out - 1), weight), [1, inputs], ...values.slice(-inputs));
  });

  test('experts add up what the chosen ones give, by their shares', async () => {
    // An expert of weights 1, 1 and c gives c x silu(x); for x = 20 silu(x) is 20 within 5e-8.
    const matrix = (value: number) => backend.denseWeight(f32([1, 1], value));
    const weights = { gate: [1, 1, 1].map(matrix), up: [1, 1, 1].map(matrix), down: [1, 2, 3].map(matrix) };
    const routing = { indices: i32([2, 2], 0, 2, 1, 0), weights: f32([2, 2], 0.5, 0.25, 1, 0) };
    const y = await backend.experts(f32([2, 1], 20, 20), routing, weights);
    await expectValues(y, [2, 1], 400 * 1.25, 400 * 2);
  });
});

describe('what a refused operation leaves', () => {
  let before: number;

  beforeEach(() => {
    before = backend.memory().tensors;
  });

  afterEach(() => {
    expect(backend.memory().tensors).toBe(before);
  });

  test('is nothing', () => {
    const gone = f32([2, 2], 1, 2, 3, 4);
    gone.dispose();
    for (const call of [
      () => backend.unary('exp', gone),
      () => backend.binary('add', gone, gone),
      () => backend.matmul(gone, gone),
      () => backend.transpose(gone, [1, 0]),
      () => backend.topK(gone, 1),
      () => backend.denseWeight(gone),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code: 'TENSOR_DISPOSED' }));
    }
  });
});
