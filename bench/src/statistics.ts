/**
 * What is made of repeated measurements: medians, and ratios of things that were measured in turn. A machine drifts
 * within minutes, so a ratio is taken round by round and the median of those is what counts; a round in which other
 * processes used the cores says nothing and is left out.
 */

/** One measured number. */
export interface Sample {
  /** Who was measured, for example `mariana int8`. */
  readonly subject: string;
  /** Threads that it was given. */
  readonly threads: number;
  /** What was measured, for example `decode`. */
  readonly metric: string;
  readonly value: number;
  /** Samples of the same round were taken directly after one another. */
  readonly round: number;
  /** Cores that other processes kept busy meanwhile, on average; null where the system does not tell. */
  readonly otherCores: number | null;
}

/** The samples of one subject, thread count and metric. */
export interface Series {
  readonly subject: string;
  readonly threads: number;
  readonly metric: string;
}

/** A ratio, and whether it means anything. */
export interface Ratio {
  /** Median of the rounds' ratios; of all rounds if too few were quiet. */
  readonly value: number;
  readonly least: number;
  readonly most: number;
  /** Rounds in which both were measured, and those of them without disturbance. */
  readonly rounds: number;
  readonly quietRounds: number;
  /** Whether at least half of the rounds were quiet. */
  readonly valid: boolean;
}

/** Cores used by others from which on a measurement counts as disturbed. */
export const QUIET_CORES = 0.1;

/** The middle one, or the mean of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}

export function isQuiet({ otherCores }: Sample): boolean {
  return otherCores === null || otherCores <= QUIET_CORES;
}

/** The samples of a series. */
export function select(samples: readonly Sample[], { subject, threads, metric }: Series): Sample[] {
  return samples.filter((s) => s.subject === subject && s.threads === threads && s.metric === metric);
}

/** Median of a series: of its quiet samples, or of all if none is. Undefined if it was not measured. */
export function medianOf(samples: readonly Sample[], series: Series): { value: number; quiet: boolean } | undefined {
  const all = select(samples, series);
  if (all.length === 0) return undefined;
  const quiet = all.filter(isQuiet);
  return { value: median((quiet.length > 0 ? quiet : all).map(({ value }) => value)), quiet: quiet.length > 0 };
}

/** `above` by `below`, round by round. Undefined if no round has both. */
export function ratio(samples: readonly Sample[], above: Series, below: Series): Ratio | undefined {
  const denominators = new Map(select(samples, below).map((sample) => [sample.round, sample]));
  const pairs = select(samples, above).flatMap((sample) => {
    const other = denominators.get(sample.round);
    return other === undefined ? [] : [{ value: sample.value / other.value, quiet: isQuiet(sample) && isQuiet(other) }];
  });
  if (pairs.length === 0) return undefined;
  const quiet = pairs.filter((pair) => pair.quiet);
  const valid = quiet.length * 2 >= pairs.length;
  const values = (valid ? quiet : pairs).map(({ value }) => value);
  return {
    value: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    rounds: pairs.length,
    quietRounds: quiet.length,
    valid,
  };
}
