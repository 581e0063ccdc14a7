import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { median, medianOf, QUIET_CORES, ratio, type Sample } from './statistics.ts';

const of = (subject: string, values: readonly number[], otherCores: readonly (number | null)[] = []): Sample[] =>
  values.map((value, round) => ({
    subject,
    threads: 1,
    metric: 'decode',
    value,
    round,
    otherCores: otherCores[round] ?? 0,
  }));
const series = (subject: string) => ({ subject, threads: 1, metric: 'decode' });

describe('median', () => {
  test('is the middle one, or between the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  test('has as many values below as above, and leaves its input alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const before = [...values];
        const middle = median(values);
        expect(values).toEqual(before);
        expect(values.filter((v) => v < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((v) => v > middle).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe('ratio', () => {
  test('is taken within rounds, so that a machine that drifts does not change it', () => {
    const samples = [...of('a', [100, 50, 10]), ...of('b', [50, 25, 5])];
    expect(ratio(samples, series('a'), series('b'))).toEqual({
      value: 2,
      least: 2,
      most: 2,
      rounds: 3,
      quietRounds: 3,
      valid: true,
    });
  });

  test('leaves out rounds in which others used the cores, whichever side they disturbed', () => {
    const samples = [...of('a', [20, 90, 30, 40], [0, 1, 0, 0]), ...of('b', [10, 10, 1, 20], [0, 0, 0.5, 0])];
    expect(ratio(samples, series('a'), series('b'))).toMatchObject({
      value: 2,
      rounds: 4,
      quietRounds: 2,
      valid: true,
    });
  });

  test('is not valid when most rounds were disturbed', () => {
    const samples = [...of('a', [20, 30, 60], [1, 1, 0]), ...of('b', [10, 10, 10])];
    expect(ratio(samples, series('a'), series('b'))).toMatchObject({ value: 3, quietRounds: 1, valid: false });
  });

  test('takes a system that does not tell at its word', () => {
    const samples = [...of('a', [20], [null]), ...of('b', [10], [null])];
    expect(ratio(samples, series('a'), series('b'))).toMatchObject({ value: 2, valid: true });
  });

  test('is undefined where one side was not measured, or never in the same round', () => {
    const late = of('b', [1]).map((sample) => ({ ...sample, round: 7 }));
    expect(ratio(of('a', [1]), series('a'), series('b'))).toBeUndefined();
    expect(ratio([...of('a', [1]), ...late], series('a'), series('b'))).toBeUndefined();
  });
});

describe('medianOf', () => {
  test('is of the quiet samples, and says if there are none', () => {
    expect(medianOf(of('a', [1, 2, 9], [0, QUIET_CORES, 2]), series('a'))).toEqual({ value: 1.5, quiet: true });
    expect(medianOf(of('a', [1, 9], [1, 1]), series('a'))).toEqual({ value: 5, quiet: false });
    expect(medianOf([], series('a'))).toBeUndefined();
  });
});
