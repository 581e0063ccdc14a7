import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { count, digits, exact, flop, hours } from '../../src/places/model-card/figures.ts';

describe('figures', () => {
  it('have three significant digits and a unit', () => {
    expect([count(671_026_419_200), count(999_999), count(1500), count(12), count(0.5)]).toEqual([
      '671 B',
      '1.00 M',
      '1.50 K',
      '12',
      '0.500',
    ]);
    expect([flop(260_649_271_296), flop(3.858e24)]).toEqual(['261 GFLOP', '3.86 YFLOP']);
    expect([hours(2_664_000), hours(12.345), hours(0.00123)]).toEqual(['2.66 M', '12.3', '0.00123']);
    expect([exact(4_997_120), digits(1234)]).toEqual(['4,997,120', '1,230']);
  });

  it('are never further off than half a unit of the third digit', () => {
    const sizes = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 };
    fc.assert(
      fc.property(fc.double({ min: 1e3, max: 9e14, noNaN: true }), (value) => {
        const [number, prefix] = count(value).split(' ') as [string, keyof typeof sizes];
        const read = Number(number.replaceAll(',', '')) * sizes[prefix];
        expect(Math.abs(read - value) / value).toBeLessThanOrEqual(0.00501);
      }),
    );
  });
});
