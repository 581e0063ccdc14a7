/** INT8 and INT4 products, packing and quantising, on every build and thread count, against the core's references. */
import { dequantizeGroups, quantizeGroups } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KernelEngine } from './engine.ts';
import {
  activationShape,
  matmulPacked,
  type PackedFormat,
  type PackedMatrix,
  packedShape,
  packRows,
  packWeights,
  quantizeActivations,
} from './packed.ts';
import {
  e4m3Value,
  normal,
  product,
  put,
  random,
  SETUPS,
  startEngine,
  sumError,
  take,
  toBf16,
  worst,
} from './test-kit.ts';

const SHAPES: [T: number, N: number, K: number][] = [
  [1, 1, 1],
  [1, 16, 128],
  [1, 33, 100],
  [3, 20, 515],
  [4, 7, 32],
  [9, 45, 300],
  [37, 65, 160],
];

/** Room for a packed matrix. */
function allocate(
  engine: KernelEngine,
  format: PackedFormat,
  rows: number,
  cols: number,
  group?: number,
): PackedMatrix {
  const shape = packedShape(engine.kernels, format, rows, cols, group);
  return { ...shape, data: engine.arena.alloc(shape.dataBytes), scales: engine.arena.alloc(shape.scaleBytes) };
}

/** y = x w^T with activations of so many bits. */
function multiply(engine: KernelEngine, x: Float32Array, w: PackedMatrix, T: number, bits: 8 | 16): Float32Array {
  const a = engine.arena;
  const shape = activationShape(w, bits);
  const records = a.alloc(shape.recordBytes * T);
  const y = a.alloc(T * w.rows * 4);
  quantizeActivations(engine.job(), { x: put(a, x), tokens: T, shape, to: records });
  engine.job().run();
  matmulPacked(engine.job(), { x: records, shape, w, y, tokens: T });
  engine.job().run();
  return take(a, y, T * w.rows);
}

/** Rows quantised by the core, packed; and the values that they stand for. */
function pack(engine: KernelEngine, format: PackedFormat, values: Float32Array, N: number, K: number, group: number) {
  const { codes, scales } = quantizeGroups(format, values, N, K, group);
  const w = allocate(engine, format, N, K, group);
  packRows(engine.job(), w, 0, { at: put(engine.arena, codes), scales: put(engine.arena, scales), rows: N });
  engine.job().run();
  return { w, values: dequantizeGroups(format, codes, scales, N, K, group) };
}

describe.each(SETUPS)('packed products: $name', ({ options }) => {
  let engine: KernelEngine;
  beforeAll(async () => {
    engine = await startEngine(options);
  });
  afterAll(() => engine.dispose());

  describe.each([
    ['int8', 128, 8],
    ['int8', 32, 8],
    ['int8', 128, 16],
    ['int4', 32, 8],
    ['int4', 128, 8],
    ['int4', 32, 16],
  ] as [PackedFormat, number, 8 | 16][])('%s, groups of %i, activations of %i bits', (format, group, bits) => {
    it.each(SHAPES)('errs by the rounding of activations alone: %i tokens, [%i, %i]', (T, N, K) => {
      const x = normal(T * K, 21, 3);
      const { w, values } = pack(engine, format, normal(N * K, 22, 0.05), N, K, group);
      const got = multiply(engine, x, w, T, bits);
      const want = product(x, values, T, N, K);
      const steps = bits === 8 ? 127 : 32512;
      // Each activation is off by at most half a step of its group of 128.
      const slack = Float64Array.from({ length: T * N }, (_, i) => {
        const [t, n] = [Math.floor(i / N), i % N];
        let sum = 0;
        for (let k0 = 0; k0 < K; k0 += 128) {
          const end = Math.min(K, k0 + 128);
          let top = 0;
          let weight = 0;
          for (let k = k0; k < end; k++) {
            top = Math.max(top, Math.abs(x[t * K + k]!));
            weight += Math.abs(values[n * K + k]!);
          }
          sum += (top / steps / 2) * weight;
        }
        return sum;
      });
      expect(worst(got, want.y, (i) => slack[i]! * 1.001 + sumError(K) * want.size[i]! + 1e-30)).toBeLessThanOrEqual(1);
    });

    it('is exact in the integers, at their extremes too', () => {
      const [T, N, K] = [6, 18, 256];
      const steps = bits === 8 ? 127 : 32512;
      const next = random(23);
      // Activations that quantise to themselves: the largest is the last step. Row 0 and token 0 never change sign.
      const x = Float32Array.from({ length: T * K }, (_, i) => {
        if (i % 128 === 0 || i < K) return steps;
        return Math.round((next() * 2 - 1) * steps);
      });
      const top = format === 'int8' ? 127 : 7;
      const codes = Int32Array.from({ length: N * K }, (_, i) => {
        if (i < K) return top;
        if (i < 2 * K) return format === 'int8' ? -127 : -8;
        return Math.round((next() * 2 - 1) * top);
      });
      const w = allocate(engine, format, N, K, group);
      const rows =
        format === 'int8'
          ? Int8Array.from(codes)
          : Uint8Array.from({ length: (N * K) / 2 }, (_, i) => (codes[2 * i]! + 8) | ((codes[2 * i + 1]! + 8) << 4));
      const scales = new Float32Array(N * (K / group)).fill(0.5);
      packRows(engine.job(), w, 0, { at: put(engine.arena, rows), scales: put(engine.arena, scales), rows: N });
      engine.job().run();
      const want = product(x, codes, T, N, K);
      // The sums of groups are exact integers; turning them into f32 and adding up K / group of them rounds.
      const bound = (i: number) => (K / group + 2) * 2 ** -23 * want.size[i]!;
      expect(
        worst(
          multiply(engine, x, w, T, bits),
          want.y.map((v) => v / 2),
          bound,
        ),
      ).toBeLessThanOrEqual(1);
    });
  });

  it.each([
    ['f32', 'int8'],
    ['bf16', 'int8'],
    ['fp8', 'int8'],
    ['f32', 'int4'],
    ['bf16', 'int4'],
    ['fp8', 'int4'],
  ] as const)(
    'quantises %s weights to %s as well as the core does',
    (source, format) => {
      const [N, K, group] = [150, 300, format === 'int8' ? 128 : 32];
      const a = engine.arena;
      const next = random(24);
      let values = normal(N * K, 25, 0.02);
      let at: number;
      let scales: Float32Array | undefined;
      if (source === 'bf16') {
        const rounded = toBf16(values);
        values = rounded.values;
        at = put(a, rounded.bits);
      } else if (source === 'fp8') {
        const codes = Uint8Array.from({ length: N * K }, () => Math.floor(next() * 2) * 128 + Math.floor(next() * 100));
        scales = Float32Array.from({ length: 2 * 3 }, () => 0.5 + next());
        values = Float32Array.from(codes, (code, i) => {
          const block = Math.floor(Math.floor(i / K) / 128) * 3 + Math.floor((i % K) / 128);
          return e4m3Value(code) * scales![block]!;
        });
        at = put(a, codes);
      } else {
        at = put(a, values);
      }
      const w = allocate(engine, format, N, K, group);
      const scalesAt = scales ? put(a, scales) : undefined;
      const size = { f32: 4, bf16: 2, fp8: 1 }[source];
      // In two pieces, as a loader with a staging area would.
      packWeights(engine.job(), w, 0, { format: source, at, rows: 64, cols: K, scales: scalesAt });
      packWeights(engine.job(), w, 64, {
        format: source,
        at: at + 64 * K * size,
        rows: N - 64,
        cols: K,
        scales: scalesAt,
      });
      engine.job().run();
      const { codes, scales: wanted } = quantizeGroups(format, values, N, K, group);
      const reference = dequantizeGroups(format, codes, wanted, N, K, group);
      // Read back by unit vectors, which quantise to themselves.
      const got = new Float32Array(N * K);
      for (let k = 0; k < K; k++) {
        const unit = new Float32Array(K);
        unit[k] = 1;
        const column = multiply(engine, unit, w, 1, 8);
        for (let n = 0; n < N; n++) got[n * K + k] = column[n]!;
      }
      const error = (v: Float32Array) => Math.sqrt(v.reduce((s, x, i) => s + (x - values[i]!) ** 2, 0));
      expect(error(got)).toBeLessThanOrEqual(error(reference) * 1.002);
      // In f32 a tie may fall the other way (FP8 has many), and of two INT4 scales as good to six digits the other wins.
      const differ = got.filter((v, i) => Math.abs(v - reference[i]!) > 1e-3 * Math.abs(reference[i]!) + 1e-12).length;
      expect(differ / (N * K)).toBeLessThan(format === 'int8' ? 0.01 : 0.05);
    },
    120_000,
  );

  it('takes listed records, a stride, and adds', () => {
    const [N, K] = [21, 96];
    const a = engine.arena;
    const { w, values } = pack(engine, 'int8', normal(N * K, 26), N, K, 128);
    const x = normal(8 * K, 27);
    const shape = activationShape(w, 16);
    const records = a.alloc(8 * shape.recordBytes);
    quantizeActivations(engine.job(), { x: put(a, x), tokens: 8, shape, to: records });
    engine.job().run();
    const rows = Int32Array.of(7, 0, 3, 3, 5);
    const y = put(a, new Float32Array(5 * 32).fill(10));
    matmulPacked(engine.job(), {
      x: records,
      shape,
      w,
      y,
      tokens: 5,
      yStride: 32,
      rows: put(a, rows),
      accumulate: true,
    });
    engine.job().run();
    const got = take(a, y, 5 * 32);
    rows.forEach((row, t) => {
      const want = product(x.subarray(row * K, (row + 1) * K), values, 1, N, K);
      expect(
        worst(
          got.subarray(t * 32, t * 32 + N),
          want.y.map((v) => v + 10),
          () => 0.02,
        ),
      ).toBeLessThanOrEqual(1);
      expect(got.subarray(t * 32 + N, (t + 1) * 32).every((v) => v === 10)).toBe(true);
    });
  });

  it('makes NaN of non-finite activations, in their token only', () => {
    const [N, K] = [5, 64];
    for (const format of ['int8', 'int4'] as const) {
      const { w } = pack(engine, format, normal(N * K, 28), N, K, 32);
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const x = normal(3 * K, 29);
        x[K + 9] = bad;
        const got = multiply(engine, x, w, 3, 8);
        expect([...got].map(Number.isFinite)).toEqual([...Array(15).keys()].map((i) => i < 5 || i >= 10));
      }
    }
  });

  it.each([8, 16] as const)('gives the same bits for a token alone and among others, %i bits', (bits) => {
    const [N, K] = [41, 164];
    for (const format of ['int8', 'int4'] as const) {
      const { w } = pack(engine, format, normal(N * K, 30), N, K, 32);
      for (const T of [2, 3, 5]) {
        const x = normal(T * K, 31);
        const together = multiply(engine, x, w, T, bits);
        for (let t = 0; t < T; t++) {
          const alone = multiply(engine, x.subarray(t * K, (t + 1) * K), w, 1, bits);
          expect(alone).toEqual(together.subarray(t * N, (t + 1) * N));
        }
      }
    }
  });
});

describe('what a relaxed dot product may be', () => {
  /** Operands so small that this machine's dot agrees with the one that is pretended. */
  it.each([
    ['unsigned', 8],
    ['unsigned', 16],
    ['signed', 8],
    ['signed', 16],
  ] as const)('%s, activations of %i bits', async (relaxedDot, bits) => {
    const engine = await startEngine({ build: 'relaxed', relaxedDot });
    const [T, N, K] = [5, 40, 288];
    const next = random(32);
    const steps = bits === 8 ? 127 : 32512;
    // |high byte| and |low byte| <= 62: pairs of products with 255 stay below 2^15.
    const x = Float32Array.from({ length: T * K }, (_, i) => {
      if ((i % K) % 128 === 0) return 0;
      const byte = () => Math.round((next() * 2 - 1) * 62);
      return bits === 8 ? byte() : byte() * 256 + byte();
    });
    // The largest of each group sets the step to 1; it meets weights of zero (128 with the offset).
    for (let i = 0; i < T * K; i++) if ((i % K) % 128 === 0) x[i] = steps;
    const codes = Int8Array.from({ length: N * K }, (_, i) => {
      if ((i % K) % 128 < 4) return 0;
      return relaxedDot === 'signed' ? Math.floor(next() * 127) : Math.round((next() * 2 - 1) * 127);
    });
    for (let i = 0; i < T * K; i++) if ((i % K) % 128 > 0 && (i % K) % 128 < 4) x[i] = 0;
    const w = allocate(engine, 'int8', N, K);
    const scales = new Float32Array(N * 3).fill(1);
    packRows(engine.job(), w, 0, { at: put(engine.arena, codes), scales: put(engine.arena, scales), rows: N });
    engine.job().run();
    expect(w.layout).toBe('quad');
    expect(w.offset).toBe(relaxedDot === 'unsigned');
    const want = product(x, codes, T, N, K);
    const bound = (i: number) => 5 * 2 ** -23 * want.size[i]! + 1e-6;
    expect(worst(multiply(engine, x, w, T, bits), want.y, bound)).toBeLessThanOrEqual(1);
    await engine.dispose();
  });
});
