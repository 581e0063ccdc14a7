import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, count, digits, exact, flop, hours, percent, times } from '../../src/places/model-card/figures.ts';

describe('figures', () => {
  it('have three significant digits and a unit', () => {
    expect([count(671_026_419_200), count(999_999), count(1500), count(12), count(0.5)]).toEqual([
      '671 B',
      '1.00 M',
      '1.50 K',
      '12',
      '0.500',
    ]);
    expect([bytes(70_272), bytes(4_997_120), bytes(684e9), bytes(999), bytes(1e15)]).toEqual([
      '70.3 KB',
      '5.00 MB',
      '684 GB',
      '999 B',
      '1.00 PB',
    ]);
    expect([flop(260_649_271_296), flop(3.858e24)]).toEqual(['261 GFLOP', '3.86 YFLOP']);
    expect([hours(2_664_000), hours(12.345), hours(0.00123)]).toEqual(['2.66 M', '12.3', '0.00123']);
    expect([exact(4_997_120), times(4_997_120, 70_272), digits(1234)]).toEqual(['4,997,120', '71.1 times', '1,230']);
  });

  it('call nothing the whole that is not', () => {
    expect([percent(1), percent(0), percent(0.99996), percent(0.0546)]).toEqual(['100 %', '0 %', '> 99.9 %', '5.46 %']);
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
