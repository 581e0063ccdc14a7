/** Rotation by hand, by its properties, and for checkpoints whose dimensions lie in halves. */
import { reference } from '@mariana/backend-reference';
import { preset, ropeParameters } from '@mariana/core';
import { describe, expect, test } from 'vitest';
import { RotaryEmbedding } from './rotary-embedding.ts';

const backend = reference();
const plain = { ...ropeParameters(preset('tiny')), theta: 10000, dim: 4, scaling: null, attentionFactor: 1 };

describe('RotaryEmbedding', () => {
  test('position 0 leaves everything as it is, position 1 turns the first pair by one radian', async () => {
    const rotary = new RotaryEmbedding(plain);
    using tables = rotary.tables(backend, 0, 2);
    using x = backend.upload(Float32Array.of(1, 0, 1, 0, 1, 0, 1, 0), [2, 1, 4]);
    using y = rotary.apply(backend, x, tables);
    const [first, second] = [Math.fround(Math.cos(1)), Math.fround(Math.sin(1))];
    const [third, fourth] = [Math.fround(Math.cos(Math.fround(0.01))), Math.fround(Math.sin(Math.fround(0.01)))];
    expect([...(await y.floats())]).toEqual([1, 0, 1, 0, first, second, third, fourth]);
  });

  test('a score depends on the distance of two positions only', async () => {
    const rotary = new RotaryEmbedding(plain);
    const turned = async (values: readonly number[], position: number) => {
      using x = backend.upload(Float32Array.from(values), [1, 1, 4]);
      using tables = rotary.tables(backend, position, 1);
      using y = rotary.apply(backend, x, tables);
      return y.floats();
    };
    const score = async (position: number) => {
      const q = await turned([0.3, -1, 2, 0.5], position + 3);
      const k = await turned([1, 0.2, -0.7, 1.5], position);
      return q.reduce((sum, value, i) => sum + value * k[i]!, 0);
    };
    expect(await score(40)).toBeCloseTo(await score(0), 5);
  });

  test('in halves, dimensions i and i + dim/2 are a pair', async () => {
    const [pairs, halves] = [new RotaryEmbedding(plain), new RotaryEmbedding({ ...plain, interleave: false })];
    using tables = pairs.tables(backend, 5, 1);
    using inPairs = backend.upload(Float32Array.of(1, 2, 3, 4), [1, 1, 4]);
    using inHalves = backend.upload(Float32Array.of(1, 3, 2, 4), [1, 1, 4]);
    using a = pairs.apply(backend, inPairs, tables);
    using b = halves.apply(backend, inHalves, tables);
    expect(await b.floats()).toEqual(await a.floats());
  });

  test('tables of a batch repeat, and do not depend on what was asked for before', async () => {
    const fresh = new RotaryEmbedding(plain);
    const grown = new RotaryEmbedding(plain);
    grown.tables(backend, 0, 500)[Symbol.dispose]();
    using a = fresh.tables(backend, 30, 2, 3);
    using b = grown.tables(backend, 30, 2);
    const [rows, once] = [[...(await a.cos.floats())], [...(await b.cos.floats())]];
    expect(rows).toEqual([...once, ...once, ...once]);
  });
});
