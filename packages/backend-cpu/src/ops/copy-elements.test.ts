import type { TensorData } from '@mariana/core';
import { describe, expect, test } from 'vitest';
import { copyElements } from './copy-elements.ts';

interface ArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, offset?: number, length?: number): TensorData;
}

const ARRAYS: readonly ArrayType[] = [Float32Array, Int32Array, Uint16Array, Int8Array, Uint8Array];

describe.each(ARRAYS)('%o', (type) => {
  const width = type.BYTES_PER_ELEMENT;

  test.each([0, 1, 15, 16, 1000])('%i elements, whatever the places of both sides', (length) => {
    for (const [from, to] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [8, 0],
      [3, 7],
    ] as const) {
      const source = new type(new ArrayBuffer(8192), from * width, length);
      for (let i = 0; i < length; i++) source[i] = (i * 7) % 100;
      const whole = new type(new SharedArrayBuffer(8192)).fill(99);
      copyElements(source, whole.subarray(to, to + length));
      const want = new type(new ArrayBuffer(8192)).fill(99);
      for (let i = 0; i < length; i++) want[to + i] = (i * 7) % 100;
      expect([...whole]).toEqual([...want]);
    }
  });
});
