/** Copies, transposition and adding at places, on every build: to the bit. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KernelEngine } from './engine.ts';
import { copyRows, scatterAdd, transpose } from './movement.ts';
import { normal, put, random, SETUPS, startEngine, take } from './test-kit.ts';

describe.each(SETUPS)('movement kernels: $name', ({ options }) => {
  let engine: KernelEngine;
  beforeAll(async () => {
    engine = await startEngine(options);
  });
  afterAll(() => engine.dispose());

  it.each([
    [1, 1],
    [3, 5],
    [40, 16],
    [17, 700],
  ])('copies %i rows of %i words between strides, and touches nothing else', (rows, columns) => {
    const a = engine.arena;
    const [xRow, yRow] = [columns + 3, columns + 2];
    const x = normal(rows * xRow, 1);
    const y = put(a, new Float32Array(rows * yRow).fill(7));
    copyRows(engine.job(), { x: put(a, x), y, columns, rows, xRow, yRow });
    engine.job().run();
    const want = Float32Array.from({ length: rows * yRow }, (_, i) =>
      i % yRow < columns ? x[Math.floor(i / yRow) * xRow + (i % yRow)]! : 7,
    );
    expect(take(a, y, want.length)).toEqual(want);
  });

  it.each([
    [1, 1],
    [4, 4],
    [3, 50],
    [50, 3],
    [37, 41],
    [128, 64],
  ])('transposes %i by %i words between strides', (rows, columns) => {
    const a = engine.arena;
    const [xRow, yRow] = [columns + 5, rows + 1];
    const next = random(2);
    // All bit patterns: a NaN must keep its own.
    const x = Int32Array.from({ length: rows * xRow }, () => next() * 2 ** 32);
    const y = put(a, new Int32Array(columns * yRow).fill(7));
    transpose(engine.job(), { x: put(a, x), y, rows, columns, xRow, yRow });
    engine.job().run();
    const want = Int32Array.from({ length: columns * yRow }, (_, i) =>
      i % yRow < rows ? x[(i % yRow) * xRow + Math.floor(i / yRow)]! : 7,
    );
    expect(a.i32.slice(y / 4, y / 4 + want.length)).toEqual(want);
  });

  it.each([1, 5, 64, 200])('adds rows of %i at places in their order, on zeros', (width) => {
    const a = engine.arena;
    const [count, rows] = [60, 7];
    const x = normal(count * width, 3, 1000);
    const next = random(4);
    const places = Int32Array.from({ length: count }, () => Math.floor(next() * (rows - 1)));
    const y = put(a, new Float32Array(rows * width).fill(7));
    scatterAdd(engine.job(), { x: put(a, x), places: put(a, places), count, y, rows, width });
    engine.job().run();
    const want = new Float32Array(rows * width);
    places.forEach((row, i) => {
      for (let j = 0; j < width; j++) want[row * width + j]! += x[i * width + j]!;
    });
    expect(take(a, y, want.length)).toEqual(want);
  });
});
