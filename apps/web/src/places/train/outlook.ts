/** Speed and expected end of a run, from its last steps. */
import type { StepMetrics } from '../../worker/train-protocol.ts';

/** Steps that speed is judged by. */
const RECENT = 20;

export interface Outlook {
  /** Median over the last steps: a step in which something else took the processor does not count. */
  readonly tokensPerSecond: number;
  /** Seconds to the last step, samples and saves included as they came so far. */
  readonly secondsLeft: number;
}

/** Null before the first step. */
export function outlookOf(metrics: readonly StepMetrics[], steps: number): Outlook | null {
  const last = metrics.at(-1);
  if (last === undefined) return null;
  const recent = metrics.slice(-RECENT).map(({ tokensPerSecond }) => tokensPerSecond);
  recent.sort((a, b) => a - b);
  const before = metrics.at(-1 - 2 * RECENT);
  const perStep =
    before === undefined ? last.seconds / last.step : (last.seconds - before.seconds) / (last.step - before.step);
  return {
    tokensPerSecond: recent[Math.floor(recent.length / 2)]!,
    secondsLeft: Math.max(0, (steps - last.step) * perStep),
  };
}
