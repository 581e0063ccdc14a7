/** Arg-max and top-k on the device, bit for bit, against sorting on the host. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { floats, KernelBench, uniform } from './kernel-test-kit.ts';
import { logSumExpKernel } from './log-sum-exp.ts';
import { argMaxKernel, argMaxStages } from './sampling-arg-max.ts';
import { TOP_K_LIMIT, topKKernel, topKStages } from './sampling-top-k.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

async function argMax(values: Float32Array, rows = 1): Promise<{ value: number; index: number }[]> {
  let given = bench.buffer(values);
  for (const stage of argMaxStages(rows, values.length / rows)) {
    const best = bench.empty(rows * stage.pieces * 8);
    await bench.run(argMaxKernel(stage.from), {
      shape: stage,
      buffers: { given, best },
      uniforms: { width: stage.width },
    });
    given = best;
  }
  const [bits, numbers] = [await bench.integers(given), await bench.floats(given)];
  return Array.from({ length: rows }, (_, row) => ({ value: numbers[2 * row]!, index: bits[2 * row + 1]! }));
}

async function topK(data: Float32Array, k: number, rows = 1) {
  let values = bench.buffer(data);
  let places = values;
  for (const stage of topKStages(rows, data.length / rows, k)) {
    const size = rows * stage.pieces * k * 4;
    const [top_values, top_places] = [bench.empty(size), bench.empty(size)];
    const buffers = { values, ...(stage.first ? {} : { places }), top_values, top_places };
    await bench.run(topKKernel(stage), { shape: stage, buffers, uniforms: { width: stage.width, k } });
    [values, places] = [top_values, top_places];
  }
  return { values: [...(await bench.floats(values))], indices: [...(await bench.integers(places))] };
}

/** The order that the kernels promise, for rows without NaN. */
function sorted(data: Float32Array, k: number, rows = 1) {
  const width = data.length / rows;
  const indices = Array.from({ length: rows }, (_, row) => {
    const value = (i: number) => data[row * width + i]!;
    return Array.from({ length: width }, (_, i) => i)
      .sort((a, b) => (value(a) === value(b) ? a - b : value(b) > value(a) ? 1 : -1))
      .slice(0, k);
  });
  return { values: indices.flatMap((row, r) => row.map((i) => data[r * width + i]!)), indices: indices.flat() };
}

const extremes = [
  0,
  -0,
  1e-45,
  -1e-45,
  2 ** -126,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  3.4028234e38,
  1,
  1,
];

describe('arg-max', () => {
  test('of a vocabulary, and of rows', async () => {
    const logits = floats(129_280, uniform(1, -20, 20));
    const best = sorted(logits, 1);
    expect(await argMax(logits)).toEqual([{ value: best.values[0], index: best.indices[0] }]);
    const rows = floats(3 * 5000, uniform(2));
    const each = sorted(rows, 1, 3);
    expect(await argMax(rows, 3)).toEqual(each.indices.map((index, i) => ({ index, value: each.values[i] })));
  });

  test('the lowest index of equals, also across the pieces of a row', async () => {
    const logits = new Float32Array(20_000).fill(-7);
    expect((await argMax(logits))[0]).toEqual({ value: -7, index: 0 });
    logits[4100] = logits[9000] = logits[19_999] = 3;
    expect((await argMax(logits))[0]).toEqual({ value: 3, index: 4100 });
    logits[19_999] = 4;
    expect((await argMax(logits))[0]).toEqual({ value: 4, index: 19_999 });
    expect((await argMax(Float32Array.of(-0, 0)))[0]).toEqual({ value: -0, index: 0 });
  });

  test('small rows of anything but NaN', async () => {
    const value = fc.oneof(fc.constantFrom(...extremes), fc.float({ noNaN: true }));
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 40 }), async (values) => {
        const data = Float32Array.from(values);
        const { values: best, indices } = sorted(data, 1);
        expect(await argMax(data)).toEqual([{ value: best[0], index: indices[0] }]);
      }),
      { numRuns: 40 },
    );
  });

  test('NaN of either sign comes back, wherever it is', async () => {
    const logits = floats(10_000, uniform(3));
    logits[7777] = Number.NaN;
    expect((await argMax(logits))[0]).toEqual({ value: Number.NaN, index: 7777 });
    new Uint32Array(logits.buffer)[5] = 0xffc00001;
    expect((await argMax(logits))[0]!.index).toBe(5);
    expect((await argMax(new Float32Array(3).fill(Number.NEGATIVE_INFINITY)))[0]!.index).toBe(0);
  });
});

describe('top-k', () => {
  test.each([
    [129_280, 50, 1, 3],
    [129_280, 20, 1, 2],
    [5000, TOP_K_LIMIT, 1, 3],
    [2048, 2, 3, 1],
    [2049, 1025 - 1, 1, 2],
    [7, 7, 2, 1],
    [1, 1, 1, 1],
  ])('of %i values the first %i, in %i rows, takes %i runs', async (width, k, rows, runs) => {
    const data = floats(rows * width, uniform(width + k, -9, 9));
    expect(topKStages(rows, width, k)).toHaveLength(runs);
    expect(await topK(data, k, rows)).toEqual(sorted(data, k, rows));
  });

  test('equal values in the order of their places, across pieces', async () => {
    const data = Float32Array.from({ length: 6000 }, (_, i) => i % 3);
    expect(await topK(data, 300)).toEqual(sorted(data, 300));
  });

  test('small rows of anything but NaN', async () => {
    const value = fc.oneof(fc.constantFrom(...extremes), fc.float({ noNaN: true }));
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 20 }), fc.nat(), async (values, at) => {
        const data = Float32Array.from(values);
        const k = 1 + (at % data.length);
        expect(await topK(data, k)).toEqual(sorted(data, k));
      }),
      { numRuns: 40 },
    );
  });

  test('NaN comes first, and the rest is in order', async () => {
    const data = Float32Array.of(3, Number.NaN, 5, Number.NEGATIVE_INFINITY, Number.NaN, 4);
    expect((await topK(data, 6)).indices).toEqual([1, 4, 2, 5, 0, 3]);
  });

  test('pairs for one read', async () => {
    const data = floats(300, uniform(9));
    const [stage] = topKStages(1, 300, 4);
    const top_pairs = bench.empty(32);
    const buffers = { values: bench.buffer(data), top_pairs };
    await bench.run(topKKernel(stage!, 'pairs'), { shape: stage!, buffers, uniforms: { width: 300, k: 4 } });
    const [bits, numbers] = [await bench.integers(top_pairs), await bench.floats(top_pairs)];
    const { values, indices } = sorted(data, 4);
    expect([0, 2, 4, 6].map((i) => numbers[i])).toEqual(values);
    expect([1, 3, 5, 7].map((i) => bits[i])).toEqual(indices);
  });
});

describe('log-sum-exp', () => {
  async function logSums(data: Float32Array, rows: number, scale: number) {
    const length = data.length / rows;
    const y = bench.empty(rows * 12);
    await bench.run(logSumExpKernel(), {
      shape: { rows },
      buffers: { x: bench.buffer(data), y },
      uniforms: { rows, length, stride: 3, place: 1, scale },
    });
    return bench.floats(y);
  }

  test('relative to the maximum of each row, as it is and scaled', async () => {
    const data = floats(2 * 40_000, uniform(6, -30, 30));
    data[77] = Number.NEGATIVE_INFINITY;
    for (const scale of [1 / 0.6, 0.5, 1e-30, 3.4028234e38]) {
      const sums = await logSums(data, 2, scale);
      for (const row of [0, 1]) {
        const values = data.subarray(row * 40_000, (row + 1) * 40_000);
        const most = values.reduce((most, value) => Math.max(most, value));
        const expected = (by: number) => Math.log(values.reduce((sum, x) => sum + Math.exp((x - most) * by), 0));
        expect(Math.abs(sums[3 * row + 1]! - expected(1))).toBeLessThan(2 ** -12);
        expect(Math.abs(sums[3 * row + 2]! - expected(scale))).toBeLessThan(2 ** -12);
      }
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('%d in a row shows', async (value) => {
    const sums = await logSums(Float32Array.of(1, value, 2, 0, 0, 0), 2, 1);
    expect([sums[1], sums[2]]).toEqual([Number.NaN, Number.NaN]);
    expect(sums[4]).toBeCloseTo(Math.log(3), 6);
  });
});
