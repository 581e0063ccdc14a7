/** Values go in and come out as they were: `upload` and `read`, for every dtype. */
import { TENSOR_DTYPES, type TensorDType } from '@mariana/core';
import fc from 'fast-check';
import { shape, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import { anyElements, randomFrom } from '../random.ts';

const roundTrip = (dtype: TensorDType): CaseDefinition =>
  property(
    'upload',
    `${dtype} is read as it was uploaded`,
    { arbitrary: fc.record({ shape: shape(), seed: valueSeed }) },
    async (bench, { shape, seed }) => {
      const values = anyElements(randomFrom(seed), dtype, count(shape));
      const tensor = bench.tensor(values, shape, dtype);
      await bench.expect(tensor, { shape, dtype, values, bits: true });
    },
  );

export const storageCases: readonly CaseDefinition[] = [
  ...TENSOR_DTYPES.map(roundTrip),

  example('upload', 'takes the dtype from the array where it is not said', async (bench) => {
    await bench.expect(bench.tensor(Float32Array.of(1.5, -0), [2]), { shape: [2], values: [1.5, -0], bits: true });
    await bench.expect(bench.tensor(Int32Array.of(-7), [1]), { shape: [1], dtype: 'i32', values: [-7] });
    await bench.expect(bench.tensor(Int8Array.of(-128), [1]), { shape: [1], dtype: 'i8', values: [-128] });
    await bench.expect(bench.tensor(Uint8Array.of(255), [1]), { shape: [1], dtype: 'u8', values: [255] });
  }),

  example('upload', 'copies the values, also from the middle of a buffer', async (bench) => {
    const buffer = new Float32Array(7).fill(9);
    const window = buffer.subarray(3, 5);
    window.set([1, 2]);
    const tensor = bench.tensor(window, [2]);
    buffer.fill(0);
    await bench.expect(tensor, { shape: [2], values: [1, 2] });
    const codes = new Uint8Array(9);
    codes.set([0x38, 0x40, 0xc0], 1);
    await bench.expect(bench.tensor(codes.subarray(1, 4), [3], 'e4m3'), {
      shape: [3],
      dtype: 'e4m3',
      values: [0x38, 0x40, 0xc0],
    });
  }),

  example('upload', 'takes values in shared memory', async (bench) => {
    if (typeof SharedArrayBuffer === 'undefined') return; // a page without cross-origin isolation cannot make one
    const shared = new Float32Array(new SharedArrayBuffer(12));
    shared.set([3, 1, 2]);
    await bench.expect(bench.tensor(shared, [3]), { shape: [3], values: [3, 1, 2] });
  }),

  example('upload', 'refuses values that do not fill the shape, and what is no shape', async (bench) => {
    const { backend } = bench;
    const three = new Float32Array(3);
    await bench.refuses('three values as [2, 2]', 'SHAPE_MISMATCH', () => backend.upload(three, [2, 2]));
    await bench.refuses('three values as a scalar', 'SHAPE_MISMATCH', () => backend.upload(three, []));
    await bench.refuses('an axis of -3', 'SHAPE_MISMATCH', () => backend.upload(three, [-3]));
    await bench.refuses('axes of -1 and -3', 'SHAPE_MISMATCH', () => backend.upload(three, [-1, -3]));
    await bench.refuses('axes of 1.5 and 2', 'SHAPE_MISMATCH', () => backend.upload(three, [1.5, 2]));
    await bench.refuses('an axis of NaN', 'SHAPE_MISMATCH', () => backend.upload(three, [Number.NaN]));
  }),

  example('upload', 'refuses an array that does not carry the dtype', async (bench) => {
    const { backend } = bench;
    await bench.refuses('codes of unsaid dtype', 'DTYPE_MISMATCH', () => backend.upload(new Uint16Array(2), [2]));
    await bench.refuses('floats as i32', 'DTYPE_MISMATCH', () => backend.upload(new Float32Array(2), [2], 'i32'));
    await bench.refuses('floats as bf16', 'DTYPE_MISMATCH', () => backend.upload(new Float32Array(2), [2], 'bf16'));
    await bench.refuses('bytes as bf16', 'DTYPE_MISMATCH', () => backend.upload(new Uint8Array(2), [2], 'bf16'));
    await bench.refuses('signed bytes as e4m3', 'DTYPE_MISMATCH', () => backend.upload(new Int8Array(2), [2], 'e4m3'));
  }),

  example('read', 'gives a copy, by the tensor and by the backend', async (bench) => {
    const tensor = bench.tensor(Float32Array.of(1, 2), [2]);
    const first = await tensor.read();
    first.fill(7);
    await bench.expect(tensor, { shape: [2], values: [1, 2] });
  }),

  example('read', 'that has begun outlives its tensor', async (bench) => {
    // `using x = ...; return x.read()` disposes x before the promise is awaited.
    const tensor = bench.tensor(Float32Array.of(1, 2, 3), [3]);
    const promise = bench.backend.read(tensor);
    tensor.dispose();
    bench.tensor(Float32Array.of(7, 8, 9), [3]); // may be given the same storage
    const values = await promise;
    bench.must(values.join() === '1,2,3', `read gave ${values.join()} after its tensor was disposed`);
  }),

  example('read', 'gives the values of the moment when it was called', async (bench) => {
    const tensor = bench.target(Float32Array.of(1, 2), [2, 1]);
    const promise = bench.backend.read(tensor);
    bench.backend.writeRows(tensor, Int32Array.of(1), bench.tensor(Float32Array.of(5), [1, 1]));
    const values = await promise;
    bench.must(values.join() === '1,2', `read gave ${values.join()}, which was written after it was called`);
    await bench.expect(tensor, { shape: [2, 1], values: [1, 5] });
  }),
];
