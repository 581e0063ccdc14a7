/** Rounding to the shorter formats, bit for bit as the codecs of core do it. */
import { castData, fromF32, toF32 } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelBench, uniform } from './kernel-test-kit.ts';
import { fromIntegerKernel, roundKernel, toIntegerKernel, writeRowsKernel } from './rounding.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

/** Floats of every exponent, and those next to a tie of every short format. */
function floats(): Float32Array<ArrayBuffer> {
  const next = uniform(7, 0, 2 ** 32);
  const words = Uint32Array.from({ length: 20_000 }, (_, i) => {
    const word = Math.floor(next());
    // The low bits that a format drops, at and around the half.
    const kept = [16, 13, 20, 21][i % 4]!;
    return i % 8 < 4 ? word : ((word >>> kept) << kept) + 2 ** (kept - 1) + (i % 3) - 1;
  });
  return new Float32Array(words.buffer).filter((x) => !Number.isNaN(x));
}

const uniforms = (size: number) => ({ size, s0_0: 1 });

describe.each(['bf16', 'f16', 'e4m3', 'e5m2'] as const)('%s', (format) => {
  test('rounds to nearest, ties to even', async () => {
    const x = floats();
    const y = bench.empty(x.byteLength);
    const shape = { size: x.length };
    await bench.run(roundKernel(format), {
      shape,
      buffers: { x0: bench.buffer(x), y },
      uniforms: uniforms(x.length),
    });
    const expected = toF32(format, fromF32(format, x, { saturate: format !== 'f16' && format !== 'bf16' }));
    const actual = await bench.floats(y);
    const at = expected.findIndex((value, i) => !Object.is(value, actual[i]));
    expect(at < 0 ? '' : `${x[at]} became ${actual[at]}, not ${expected[at]}`).toBe('');
  });
});

test('floats become integers towards zero, and stop where there are no more', async () => {
  const x = Float32Array.of(Number.NaN, 1.9, -1.9, 2147483520, 3e9, -3e9, Number.POSITIVE_INFINITY, 200, -200);
  const y = bench.empty(x.byteLength);
  const args = { shape: { size: x.length }, buffers: { x0: bench.buffer(x), y }, uniforms: uniforms(x.length) };
  await bench.run(toIntegerKernel('i32'), args);
  expect(await bench.integers(y)).toEqual(castData(x, 'f32', 'i32'));
  await bench.run(toIntegerKernel('i8'), args);
  expect([...(await bench.floats(y))]).toEqual([...castData(x, 'f32', 'i8')]);
});

test('integers become floats, ties to even', async () => {
  const next = uniform(3, -(2 ** 31), 2 ** 31);
  const x = Int32Array.from({ length: 5000 }, next);
  x.set([2 ** 24 + 1, 2 ** 24 + 3, -(2 ** 24) - 1, 2 ** 31 - 1, -(2 ** 31), 0]);
  const y = bench.empty(x.byteLength);
  await bench.run(fromIntegerKernel(), {
    shape: { size: x.length },
    buffers: { x0: bench.buffer(x), y },
    uniforms: uniforms(x.length),
  });
  expect(await bench.floats(y)).toEqual(Float32Array.from(x));
});

test.each([true, false])('rows are overwritten and no others (listed: %s)', async (listed) => {
  const y = bench.buffer(new Float32Array(10).fill(9));
  const x = Float32Array.of(1.00390625, 2, 3, 4);
  await bench.run(writeRowsKernel('bf16', listed), {
    shape: { size: 4 },
    buffers: { x: bench.buffer(x), y, ...(listed ? { targets: bench.buffer(Int32Array.of(4, 0)) } : {}) },
    uniforms: { size: 4, width: 2, first: 2 },
  });
  const expected = listed ? [3, 4, 9, 9, 9, 9, 9, 9, 1, 2] : [9, 9, 9, 9, 1, 2, 3, 4, 9, 9];
  expect([...(await bench.floats(y))]).toEqual(expected);
});
