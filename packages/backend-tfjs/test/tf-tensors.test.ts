/** A tfjs program that uses Mariana: tf tensors in and out, lifetimes between the two. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { afterEach, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import { type TfjsBackend, tfjs } from '../src/index.ts';

let backend: TfjsBackend<tf.Tensor>;
let baseline: number;

beforeAll(async () => {
  backend = await tfjs({ tf, engine: 'cpu' });
  baseline = tf.memory().numTensors;
});

const left = () => ({ tf: tf.memory().numTensors - baseline, mariana: backend.memory().tensors });

afterEach(() => {
  expect(left()).toEqual({ tf: 0, mariana: 0 });
});

describe('adopt', () => {
  test('gives a handle on the values, and leaves the tf.Tensor to its owner', async () => {
    const mine = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
    const adopted = backend.adopt(mine);
    expect([adopted.dtype, adopted.shape]).toEqual(['f32', [2, 3]]);
    mine.dispose();
    expect(await adopted.floats()).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    adopted.dispose();
    expect(left()).toEqual({ tf: 0, mariana: 0 });
  });

  test.each([
    ['int32', [2 ** 31 - 1, -5]],
    ['bool', [1, 0]],
  ] as const)('takes %s as i32', async (dtype, values) => {
    const mine = tf.tensor1d([...values], dtype);
    using adopted = backend.adopt(mine);
    mine.dispose();
    using sum = backend.binary('add', adopted, adopted);
    expect(await adopted.integers()).toEqual(Int32Array.from(values));
    expect(await sum.integers()).toEqual(Int32Array.from(values, (value) => 2 * value));
  });

  test('takes tensors of no elements and of no axes', async () => {
    const [empty, scalar] = [tf.zeros([0, 3]), tf.scalar(7)];
    using none = backend.adopt(empty);
    using one = backend.adopt(scalar);
    tf.dispose([empty, scalar]);
    expect([none.shape, one.shape]).toEqual([[0, 3], []]);
    expect(await one.floats()).toEqual(Float32Array.of(7));
  });

  test('refuses what it cannot take, saying why', () => {
    const gone = tf.scalar(1);
    gone.dispose();
    expect(() => backend.adopt(gone)).toThrow(expect.objectContaining({ code: 'TENSOR_DISPOSED' }));
    const text = tf.tensor1d(['a']);
    expect(() => backend.adopt(text)).toThrow(expect.objectContaining({ code: 'DTYPE_MISMATCH' }));
    text.dispose();
    for (const nothing of [null, undefined, 3, 'tensor', {}, new Float32Array(3)]) {
      expect(() => backend.adopt(nothing as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
    expect(left()).toEqual({ tf: 0, mariana: 0 });
  });
});

describe('toTf', () => {
  test("gives a tensor of the caller's own tfjs, which outlives the handle", async () => {
    const handle = backend.upload(Float32Array.of(1, 2, 3, 4), [2, 1, 2]);
    const given = backend.toTf(handle);
    expectTypeOf(given).toEqualTypeOf<tf.Tensor>();
    handle.dispose();
    expect(given).toBeInstanceOf(tf.Tensor);
    expect([given.shape, given.dtype]).toEqual([[2, 1, 2], 'float32']);
    const squares = tf.square(given);
    expect(await squares.data()).toEqual(Float32Array.of(1, 4, 9, 16));
    tf.dispose([given, squares]);
    expect(left()).toEqual({ tf: 0, mariana: 0 });
  });

  test('gives values, not codes', async () => {
    using codes = backend.upload(Uint8Array.of(0x38, 0xb8, 0x7e), [3], 'e4m3');
    using bytes = backend.upload(Int8Array.of(-128, 127), [2]);
    using none = backend.upload(new Int32Array(0), [0, 2]);
    const [numbers, integers, empty] = [codes, bytes, none].map((tensor) => backend.toTf(tensor));
    expect(await numbers!.data()).toEqual(Float32Array.of(1, -1, 448));
    expect(await integers!.data()).toEqual(Int32Array.of(-128, 127));
    expect([empty!.shape, empty!.dtype]).toEqual([[0, 2], 'int32']);
    tf.dispose([numbers!, integers!, empty!]);
  });

  test('a later writeRows does not reach what was given out', async () => {
    using cache = backend.upload(new Float32Array(4), [2, 2]);
    using row = backend.upload(Float32Array.of(8, 9), [1, 2]);
    const before = backend.toTf(cache);
    backend.writeRows(cache, Int32Array.of(1), row);
    const after = backend.toTf(cache);
    expect(await before.data()).toEqual(new Float32Array(4));
    expect(await after.data()).toEqual(Float32Array.of(0, 0, 8, 9));
    tf.dispose([before, after]);
  });
});

describe('tf.tidy', () => {
  test('does not take what Mariana holds', async () => {
    const handle = tf.tidy(() => {
      using a = backend.adopt(tf.tensor1d([3, -1, 2]));
      const { values, indices } = backend.topK(a, 2);
      indices.dispose();
      return [backend.toTf(values), values] as never;
    }) as unknown as [tf.Tensor, ReturnType<typeof backend.upload>];
    expect(await handle[0].data()).toEqual(Float32Array.of(3, 2));
    expect(await handle[1].floats()).toEqual(Float32Array.of(3, 2));
    handle[0].dispose();
    handle[1].dispose();
    expect(left()).toEqual({ tf: 0, mariana: 0 });
  });

  test('takes what toTf gave out and nobody returned', () => {
    using handle = backend.upload(Float32Array.of(1), [1]);
    tf.tidy(() => {
      backend.toTf(handle);
    });
    expect(left()).toEqual({ tf: 1, mariana: 1 });
  });
});
