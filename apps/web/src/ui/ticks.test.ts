import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ticksBetween } from './ticks.ts';

test('ticks are round', () => {
  expect(ticksBetween(0, 100, 6)).toEqual([0, 20, 40, 60, 80, 100]);
  expect(ticksBetween(0, 1, 4)).toEqual([0, 0.5, 1]);
  expect(ticksBetween(0, 0.3, 4)).toEqual([0, 0.1, 0.2, 0.3]);
  expect(ticksBetween(4, 7, 4)).toEqual([4, 5, 6, 7]);
  expect(ticksBetween(3, 3, 4)).toEqual([3]);
});

test('they lie within the interval, at equal distances, and are no more than there is room for', () => {
  const value = fc.double({ min: -1e6, max: 1e6, noNaN: true });
  const size = fc.double({ min: 1e-3, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(value, size, fc.integer({ min: 2, max: 20 }), (from, length, most) => {
      const to = from + length;
      const ticks = ticksBetween(from, to, most);
      const slack = 1e-6 * Math.max(1, Math.abs(from), length);
      expect(ticks.length).toBeLessThanOrEqual(most);
      for (const tick of ticks) {
        expect(tick).toBeGreaterThanOrEqual(from - slack);
        expect(tick).toBeLessThanOrEqual(to + slack);
      }
      const distances = ticks.slice(1).map((tick, index) => tick - ticks[index]!);
      for (const distance of distances) expect(Math.abs(distance - distances[0]!)).toBeLessThan(slack);
    }),
  );
});
