/**
 * How weights come and go: what `loadWeight` makes of every format, what it takes, how it fails.
 *
 * What a weight holds is asked of `dequantize`, and must be exact if the backend holds it as it came. The bounds of
 * products (linear.ts) then need not know how a weight is packed.
 */
import { DenseWeight, MemorySource, type Weight, type WeightFormat, type WeightSource } from '@mariana/core';
import fc from 'fast-check';
import { valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { expectLinear, groupings, heldValues, MATRICES, type Matrix, matrices } from '../held-weights.ts';
import { anyElements, randomFrom } from '../random.ts';
import { conversionBound } from '../tolerance.ts';
import { defaultGrouping, type Grouping, knownWeight, WEIGHT_FORMATS } from '../weight-sources.ts';
import type { Workbench } from '../workbench.ts';

/** The largest magnitude among the values that share a scale with each value, in the usual pieces of a format. */
function largestOfPieces(values: Float32Array, [out, inputs]: Matrix, format: WeightFormat): (i: number) => number {
  const { blockSize, groupSize } = defaultGrouping(format);
  const [height, width] = format === 'fp8' ? blockSize : [1, groupSize];
  const across = Math.ceil(inputs / width);
  const piece = (i: number) => Math.floor(Math.floor(i / inputs) / height) * across + Math.floor((i % inputs) / width);
  const largest = new Float64Array(Math.ceil(out / height) * across);
  values.forEach((value, i) => {
    largest[piece(i)] = Math.max(largest[piece(i)]!, Math.abs(value));
  });
  return (i) => largest[piece(i)]!;
}

/** Loads a weight and checks what it says about itself and what it holds. */
async function loadChecked(
  bench: Workbench,
  format: WeightFormat,
  shape: Matrix,
  seed: number,
  grouping: Grouping | undefined,
): Promise<Weight> {
  const { source, values } = knownWeight(randomFrom(seed), format, shape, grouping);
  const weight = bench.hold(await bench.backend.loadWeight(source));
  bench.must(weight.backend === bench.backend, `${source.name}: the weight does not name its backend`);
  bench.must(`${weight.shape}` === `${shape}`, `${source.name}: the weight has shape [${weight.shape}]`);
  const largest = largestOfPieces(values, shape, weight.format);
  await bench.expect(bench.backend.dequantize(weight), {
    shape,
    values,
    bound: (i) => (weight.format === format ? 0 : conversionBound(weight.format, values[i]!, largest(i))),
  });
  return weight;
}

const loads = (format: WeightFormat): CaseDefinition =>
  property(
    'loadWeight',
    `${format} holds what its bytes mean`,
    {
      arbitrary: fc.record({ shape: matrices, grouping: groupings, seed: valueSeed }),
      examples: MATRICES.map((shape, seed) => ({ shape, grouping: undefined, seed })),
    },
    async (bench, { shape, grouping, seed }) => {
      await loadChecked(bench, format, shape, seed, grouping);
    },
  );

const keepsBooks = (format: WeightFormat): CaseDefinition =>
  example('weightBytes', `of ${format} is known before, true after, and counted`, async (bench) => {
    const { backend } = bench;
    for (const shape of [...MATRICES, [64, 320] as const]) {
      const { source } = knownWeight(randomFrom(1), format, shape);
      const before = backend.memory().bytes;
      const foretold = backend.weightBytes(source);
      const weight = bench.hold(await backend.loadWeight(source));
      const grown = backend.memory().bytes - before;
      const said = `[${shape}] as ${weight.format}: weightBytes ${foretold}, byteLength ${weight.byteLength}`;
      bench.must(foretold === weight.byteLength, said);
      bench.must(grown === weight.byteLength, `${said}, but memory().bytes grew by ${grown}`);
      weight.dispose();
      weight.dispose(); // harmless, as for tensors
      bench.expectNothingLeft();
    }
  });

const promises = (format: WeightFormat): CaseDefinition =>
  example('loadWeight', `${format} is held as the capabilities say`, async (bench) => {
    const { weightFormats } = bench.backend.capabilities;
    const should = weightFormats.includes(format) ? format : weightFormats[0];
    const { source } = knownWeight(randomFrom(1), format, [40, 130]);
    const weight = bench.hold(await bench.backend.loadWeight(source));
    bench.must(weight.format === should, `held as ${weight.format}, but the capabilities say ${should}`);
  });

const isPrecise = (format: 'f32' | 'bf16' | 'f16'): CaseDefinition =>
  example('loadWeight', `${format} that must stay precise is not quantised`, async (bench) => {
    const { backend } = bench;
    const { source, values } = knownWeight(randomFrom(1), format, [40, 130]);
    const foretold = backend.weightBytes(source, { precise: true });
    const weight = bench.hold(await backend.loadWeight(source, { precise: true }));
    bench.must(foretold === weight.byteLength, `weightBytes said ${foretold}, it takes ${weight.byteLength}`);
    await bench.expect(backend.dequantize(weight), { shape: [40, 130], values, bits: true });
  });

/** A source whose values cannot be read. */
function broken(source: WeightSource): WeightSource {
  const values = new MemorySource(new Uint8Array(source.values.byteLength), 'broken');
  values.read = async () => {
    throw new RangeError('the disk is gone');
  };
  return { ...source, values };
}

/** A source with one byte less than its shape asks for. */
function truncated(source: WeightSource): WeightSource {
  return { ...source, values: new MemorySource(new Uint8Array(source.values.byteLength - 1), 'truncated') };
}

export const weightCases: readonly CaseDefinition[] = [
  ...WEIGHT_FORMATS.map(loads),
  ...WEIGHT_FORMATS.map(promises),
  ...(['f32', 'bf16', 'f16'] as const).map(isPrecise),

  example('loadWeight', 'refuses FP8 NaN codes, wherever they are', async (bench) => {
    const { source } = knownWeight(randomFrom(1), 'fp8', [3, 130]);
    const codes = new Uint8Array(source.values.byteLength);
    for (const [at, code] of [
      [0, 0x7f],
      [200, 0xff],
      [389, 0x7f],
    ] as const) {
      const damaged = codes.with(at, code);
      await bench.refuses(`a NaN code at ${at}`, 'TENSOR_INVALID', () =>
        bench.backend.loadWeight({ ...source, values: new MemorySource(damaged, 'codes') }),
      );
    }
  }),

  ...WEIGHT_FORMATS.map((format) =>
    example(
      'loadWeight',
      `${format} that cannot be read, or is cut short, is refused and leaves nothing`,
      async (bench) => {
        const { backend } = bench;
        const { source } = knownWeight(randomFrom(1), format, [6, 10]);
        let caught: unknown;
        await backend.loadWeight(broken(source)).catch((error: unknown) => {
          caught = error;
        });
        bench.must(caught instanceof RangeError, `the error of the source came out as ${String(caught)}`);
        bench.expectNothingLeft();
        await bench.refuses('a source cut short', undefined, () => backend.loadWeight(truncated(source)));
        if ('scales' in source) {
          const scales = new MemorySource(new Uint8Array(source.scales.byteLength - 4), 'scales');
          await bench.refuses('scales cut short', undefined, () => backend.loadWeight({ ...source, scales }));
        }
      },
    ),
  ),

  example('loadWeights', 'gives what loadWeight gives, in order', async (bench) => {
    const { backend } = bench;
    bench.must((await backend.loadWeights([])).length === 0, 'no sources gave weights');
    for (const format of WEIGHT_FORMATS) {
      const known = [1, 2, 3].map((seed) => knownWeight(randomFrom(seed), format, [9, 70]));
      const weights = await backend.loadWeights(known.map(({ source }) => source));
      for (const weight of weights) bench.hold(weight);
      bench.must(weights.length === 3, `3 sources gave ${weights.length} weights`);
      for (const [i, weight] of weights.entries()) {
        const alone = bench.hold(await backend.loadWeight(known[i]!.source));
        const values = await heldValues(bench, alone);
        await bench.expect(backend.dequantize(weight), { shape: [9, 70], values, bits: true });
        await expectLinear(bench, weight, [2], 7);
      }
      // One of them can go without the others.
      weights[1]!.dispose();
      await expectLinear(bench, weights[2]!, [1], 8);
    }
  }),

  example('loadWeights', 'frees those that it has when one fails', async (bench) => {
    const sources = [1, 2].map((seed) => knownWeight(randomFrom(seed), 'int8', [8, 40]).source);
    let caught: unknown;
    await bench.backend.loadWeights([...sources, broken(sources[0]!)]).catch((error: unknown) => {
      caught = error;
    });
    bench.must(caught instanceof RangeError, `the error of the source came out as ${String(caught)}`);
  }),

  ...WEIGHT_FORMATS.map(keepsBooks),

  example('dequantize', 'gives a tensor that can go without the weight, and come again', async (bench) => {
    for (const format of WEIGHT_FORMATS) {
      const { source } = knownWeight(randomFrom(1), format, [5, 40]);
      const weight = bench.hold(await bench.backend.loadWeight(source));
      bench.backend.dequantize(weight).dispose();
      await expectLinear(bench, weight, [2], 3);
      const values = await heldValues(bench, weight);
      const decoded = bench.hold(bench.backend.dequantize(weight));
      weight.dispose();
      bench.tensor(new Float32Array(200).fill(9), [200]); // may be given storage that is free
      await bench.expect(decoded, { shape: [5, 40], values, bits: true });
    }
  }),

  ...(['f32', 'bf16', 'f16'] as const).map((dtype) =>
    property(
      'denseWeight',
      `made of a ${dtype} tensor`,
      { arbitrary: fc.record({ shape: matrices, seed: valueSeed }) },
      async (bench, { shape, seed }) => {
        const { backend } = bench;
        const { source, values } = knownWeight(randomFrom(seed), dtype, shape);
        const codes = new Uint8Array(source.values.byteLength);
        await source.values.read(0, codes);
        const data = dtype === 'f32' ? new Float32Array(codes.buffer) : new Uint16Array(codes.buffer);
        const weight = bench.hold(backend.denseWeight(backend.upload(data, shape, dtype)));
        bench.must(weight instanceof DenseWeight, 'denseWeight made a weight that is no DenseWeight');
        bench.must(weight.format === dtype, `the format of a ${dtype} tensor is ${weight.format}`);
        await bench.expect(backend.dequantize(weight), { shape, values, bits: true });
        await expectLinear(bench, weight, [3], seed + 1);
      },
    ),
  ),

  example('denseWeight', 'outlives the scope in which it was made, and takes its tensor with it', async (bench) => {
    const { backend } = bench;
    const before = backend.memory();
    const weight = backend.scope(() => backend.denseWeight(backend.upload(Float32Array.of(1, 2), [1, 2])));
    await bench.expect(backend.linear(bench.tensor(Float32Array.of(3, 4), [2]), weight), { shape: [1], values: [11] });
    weight.dispose();
    const { tensors } = backend.memory();
    bench.must(tensors === before.tensors + 1, `a disposed weight left ${tensors - before.tensors - 1} tensors`);
  }),

  example('denseWeight', 'refuses what is no matrix, and dtypes that are no weights', async (bench) => {
    const { backend } = bench;
    const vector = bench.tensor(new Float32Array(4), [4]);
    const cube = bench.tensor(new Float32Array(8), [2, 2, 2]);
    await bench.refuses('a vector', 'SHAPE_MISMATCH', () => backend.denseWeight(vector));
    await bench.refuses('a cube', 'SHAPE_MISMATCH', () => backend.denseWeight(cube));
    for (const dtype of ['i32', 'e4m3', 'e5m2', 'i8', 'u8'] as const) {
      const codes = bench.tensor(anyElements(randomFrom(1), dtype, 4), [2, 2], dtype);
      await bench.refuses(`a tensor of ${dtype}`, 'DTYPE_MISMATCH', () => backend.denseWeight(codes));
    }
  }),
];
