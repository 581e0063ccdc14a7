/** The conversions to short formats against the codecs of core, which work on the bits that tfjs cannot see. */
import { FLOAT_DTYPES, fromF32, type TensorDType, toF32 } from '@mariana/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { beforeAll, describe, expect, test } from 'vitest';
import { type TfjsBackend, type TfModule, tfjs } from '../src/index.ts';
import { leadingPower } from '../src/ops/rounding.ts';

const SHORT = FLOAT_DTYPES.filter((dtype) => dtype !== 'f32');

/** Float32 numbers of the given bits. */
function fromBits(bits: Iterable<number>): Float32Array {
  return new Float32Array(Int32Array.from(bits).buffer);
}

const bitsOf = (values: Float32Array) => new Int32Array(values.buffer, values.byteOffset, values.length);

/** Every value of a format, what lies half-way to the next one, and the float32 neighbours of both. */
function edgesOf(dtype: TensorDType): Float32Array {
  const codes = dtype === 'bf16' || dtype === 'f16' ? Uint16Array.from({ length: 2 ** 16 }, (_, i) => i) : undefined;
  const values = toF32(dtype, codes ?? Uint8Array.from({ length: 256 }, (_, i) => i));
  const around = Array.from(values, (value, i) => [value, (value + (values[i + 1] ?? value)) / 2]).flat();
  const bits = bitsOf(Float32Array.from(around));
  return fromBits(Array.from(bits).flatMap((at) => [at - 1, at, at + 1]));
}

/** Float32 numbers of all exponents: a multiplicative generator over their bits. */
function anyFloats(count: number): Float32Array {
  let state = 12345;
  return fromBits(
    Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state;
    }),
  );
}

describe.each(['cpu', 'wasm'] as const)('on tfjs-%s', (engine) => {
  let backend: TfjsBackend<tf.Tensor>;
  beforeAll(async () => {
    backend = await tfjs({ tf, engine });
  });

  async function expectRounded(values: Float32Array, dtype: TensorDType & (typeof SHORT)[number]) {
    using x = backend.upload(values, [values.length]);
    using y = backend.cast(x, dtype);
    const actual = await y.read();
    const expected = fromF32(dtype, values);
    const at = expected.findIndex((code, i) => code !== actual[i] && !Number.isNaN(values[i]));
    expect(at < 0 ? '' : `${values[at]} gave code ${actual[at]}, not ${expected[at]}`).toBe('');
    const undefinedAt = Array.from(toF32(dtype, actual), Number.isNaN);
    expect(undefinedAt.indexOf(true)).toBe(values.findIndex(Number.isNaN));
    expect(undefinedAt.filter(Boolean).length).toBe(values.filter(Number.isNaN).length);
  }

  test.each(SHORT)('%s: every value, every tie and their neighbours', async (dtype) => {
    await expectRounded(edgesOf(dtype), dtype);
  });

  test.each(SHORT)('%s: numbers of all magnitudes', async (dtype) => {
    await expectRounded(anyFloats(50_000), dtype);
  });

  test('leadingPower is the largest power of two not above a number, subnormals too', async () => {
    const values = anyFloats(20_000).filter((x) => Math.abs(x) < 2 ** 100);
    const y = tf.tidy(() => leadingPower(tf as unknown as TfModule, tf.tensor1d(values)) as tf.Tensor);
    const actual = await y.data();
    y.dispose();
    const wrong = values.findIndex((value, i) => {
      const [power, magnitude] = [actual[i]!, Math.abs(value)];
      const isPower = (bitsOf(Float32Array.of(power))[0]! & 0x7fffff) === 0 || power < 2 ** -126;
      return !(isPower && power <= magnitude && magnitude < 2 * power);
    });
    expect(wrong < 0 ? '' : `${values[wrong]} gave ${actual[wrong]}`).toBe('');
  });

  test('exp2 of every integer and log2 of every power of two are exact', async () => {
    const exponents = Float32Array.from({ length: 300 }, (_, i) => i - 160);
    using n = backend.upload(exponents, [300]);
    using powers = backend.unary('exp2', n);
    const values = await powers.floats();
    expect(values).toEqual(exponents.map((exponent) => 2 ** exponent));
    using back = backend.unary('log2', powers);
    expect(await back.floats()).toEqual(values.map((value) => Math.log2(value)));
  });
});
