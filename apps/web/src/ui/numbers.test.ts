import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytes, count, duration, memory, number, percent } from './numbers.ts';

test('three significant digits, and whole numbers whole', () => {
  expect([0, 1, 12, 1234, 0.0123, 1.234, 12.34, 1234.5, -0.5, 0.00001234].map(number)).toEqual([
    '0',
    '1',
    '12',
    '1,234',
    '0.0123',
    '1.23',
    '12.3',
    '1,235',
    '−0.500',
    '1.23e-5',
  ]);
  expect([Number.NaN, Number.POSITIVE_INFINITY].map(number)).toEqual(['not a number', '∞']);
});

test('bytes in units of a thousand for files, of 1024 for memory', () => {
  expect([0, 999, 70_272, 4_997_120, 12_119_000, 689e9].map(bytes)).toEqual([
    '0 bytes',
    '999 bytes',
    '70.3 kB',
    '5.00 MB',
    '12.1 MB',
    '689 GB',
  ]);
  expect([1024, 70_272, 2 ** 30].map(memory)).toEqual(['1.00 KiB', '68.6 KiB', '1.00 GiB']);
});

test('shares, counts and times', () => {
  expect([0, 0.0625, 0.314, 0.9999, 1, 0.000001].map(percent)).toEqual([
    '0 %',
    '6.25 %',
    '31.4 %',
    '100 %',
    '100 %',
    '< 0.001 %',
  ]);
  expect([671e9, 512, 2.788e6].map(count)).toEqual(['671 G', '512', '2.79 M']);
  expect([0.4234, 12.34, 200, 7500].map(duration)).toEqual(['0.423 s', '12.3 s', '3 min 20 s', '2 h 5 min']);
});

test('whatever is written is the number, to three digits', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-3, max: 999, noNaN: true }), (value) => {
      expect(Math.abs(Number(number(value)) - value)).toBeLessThanOrEqual(Math.abs(value) * 0.006);
    }),
  );
});
