/** Operations on rows: `gather`, `scatterAdd` and `writeRows`. */
import { encodeBf16, encodeF16, TENSOR_DTYPES, type TensorDType } from '@mariana/core';
import fc from 'fast-check';
import { axis, shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { anyElements, flushSubnormals, integers, randomFrom, shuffled, wholes, wide } from '../random.ts';
import { gamma } from '../tolerance.ts';

const gathers = (dtype: TensorDType): CaseDefinition =>
  property(
    'gather',
    `takes rows of ${dtype}`,
    {
      arbitrary: fc.record({
        rows: axis(130, 1),
        rest: shape({ rank: [0, 3], elements: 40 }),
        indices: shape({ rank: [0, 3], elements: 60 }),
        seed: valueSeed,
      }),
      examples: [
        { rows: 3, rest: [], indices: [], seed: 1 },
        { rows: 3, rest: [], indices: [2, 2], seed: 2 },
        { rows: 1, rest: [5], indices: [0], seed: 3 },
        { rows: 5, rest: [0], indices: [3], seed: 4 },
        { rows: 130, rest: [3], indices: [129], seed: 5 },
      ],
    },
    async (bench, { rows, rest, indices, seed }) => {
      const random = randomFrom(seed);
      const width = count(rest);
      const data = anyElements(random, dtype, rows * width);
      const chosen = integers(random, count(indices), 0, rows - 1);
      const values = [...chosen].flatMap((row) => [...data.slice(row * width, (row + 1) * width)]);
      const result = bench.backend.gather(bench.tensor(data, [rows, ...rest], dtype), bench.tensor(chosen, indices));
      await bench.expect(result, { shape: [...indices, ...rest], dtype, values, bits: true });
    },
  );

const writes = (dtype: 'f32' | 'bf16' | 'f16'): CaseDefinition =>
  property(
    'writeRows',
    `overwrites rows of ${dtype}, rounded to it`,
    {
      arbitrary: fc.record({ rows: axis(), rest: shape({ rank: [0, 3], elements: 40 }), seed: valueSeed }),
      examples: [
        { rows: 5, rest: [], seed: 1 },
        { rows: 0, rest: [3], seed: 2 },
        { rows: 5, rest: [0], seed: 3 },
        { rows: 33, rest: [7], seed: 4 },
      ],
    },
    async (bench, { rows, rest, seed }) => {
      const random = randomFrom(seed);
      const width = count(rest);
      const before = anyElements(random, dtype, rows * width);
      const chosen = shuffled(random, rows).slice(0, Math.ceil(rows / 2));
      const written = anyElements(random, 'f32', chosen.length * width);
      if (bench.tolerance.subnormals === 'flushed' && dtype === 'bf16') flushSubnormals('f32', written);
      const encode = { f32: (x: number) => x, bf16: encodeBf16, f16: encodeF16 }[dtype];
      const values = before.slice();
      chosen.forEach((row, i) => {
        for (let j = 0; j < width; j++) values[row * width + j] = encode(written[i * width + j]!);
      });
      const target = bench.target(before, [rows, ...rest], dtype);
      const source = bench.tensor(written, [chosen.length, ...rest]);
      bench.backend.writeRows(target, Int32Array.from(chosen), source);
      await bench.expect(source, { shape: [chosen.length, ...rest], values: written, bits: true });
      await bench.expect(target, { shape: [rows, ...rest], dtype, values, bits: true });
    },
  );

export const rowCases: readonly CaseDefinition[] = [
  ...TENSOR_DTYPES.map(gathers),

  example('gather', 'refuses indices that are no i32, and scalars', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(6), [3, 2]);
    const scalar = bench.tensor(new Float32Array(1), []);
    const zero = bench.tensor(Int32Array.of(0), [1]);
    const bytes = bench.tensor(Uint8Array.of(0), [1]);
    await bench.refuses('f32 indices', 'DTYPE_MISMATCH', () =>
      backend.gather(x, bench.tensor(new Float32Array(1), [1])),
    );
    await bench.refuses('u8 indices', 'DTYPE_MISMATCH', () => backend.gather(x, bytes));
    await bench.refuses('rows of a scalar', 'SHAPE_MISMATCH', () => backend.gather(scalar, zero));
  }),

  example('gather', 'refuses indices out of range', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(new Float32Array(6), [3, 2]);
    for (const bad of [3, -1, 2 ** 31 - 1]) {
      const indices = bench.tensor(Int32Array.of(0, bad), [2]);
      await bench.refuses(`index ${bad} of 3 rows`, 'INVALID_ARGUMENT', () => backend.gather(x, indices));
    }
    const none = bench.tensor(new Float32Array(0), [0, 2]);
    const zero = bench.tensor(Int32Array.of(0), [1]);
    await bench.refuses('index 0 of no rows', 'INVALID_ARGUMENT', () => backend.gather(none, zero));
  }),

  property(
    'scatterAdd',
    'adds rows where they belong, several to one',
    {
      arbitrary: fc.record({
        rows: axis(130, 1),
        updates: axis(),
        rest: shape({ rank: [0, 3], elements: 30 }),
        seed: valueSeed,
      }),
      examples: [
        { rows: 1, updates: 129, rest: [3], seed: 1 },
        { rows: 5, updates: 0, rest: [3], seed: 2 },
        { rows: 5, updates: 4, rest: [], seed: 3 },
        { rows: 5, updates: 4, rest: [0], seed: 4 },
      ],
    },
    async (bench, { rows, updates, rest, seed }) => {
      const random = randomFrom(seed);
      const width = count(rest);
      const isWhole = random() < 0.5;
      const data = isWhole ? wholes(random, updates * width) : wide(random, updates * width, -6, 6);
      const indices = integers(random, updates, 0, rows - 1);
      const values = new Float64Array(rows * width);
      const magnitudes = new Float64Array(rows * width);
      indices.forEach((row, i) => {
        for (let j = 0; j < width; j++) {
          values[row * width + j]! += data[i * width + j]!;
          magnitudes[row * width + j]! += Math.abs(data[i * width + j]!);
        }
      });
      const result = bench.backend.scatterAdd(
        bench.tensor(indices, [updates]),
        bench.tensor(data, [updates, ...rest]),
        rows,
      );
      const bound = isWhole ? 0 : (i: number) => gamma(updates, magnitudes[i]!);
      await bench.expect(result, { shape: [rows, ...rest], values, bound });
    },
  ),

  example('scatterAdd', 'to no rows gives an empty tensor, and a row without updates is zero', async (bench) => {
    const { backend } = bench;
    const none = bench.tensor(new Int32Array(0), [0]);
    const empty = bench.tensor(new Float32Array(0), [0, 2]);
    await bench.expect(backend.scatterAdd(none, empty, 0), { shape: [0, 2], values: [] });
    await bench.expect(backend.scatterAdd(none, empty, 2), { shape: [2, 2], values: [0, 0, 0, 0] });
    const sum = backend.scatterAdd(
      bench.tensor(Int32Array.of(2, 0, 2), [3]),
      bench.tensor(Float32Array.of(1, 2, 4), [3]),
      4,
    );
    await bench.expect(sum, { shape: [4], values: [2, 0, 5, 0] });
  }),

  example(
    'scatterAdd',
    'refuses indices that do not name the updates, numbers of rows that are none, other dtypes',
    async (bench) => {
      const { backend } = bench;
      const two = bench.tensor(Int32Array.of(0, 1), [2]);
      const table = bench.tensor(Int32Array.of(0, 1), [2, 1]);
      const updates = bench.tensor(new Float32Array(6), [3, 2]);
      const pair = bench.tensor(new Float32Array(4), [2, 2]);
      const scalar = bench.tensor(new Float32Array(1), []);
      await bench.refuses('2 indices of 3 updates', 'SHAPE_MISMATCH', () => backend.scatterAdd(two, updates, 4));
      await bench.refuses('indices of rank 2', 'SHAPE_MISMATCH', () => backend.scatterAdd(table, pair, 4));
      await bench.refuses('a scalar update', 'SHAPE_MISMATCH', () => backend.scatterAdd(two, scalar, 4));
      await bench.refuses('-1 rows', 'SHAPE_MISMATCH', () => backend.scatterAdd(two, pair, -1));
      await bench.refuses('2.5 rows', 'SHAPE_MISMATCH', () => backend.scatterAdd(two, pair, 2.5));
      await bench.refuses('f32 indices', 'DTYPE_MISMATCH', () => backend.scatterAdd(pair, pair, 4));
      await bench.refuses('i32 updates', 'DTYPE_MISMATCH', () => backend.scatterAdd(two, two, 4));
    },
  ),

  example('scatterAdd', 'refuses indices out of range', async (bench) => {
    const { backend } = bench;
    const updates = bench.tensor(new Float32Array(4), [2, 2]);
    for (const bad of [2, -1]) {
      const indices = bench.tensor(Int32Array.of(0, bad), [2]);
      await bench.refuses(`index ${bad} of 2 rows`, 'INVALID_ARGUMENT', () => backend.scatterAdd(indices, updates, 2));
    }
  }),

  ...(['f32', 'bf16', 'f16'] as const).map(writes),

  example('writeRows', 'leaves alone what was taken from the target before', async (bench) => {
    const { backend } = bench;
    const pool = bench.target(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
    // Neither a slice nor a gathered row may be a window on the rows that will be overwritten.
    const rows = bench.hold(backend.slice(pool, 0, 0, 3));
    const all = bench.hold(backend.gather(pool, bench.tensor(Int32Array.of(0, 1, 2), [3])));
    const joined = bench.hold(backend.concat([pool], 0));
    const same = bench.hold(backend.transpose(pool, [0, 1]));
    backend.writeRows(pool, Int32Array.of(0, 2), bench.tensor(Float32Array.of(-1, -2, -5, -6), [2, 2]));
    await bench.expect(pool, { shape: [3, 2], values: [-1, -2, 3, 4, -5, -6] });
    for (const taken of [rows, all, joined, same]) {
      await bench.expect(taken, { shape: [3, 2], values: [1, 2, 3, 4, 5, 6] });
    }
  }),

  example('writeRows', 'is seen through a reshaped handle, and by operations that follow', async (bench) => {
    const { backend } = bench;
    const pool = bench.target(new Float32Array(8), [4, 2]);
    const view = bench.hold(backend.reshape(pool, [2, 4]));
    backend.writeRows(pool, Int32Array.of(3), bench.tensor(Float32Array.of(7, 8), [1, 2]));
    await bench.expect(backend.slice(pool, 0, 3, 4), { shape: [1, 2], values: [7, 8] });
    await bench.expect(view, { shape: [2, 4], values: [0, 0, 0, 0, 0, 0, 7, 8] });
  }),

  example('writeRows', 'refuses rows out of range, values that do not fit, other dtypes', async (bench) => {
    const { backend } = bench;
    const pool = bench.tensor(Float32Array.of(1, 2, 3, 4), [2, 2]);
    const codes = bench.tensor(new Uint8Array(4), [2, 2], 'e4m3');
    const row = bench.tensor(Float32Array.of(9, 9), [1, 2]);
    const wideRow = bench.tensor(new Float32Array(3), [1, 3]);
    const ints = bench.tensor(new Int32Array(2), [1, 2]);
    const rows = (...numbers: number[]) => Int32Array.from(numbers);
    for (const bad of [2, -1]) {
      await bench.refuses(`row ${bad} of 2`, 'INVALID_ARGUMENT', () => backend.writeRows(pool, rows(bad), row));
    }
    await bench.refuses('one row for two', 'SHAPE_MISMATCH', () => backend.writeRows(pool, rows(0, 1), row));
    await bench.refuses('a row of 3 for 2', 'SHAPE_MISMATCH', () => backend.writeRows(pool, rows(0), wideRow));
    await bench.refuses('values of i32', 'DTYPE_MISMATCH', () => backend.writeRows(pool, rows(0), ints));
    await bench.refuses('a target of e4m3', 'DTYPE_MISMATCH', () => backend.writeRows(codes, rows(0), row));
    await bench.expect(pool, { shape: [2, 2], values: [1, 2, 3, 4] });
  }),
];
