/** Choosing an engine: what is missing or wrong is said, and nothing computes on another engine than was asked for. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startEngine, type TfjsEngine, tfjs } from '../src/index.ts';

const unavailable = (message: RegExp) =>
  expect.objectContaining({ code: 'BACKEND_UNAVAILABLE', message: expect.stringMatching(message) });

afterEach(async () => {
  vi.restoreAllMocks();
  await tf.setBackend('cpu');
});

describe('tfjs()', () => {
  test('makes the engine active and says which it is', async () => {
    await tf.setBackend('cpu');
    const before = tf.memory().numTensors;
    const backend = await tfjs({ tf, engine: 'wasm' });
    expect([tf.getBackend(), backend.name, backend.engine]).toEqual(['wasm', 'tfjs-wasm', 'wasm']);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('says what to import for an engine that is not registered', async () => {
    await expect(tfjs({ tf, engine: 'webgpu' })).rejects.toEqual(
      unavailable(/import '@tensorflow\/tfjs-backend-webgpu'/),
    );
    await expect(tfjs({ tf, engine: 'tensorflow' })).rejects.toEqual(unavailable(/import '@tensorflow\/tfjs-node'/));
  });

  test('refuses a name that is no engine', async () => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    for (const engine of ['webgl', '', 'toString']) {
      await expect(tfjs({ tf, engine: engine as TfjsEngine })).rejects.toEqual(refused);
    }
  });

  test('an engine that fails to start is not replaced by another', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    for (const factory of [
      () => {
        throw new Error('no adapter');
      },
      () => Promise.reject(new Error('device lost')),
    ]) {
      tf.registerBackend('webgpu', factory);
      await expect(tfjs({ tf, engine: 'webgpu' })).rejects.toEqual(unavailable(/webgpu did not start/));
      tf.removeBackend('webgpu');
      await tf.setBackend('cpu');
    }
  });

  test('an engine that tfjs replaced silently is noticed', async () => {
    const falling = { ...tf, setBackend: async () => true, getBackend: () => 'cpu' };
    await expect(tfjs({ tf: falling, engine: 'tensorflow' })).rejects.toEqual(unavailable(/tfjs chose cpu/));
  });

  test('an engine that computes in half precision is refused', async () => {
    const half = { ...tf, mul: coarse };
    await expect(tfjs({ tf: half, engine: 'cpu' })).rejects.toEqual(unavailable(/does not compute in float32/));
  });

  test('an engine that cannot run an op is refused, with the reason', async () => {
    const error = await tfjs({ tf: { ...tf, clipByValue: fails }, engine: 'cpu' }).catch((error: unknown) => error);
    expect(error).toEqual(unavailable(/first computation .*isNullOrUndefined/));
    expect((error as Error).cause).toBeInstanceOf(TypeError);
  });
});

describe('the traits of an engine', () => {
  const lying = {
    functionsKeepEdges: { exp: dropNaN(tf.exp) },
    extremaKeepNaN: { maximum: ((a: tf.Tensor, b: tf.Tensor) => tf.where(tf.less(a, b), b, a)) as typeof tf.maximum },
    integersExact: { add: coarseIntegers },
    topKOrdersInfinities: { topk: topkFromTheEnd },
  };

  test.each(Object.entries(lying))('%s: an engine that breaks it is noticed', async (trait, ops) => {
    // tfjs-wasm drops a NaN in `maximum`, tfjs-cpu does the rest differently.
    const engine = trait === 'extremaKeepNaN' ? 'cpu' : 'wasm';
    expect(await startEngine({ tf, engine })).toMatchObject({ [trait]: true });
    expect(await startEngine({ tf: { ...tf, ...ops }, engine })).toMatchObject({ [trait]: false });
  });

  test('tfjs-cpu is caught writing into the operand of tensorScatterUpdate', async () => {
    expect(await startEngine({ tf, engine: 'wasm' })).toMatchObject({ scatterUpdateCopies: true });
    expect(await startEngine({ tf, engine: 'cpu' })).toMatchObject({ scatterUpdateCopies: false });
  });

  test('asking leaves no tensors behind', async () => {
    await tf.setBackend('cpu');
    const before = tf.memory().numTensors;
    await startEngine({ tf, engine: 'cpu' });
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('a backend whose engine is not active', () => {
  test('refuses to compute, and still reads and frees', async () => {
    const backend = await tfjs({ tf, engine: 'cpu' });
    using x = backend.upload(Float32Array.of(1, 2), [2]);
    await tf.setBackend('wasm');
    expect(() => backend.binary('add', x, x)).toThrow(unavailable(/tf\.setBackend\('cpu'\)/));
    expect(() => backend.upload(Float32Array.of(1), [1])).toThrow(unavailable(/computes on wasm/));
    expect(() => backend.toTf(x)).toThrow(unavailable(/computes on wasm/));
    expect(await x.floats()).toEqual(Float32Array.of(1, 2));
    expect(backend.memory().tensors).toBe(1);
  });
});

describe('a failing op', () => {
  test('becomes BACKEND_FAILED with its cause, and leaves nothing behind', async () => {
    const backend = await tfjs({ tf: { ...tf, matMul: fails }, engine: 'cpu' });
    using a = backend.upload(Float32Array.of(1, 2, 3, 4), [2, 2]);
    const before = [tf.memory().numTensors, backend.memory().tensors];
    const error = caught(() => backend.matmul(a, a));
    expect(error).toMatchObject({ code: 'BACKEND_FAILED', message: expect.stringMatching(/^matmul: tfjs engine cpu/) });
    expect(error.cause).toBeInstanceOf(TypeError);
    expect([tf.memory().numTensors, backend.memory().tensors]).toEqual(before);
  });

  test('computed indices beyond the rows are refused before they are used', async () => {
    const backend = await tfjs({ tf, engine: 'wasm' });
    using data = backend.upload(Float32Array.of(1, 2, 3), [3]);
    using one = backend.upload(Int32Array.of(1, 2), [2]);
    using beyond = backend.binary('add', one, one);
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/index 4/) });
    expect(() => backend.gather(data, beyond)).toThrow(refused);
    expect(() => backend.scatterAdd(beyond, one as never, 3)).toThrow(
      expect.objectContaining({ code: 'DTYPE_MISMATCH' }),
    );
    using updates = backend.upload(Float32Array.of(1, 2), [2]);
    expect(() => backend.scatterAdd(beyond, updates, 3)).toThrow(refused);
  });

  test('integers that the engine would round are refused', async () => {
    const inexact = await tfjs({ tf: { ...tf, add: coarseIntegers }, engine: 'cpu' });
    using large = inexact.upload(Int32Array.of(2 ** 24 + 1, -3), [2]);
    expect(await large.integers()).toEqual(Int32Array.of(2 ** 24 + 1, -3));
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/16777217/) });
    expect(() => inexact.slice(large, 0, 0, 1)).toThrow(refused);
    using small = inexact.upload(
      Int32Array.from({ length: 6 }, (_, i) => i - 3),
      [2, 3],
    );
    using turned = inexact.transpose(small, [1, 0]);
    expect(await turned.integers()).toEqual(Int32Array.of(-3, 0, -2, 1, -1, 2));
  });
});

function caught(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

function fails(): never {
  throw new TypeError('(0 , util_1.isNullOrUndefined) is not a function');
}

/** A product that loses the last digits. */
const coarse = ((a: tf.Tensor, b: tf.Tensor) =>
  tf.mul(tf.round(tf.mul(tf.mul(a, b), 2 ** 10)), 2 ** -10)) as typeof tf.mul;

/** Adds integers as an engine does that computes them in float32. */
function coarseIntegers<T extends tf.Tensor>(a: tf.Tensor | tf.TensorLike, b: tf.Tensor | tf.TensorLike): T {
  const sum = tf.add<T>(a, b);
  return sum.dtype === 'int32'
    ? tf.mul(tf.cast(tf.div(sum, tf.scalar(8, 'int32')), 'int32'), tf.scalar(8, 'int32'))
    : sum;
}

/** Takes the last of equal values first. */
function topkFromTheEnd<T extends tf.Tensor>(x: T | tf.TensorLike, k?: number) {
  const { values, indices } = tf.topk(tf.reverse(x as T, -1), k);
  return { values, indices: tf.sub<T>(tf.scalar((x as T).shape.at(-1)! - 1, 'int32'), indices) };
}

function dropNaN(op: typeof tf.exp): typeof tf.exp {
  return ((x: tf.Tensor) => {
    const y = op(x);
    return tf.where(tf.isNaN(y), tf.scalar(0), y);
  }) as typeof tf.exp;
}
