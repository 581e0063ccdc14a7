/** A goal, and what was measured held against it. */
import type { Ratio } from './statistics.ts';

export type Verdict = 'met' | 'missed' | 'disturbed';

export interface Goal {
  readonly name: string;
  readonly goal: number;
  /** Whether more is better. */
  readonly atLeast: boolean;
  readonly value: number;
  /** Least and most of the rounds that count. */
  readonly range: readonly [number, number] | undefined;
  readonly rounds: number;
  readonly quietRounds: number;
  readonly verdict: Verdict;
}

/** A goal held against a ratio; undefined without one. */
export function judged(name: string, goal: number, of: Ratio | undefined, atLeast = true): Goal | undefined {
  if (of === undefined) return undefined;
  const { value, least, most, rounds, quietRounds, valid } = of;
  const met = atLeast ? value >= goal : value <= goal;
  const verdict = !valid ? 'disturbed' : met ? 'met' : 'missed';
  return { name, goal, atLeast, value, range: [least, most], rounds, quietRounds, verdict };
}
