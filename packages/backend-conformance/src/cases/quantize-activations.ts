/** FP8 activations: exact codes and scales, in whole and cut tiles. */
import { decodeE4m3, encodeE4m3, type QuantizeActivationsOptions, type Shape } from '@mariana/core';
import fc from 'fast-check';
import { shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { integer, randomFrom, reals, wide } from '../random.ts';
import { type Tolerance, U } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const GROUP = 'quantizeActivations';

/** Relative error of a quotient beyond the correct rounding: where it is zero, codes and scales are exact. */
const slackOf = ({ div }: Tolerance) => 2 * U * Math.max(0, div - 0.5);

/** The power of two that is not below x. */
function powerFrom(x: number): number {
  let power = 2 ** -140;
  while (power < x) power *= 2;
  return power;
}

/** Whether a scale is what float32 makes of the largest magnitude of its tile. */
function isScale(scale: number, largest: number, format: 'f32' | 'ue8m0', slack: number): boolean {
  const exact = Math.fround(Math.max(largest, Math.fround(1e-4)) / 448);
  if (format === 'f32') return Math.abs(scale - exact) <= slack * exact;
  return scale === powerFrom(exact * (1 - slack)) || scale === powerFrom(exact * (1 + slack));
}

/** Whether a code is the nearest one, ties to even, of x / scale; or one of two where that quotient is off. Zeros equal. */
function isCode(code: number, x: number, scale: number, slack: number): boolean {
  const quotient = Math.fround(x / scale);
  const near = [quotient * (1 - slack), quotient * (1 + slack)].map((value) => decodeE4m3(encodeE4m3(value)));
  return near.some((value) => value === decodeE4m3(code));
}

async function expectQuantized(
  bench: Workbench,
  x: Float32Array,
  shape: Shape,
  options: QuantizeActivationsOptions | undefined,
): Promise<void> {
  const { tile = 128, scaleFormat = 'f32' } = options ?? {};
  const width = shape.at(-1)!;
  const tiles = Math.ceil(width / tile);
  const result = bench.backend.quantizeActivations(bench.tensor(x, shape), options);
  bench.expectHandle(bench.hold(result.codes), shape, 'e4m3');
  bench.expectHandle(bench.hold(result.scales), [...shape.slice(0, -1), tiles], 'f32');
  const [codes, scales] = [await bench.read(result.codes), await bench.read(result.scales)];
  const slack = slackOf(bench.tolerance);
  scales.forEach((scale, i) => {
    const start = Math.floor(i / tiles) * width + (i % tiles) * tile;
    const members = x.subarray(start, Math.min(start + tile, (Math.floor(i / tiles) + 1) * width));
    const largest = members.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    bench.must(isScale(scale, largest, scaleFormat, slack), `scale ${i} of a tile up to ${largest} is ${scale}`);
  });
  codes.forEach((code, i) => {
    const scale = scales[Math.floor(i / width) * tiles + Math.floor((i % width) / tile)]!;
    const what = `${x[i]} in a tile of scale ${scale} became code ${code} (${decodeE4m3(code)})`;
    bench.must(isCode(code, x[i]!, scale, slack), what);
  });
}

export const quantizeActivationCases: readonly CaseDefinition[] = [
  property(
    GROUP,
    'gives the codes and scales of act_quant',
    {
      arbitrary: fc.record({
        shape: shape({ rank: [1, 3], elements: 1500 }),
        tile: fc.constantFrom(undefined, 1, 3, 16, 64, 128),
        scaleFormat: fc.constantFrom(undefined, 'f32' as const, 'ue8m0' as const),
        seed: valueSeed,
      }),
      examples: [
        { shape: [2, 128], tile: undefined, scaleFormat: undefined, seed: 1 },
        { shape: [3, 257], tile: 128, scaleFormat: 'ue8m0', seed: 2 },
        { shape: [5], tile: 128, scaleFormat: 'f32', seed: 3 },
        { shape: [0, 130], tile: 128, scaleFormat: 'f32', seed: 4 },
        { shape: [2, 3, 130], tile: 64, scaleFormat: 'ue8m0', seed: 5 },
        { shape: [1, 1], tile: 1, scaleFormat: 'f32', seed: 6 },
      ],
    },
    async (bench, { shape, tile, scaleFormat, seed }) => {
      const random = randomFrom(seed);
      const x = random() < 0.5 ? reals(random, count(shape), -30, 30) : wide(random, count(shape), -14, 14);
      const options = {
        ...(tile === undefined ? {} : { tile }),
        ...(scaleFormat === undefined ? {} : { scaleFormat }),
      };
      await expectQuantized(bench, x, shape, options);
    },
  ),

  example(GROUP, 'takes tiles of 128 and f32 scales unless told otherwise', async (bench) => {
    await expectQuantized(bench, reals(randomFrom(1), 260), [1, 260], undefined);
    await expectQuantized(bench, reals(randomFrom(2), 260), [1, 260], {});
  }),

  example(GROUP, 'of zeros, and of values below the floor of the scale', async (bench) => {
    for (const scaleFormat of ['f32', 'ue8m0'] as const) {
      await expectQuantized(bench, new Float32Array(130), [130], { scaleFormat });
      await expectQuantized(bench, Float32Array.of(1e-5, -1e-5, 5e-5, 1e-7, -0), [5], { scaleFormat });
    }
  }),

  example(GROUP, 'a scale that is a power of two already stays what it is', async (bench) => {
    for (let exponent = -10; exponent <= 10; exponent++) {
      const largest = 448 * 2 ** exponent;
      const x = Float32Array.of(largest, -largest / 2, largest / 3, 0);
      await expectQuantized(bench, x, [4], { scaleFormat: 'ue8m0' });
      await expectQuantized(bench, x, [4], { scaleFormat: 'f32' });
    }
  }),

  example(GROUP, 'rounds ties to even', async (bench) => {
    // With a largest magnitude of 448 the scale is 1: these lie midway between codes.
    const ties = [1.0625, 1.1875, 17, 19, 232, 248, 2 ** -10, 3 * 2 ** -10, 440, 416];
    const x = Float32Array.from([448, ...ties.flatMap((tie) => [tie, -tie])]);
    await expectQuantized(bench, x, [x.length], {});
  }),

  example(GROUP, 'decodes to within half a step of the values', async (bench) => {
    const { backend } = bench;
    const random = randomFrom(4);
    const x = reals(random, 3 * 128, -(2 ** integer(random, 0, 6)), 50);
    const { codes, scales } = backend.quantizeActivations(bench.tensor(x, [3, 128]));
    const decoded = backend.binary('mul', bench.hold(backend.cast(bench.hold(codes), 'f32')), bench.hold(scales));
    const largest = [0, 1, 2].map((row) => Math.max(...x.subarray(row * 128, (row + 1) * 128).map(Math.abs)));
    const bound = (i: number) =>
      Math.max(Math.abs(x[i]!) * 2 ** -4, (largest[Math.floor(i / 128)]! / 448) * 2 ** -10) * (1 + 2 ** -16);
    await bench.expect(decoded, { shape: [3, 128], values: x, bound });
  }),

  example(GROUP, 'refuses scalars and other dtypes', async (bench) => {
    const { backend } = bench;
    const scalar = bench.tensor(new Float32Array(1), []);
    const ints = bench.tensor(new Int32Array(2), [2]);
    await bench.refuses('a scalar', 'SHAPE_MISMATCH', () => backend.quantizeActivations(scalar));
    await bench.refuses('i32', 'DTYPE_MISMATCH', () => backend.quantizeActivations(ints));
  }),
];
