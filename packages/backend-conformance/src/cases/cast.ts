/** Conversion between dtypes, to the bit: every code of the short formats, every way to round, every way to overflow. */
import {
  allocateTensorData,
  decodeBf16,
  decodeE4m3,
  decodeE5m2,
  decodeF16,
  encodeBf16,
  encodeE4m3,
  encodeE5m2,
  encodeF16,
  FLOAT_DTYPES,
  type FloatDType,
  TENSOR_DTYPES,
  type TensorData,
  type TensorDType,
} from '@mariana/core';
import fc from 'fast-check';
import { shape, valueSeed } from '../arbitraries.ts';
import { isNaNElement } from '../compare.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { anyElements, flushSubnormals, integers, type Random, randomFrom, wide } from '../random.ts';
import type { Workbench } from '../workbench.ts';

type ShortFloat = Exclude<FloatDType, 'f32'>;
const SHORT_FLOATS = FLOAT_DTYPES.filter((dtype): dtype is ShortFloat => dtype !== 'f32');

const DECODE: Readonly<Record<ShortFloat, (code: number) => number>> = {
  bf16: decodeBf16,
  f16: decodeF16,
  e4m3: decodeE4m3,
  e5m2: decodeE5m2,
};

const ENCODE: Readonly<Record<ShortFloat, (x: number) => number>> = {
  bf16: encodeBf16,
  f16: encodeF16,
  e4m3: encodeE4m3,
  e5m2: (x) => encodeE5m2(x, true),
};

/** Codes of all values of a short float. */
const codesOf = (dtype: ShortFloat) =>
  Array.from({ length: dtype === 'bf16' || dtype === 'f16' ? 65536 : 256 }, (_, i) => i);

/** Integers: towards zero, and to the end of the range where there is none. */
const RANGE = { i32: [-(2 ** 31), 2 ** 31 - 1], i8: [-128, 127], u8: [0, 255] } as const;

/** An element of one dtype as f32. */
function toF32(dtype: TensorDType, element: number): number {
  return dtype in DECODE ? DECODE[dtype as ShortFloat](element) : Math.fround(element);
}

/** An f32 value as an element of another dtype. */
function fromF32(dtype: TensorDType, x: number): number {
  if (dtype === 'f32') return x;
  if (dtype in ENCODE) return ENCODE[dtype as ShortFloat](x);
  const [low, high] = RANGE[dtype as keyof typeof RANGE];
  return Number.isNaN(x) ? 0 : Math.max(low, Math.min(high, Math.trunc(x))) + 0;
}

async function expectCast(bench: Workbench, data: TensorData, from: TensorDType, to: TensorDType, of = [data.length]) {
  const values = Array.from(data, (element) => (from === to ? element : fromF32(to, toF32(from, element))));
  const result = bench.backend.cast(bench.tensor(data, of, from), to);
  await bench.expect(result, { shape: of, dtype: to, values, bits: true });
}

/** Elements of any dtype that every other can be cast from: numbers, where integers are the target. */
function castable(random: Random, from: TensorDType, to: TensorDType, size: number): TensorData {
  const isInteger = to in RANGE;
  if (from === 'f32') return isInteger ? wide(random, size, -3, 36) : anyElements(random, from, size);
  const data = anyElements(random, from, size);
  return isInteger ? data.map((element) => (isNaNElement(from, element) ? 0 : element)) : data;
}

/** Float32 values at and around the middle between neighbouring numbers of a short float, where rounding is decided. */
function midpoints(dtype: ShortFloat): Float32Array {
  const decode = DECODE[dtype];
  const numbers = codesOf(dtype)
    .filter((code) => !isNaNElement(dtype, code))
    .map(decode)
    .filter((x) => x >= 0 && Number.isFinite(x))
    .sort((a, b) => a - b);
  const middles = numbers.slice(1).map((x, i) => (x + numbers[i]!) / 2);
  const values = middles.flatMap((x) => [
    Math.fround(x),
    Math.fround(x * (1 + 2 ** -22)),
    Math.fround(x * (1 - 2 ** -22)),
  ]);
  return Float32Array.from(values.flatMap((x) => [x, -x]));
}

/** Where a short float ends: the last number, the middle to the next one that it would have, and beyond. */
const ENDS: Readonly<Record<ShortFloat, readonly number[]>> = {
  bf16: [3.3895313892515355e38, 3.3961775292304601e38, 3.4028234663852886e38],
  f16: [65504, 65519.996, 65520, 65536, 1e6],
  e4m3: [448, 463.99997, 464, 464.00003, 480, 1e6],
  e5m2: [57344, 61439.996, 61440, 65536, 1e9],
};

export const castCases: readonly CaseDefinition[] = [
  ...SHORT_FLOATS.map((dtype) =>
    example('cast', `every code of ${dtype} to f32`, (bench) => {
      const codes = allocateTensorData(dtype, codesOf(dtype).length);
      codes.set(codesOf(dtype));
      if (bench.tolerance.subnormals === 'flushed') flushSubnormals(dtype, codes);
      return expectCast(bench, codes, dtype, 'f32');
    }),
  ),

  ...SHORT_FLOATS.map((dtype) =>
    example('cast', `f32 to ${dtype} rounds to nearest, ties to even`, async (bench) => {
      const flushed = bench.tolerance.subnormals === 'flushed';
      const values = midpoints(dtype).filter((x) => !flushed || Math.abs(x) >= 2 ** -125);
      await expectCast(bench, values, 'f32', dtype);
    }),
  ),

  ...SHORT_FLOATS.map((dtype) =>
    example('cast', `f32 to ${dtype} at the end of its range`, async (bench) => {
      const ends = [...ENDS[dtype], 3.4028234663852886e38, Number.POSITIVE_INFINITY, 0, 2 ** -149];
      await expectCast(bench, Float32Array.from(ends.flatMap((x) => [x, -x])), 'f32', dtype);
    }),
  ),

  example('cast', 'keeps NaN as NaN in every float', async (bench) => {
    for (const dtype of FLOAT_DTYPES) await expectCast(bench, Float32Array.of(Number.NaN, 1), 'f32', dtype);
  }),

  example('cast', 'of NaN to an integer is 0', async (bench) => {
    for (const dtype of ['i32', 'i8', 'u8'] as const) {
      await expectCast(bench, Float32Array.of(Number.NaN, 1), 'f32', dtype);
    }
  }),

  example('cast', 'f32 to an integer goes towards zero', async (bench) => {
    const values = Float32Array.of(
      0,
      -0,
      0.5,
      0.99999994,
      1,
      1.5,
      2.5,
      126.99999,
      -0.5,
      -0.99999994,
      -1.5,
      -2.5,
      -127.5,
    );
    for (const dtype of ['i32', 'i8', 'u8'] as const) await expectCast(bench, values, 'f32', dtype);
    await expectCast(bench, Float32Array.of(16777217, 2147483520, -2147483648), 'f32', 'i32');
  }),

  example('cast', 'f32 to an integer stops at the end of the range', async (bench) => {
    const values = Float32Array.of(127, 128, 255, 256, 1e6, 3e9, 1e30, Number.POSITIVE_INFINITY);
    for (const dtype of ['i32', 'i8', 'u8'] as const) {
      await expectCast(bench, values, 'f32', dtype);
      const negative = values.map((x) => -x);
      await expectCast(bench, negative, 'f32', dtype);
    }
  }),

  example('cast', 'i32 to f32 rounds to even beyond 2^24', async (bench) => {
    const values = [2 ** 24 + 1, 2 ** 24 + 3, 2 ** 25 + 2, 2 ** 25 + 6, 2 ** 31 - 1, 2 ** 31 - 65, 2 ** 24 - 1];
    await expectCast(bench, Int32Array.from(values.flatMap((x) => [x, -x])), 'i32', 'f32');
    await expectCast(bench, integers(randomFrom(3), 300, -(2 ** 31), 2 ** 31 - 1), 'i32', 'f32');
  }),

  ...TENSOR_DTYPES.flatMap((from) =>
    TENSOR_DTYPES.map((to) =>
      property(
        'cast',
        `${from} to ${to} keeps shapes`,
        { arbitrary: fc.record({ shape: shape({ elements: 300 }), seed: valueSeed }) },
        async (bench, { shape, seed }) => {
          const data = castable(randomFrom(seed), from, to, count(shape));
          const flushed = bench.tolerance.subnormals === 'flushed' && (from === 'bf16' || to === 'bf16');
          if (flushed) flushSubnormals(from, data);
          await expectCast(bench, data, from, to, [...shape]);
        },
      ),
    ),
  ),

  example('cast', 'to the same dtype is a handle of its own', async (bench) => {
    const x = bench.tensor(Float32Array.of(1, 2), [2]);
    const y = bench.backend.cast(x, 'f32');
    bench.must(x !== y, 'cast to the same dtype gave back its operand; disposing one would dispose the other');
    x.dispose();
    await bench.expect(y, { shape: [2], values: [1, 2] });
  }),
];
