/**
 * More axes than the conformance suite tries, and than some engines have (tfjs stops at six): the adapter sees contiguous
 * axes as one. Compared with the reference backend, element by element.
 */
import { ReferenceBackend } from '@mariana/backend-reference';
import { type Backend, type Shape, sizeOf, type Tensor } from '@mariana/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type TfjsBackend, tfjs } from '../src/index.ts';

const reference = new ReferenceBackend();
const shapes = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 7, maxLength: 9 });
const shapeAndAxis = shapes.chain((shape) => fc.tuple(fc.constant(shape), fc.nat(shape.length - 1)));

function counting(backend: Backend, shape: Shape, from = 0): Tensor {
  return backend.upload(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => from + i),
    shape,
  );
}

describe.each(['cpu', 'wasm'] as const)('on tfjs-%s', (engine) => {
  let backend: TfjsBackend<tf.Tensor>;
  beforeAll(async () => {
    backend = await tfjs({ tf, engine });
  });

  async function agrees(compute: (backend: Backend) => Tensor): Promise<void> {
    const results = [backend, reference].map((one) => ({ one, y: one.scope(() => compute(one)) }));
    const [actual, expected] = await Promise.all(
      results.map(async ({ y }) => ({ shape: y.shape, values: await y.read() })),
    );
    for (const { y } of results) y.dispose();
    expect(actual).toEqual(expected);
    expect(backend.memory().tensors).toBe(0);
  }

  test('transpose', async () => {
    const cases = shapes.chain((shape) =>
      fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([shape, order]) => agrees((on) => on.transpose(counting(on, shape), order))),
      { numRuns: 40 },
    );
  });

  test('binary and where, operands stretched in runs of axes', async () => {
    const cases = shapes.chain((shape) =>
      fc.tuple(fc.constant(shape), fc.nat(shape.length), fc.nat(shape.length), fc.boolean()),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([shape, i, j, drop]) => {
        const [from, to] = [Math.min(i, j), Math.max(i, j)];
        const stretched = shape.map((size, axis) => (axis >= from && axis < to ? 1 : size)).slice(drop ? from : 0);
        await agrees((on) => {
          const [a, b] = [counting(on, shape), counting(on, stretched, 7)];
          return on.where(on.binary('less', a, b), on.binary('sub', a, b), b);
        });
      }),
      { numRuns: 40 },
    );
  });

  test('reduce, slice, concat and gather along any axis', async () => {
    await fc.assert(
      fc.asyncProperty(shapeAndAxis, async ([shape, axis]) => {
        await agrees((on) => on.reduce('sum', counting(on, shape), axis));
        await agrees((on) => on.reduce('max', counting(on, shape), axis, { keepDims: true }));
        await agrees((on) => on.slice(counting(on, shape), axis, shape[axis]! - 1, shape[axis]!));
        await agrees((on) => on.concat([counting(on, shape), counting(on, shape, 9)], axis));
        await agrees((on) => on.gather(counting(on, shape), on.upload(Int32Array.of(0, shape[0]! - 1), [2, 1])));
      }),
      { numRuns: 20 },
    );
  });

  test('matmul, batches stretched on either side', async () => {
    const batch = fc.array(fc.constantFrom(1, 2), { minLength: 4, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(batch, fc.integer(), fc.boolean(), async (sizes, mask, transposeA) => {
        const left = sizes.map((size, i) => ((mask >> i) & 1 ? 1 : size));
        const right = sizes.map((size, i) => ((mask >> (i + 8)) & 1 ? 1 : size));
        await agrees((on) => {
          const a = counting(on, [...left, ...(transposeA ? [3, 2] : [2, 3])]);
          return on.matmul(a, counting(on, [...right, 3, 4]), { transposeA });
        });
      }),
      { numRuns: 40 },
    );
  });
});
