/** What is drawn step by step is what would be drawn at once. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Raster, type RasterShape } from './raster.ts';

interface Entry {
  readonly amounts: readonly number[];
}

const write = ({ amounts }: Entry, into: Float32Array) => {
  for (const [cell, amount] of amounts.slice(0, into.length).entries()) into[cell] = amount;
};

test('an entry is a row or a column, and cells without an amount stay empty', () => {
  const rows = new Raster<Entry>({ along: 'rows', room: 3, cells: 2, most: 9 });
  expect(rows.update([{ amounts: [0.25, 0.5] }, undefined, { amounts: [1] }], write)).toEqual({ first: 0, last: 2 });
  expect([rows.wide, rows.tall]).toEqual([2, 3]);
  expect([...rows.values]).toEqual([0.25, 0.5, Number.NaN, Number.NaN, 1, Number.NaN]);
  const columns = new Raster<Entry>({ along: 'columns', room: 3, cells: 2, most: 9 });
  columns.update([{ amounts: [0.25, 0.5] }], write);
  expect([columns.wide, columns.tall]).toEqual([3, 2]);
  expect([...columns.values]).toEqual([0.25, Number.NaN, Number.NaN, 0.5, Number.NaN, Number.NaN]);
});

test('a pixel of several cells shows the largest of them', () => {
  const raster = new Raster<Entry>({ along: 'rows', room: 4, cells: 4, most: 2 });
  const entries = [{ amounts: [0.1, 0.2, 0.3] }, { amounts: [0.5] }, { amounts: [0, 0, 0, 0.75] }];
  raster.update(entries, write);
  expect([raster.wide, raster.tall]).toEqual([2, 2]);
  expect([...raster.values]).toEqual([...Float32Array.of(0.5, 0.3, 0, 0.75)]);
});

test('step by step is the same as at once, and only lines that are named change', () => {
  const entry = fc.record({ amounts: fc.array(fc.constantFrom(0, 0.25, 0.5, 1), { maxLength: 9 }) });
  const entries = fc.array(fc.option(entry, { nil: undefined }), { maxLength: 12 });
  const shape: fc.Arbitrary<RasterShape> = fc.record({
    along: fc.constantFrom('rows' as const, 'columns' as const),
    room: fc.constant(12),
    cells: fc.integer({ min: 1, max: 9 }),
    most: fc.integer({ min: 1, max: 14 }),
  });
  fc.assert(
    fc.property(shape, entries, entries, fc.nat(12), (shape, before, after, kept) => {
      const steps = new Raster<Entry>(shape);
      steps.update(before, write);
      const old = steps.values.slice();
      const next = [...before.slice(0, kept), ...after].slice(0, shape.room);
      const changed = steps.update(next, write);
      const once = new Raster<Entry>(shape);
      once.update(next, write);
      expect([...steps.values]).toEqual([...once.values]);
      for (const [at, value] of steps.values.entries()) {
        const line = shape.along === 'rows' ? Math.floor(at / steps.wide) : at % steps.wide;
        const isNamed = changed !== null && line >= changed.first && line <= changed.last;
        if (!isNamed) expect(value).toEqual(old[at]);
      }
    }),
  );
});
