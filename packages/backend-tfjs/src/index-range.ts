/**
 * Range checks of indices without reading them back from a device. The engines of tfjs disagree about an index beyond
 * the data: an error, zeros, or whatever lies there. So the range of uploaded integers is noted while they are still on
 * the host, where it costs nothing.
 */
import { MarianaError } from '@mariana/core';

/** The smallest and the largest of some integers; infinite and the wrong way round for none. */
export interface IndexRange {
  readonly low: number;
  readonly high: number;
}

export function rangeOf(values: ArrayLike<number>): IndexRange {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  return { low, high };
}

/** @throws MarianaError `INVALID_ARGUMENT` unless all indices of the range name one of `rows` rows. */
export function checkIndices(operation: string, { low, high }: IndexRange, rows: number): void {
  if (low >= 0 && high < rows) return;
  if (low > high) return;
  const bad = low < 0 ? low : high;
  throw new MarianaError('INVALID_ARGUMENT', `${operation}: index ${bad} is not among ${rows} rows`);
}
