/**
 * Schedules: numbers that change over a training run (learning rate, weight of the MTP loss, rate of the bias update) as
 * pure functions of progress, counted in steps from 1 or in tokens.
 *
 * Step n uses the value at n, so that the first update is not lost (Megatron and the Hugging Face schedulers use n - 1,
 * whose first learning rate is 0).
 */
import { MarianaError } from '@mariana/core';

/** A value for each step (from 1) or each amount of tokens consumed. */
export type Schedule = (progress: number) => number;

/** One phase of a schedule. */
export interface SchedulePhase {
  /** Progress at which the phase ends, included; the phase before it ends where it begins. */
  readonly until: number;
  /** Value at the end of the phase. */
  readonly to: number;
  /** Value at its start. Default: the end of the phase before, or `to` in the first phase. */
  readonly from?: number;
  /** How it gets from `from` to `to`. Default `linear`. */
  readonly shape?: PhaseShape;
}

/** What is left of the way to go after a share x of the phase: 1 - x, (1 + cos(pi x)) / 2, or 1 - sqrt(x). */
type PhaseShape = 'linear' | 'cosine' | '1-sqrt';

const LEFT: Readonly<Record<PhaseShape, (share: number) => number>> = {
  linear: (share) => 1 - share,
  cosine: (share) => (1 + Math.cos(Math.PI * share)) / 2,
  '1-sqrt': (share) => 1 - Math.sqrt(share),
};

/** The same value throughout. */
export function constantSchedule(value: number): Schedule {
  return () => value;
}

/**
 * Phases one after the other; after the last one its end value stays.
 *
 * @throws MarianaError `INVALID_ARGUMENT` without phases, or if their ends do not ascend from above 0.
 */
export function phasedSchedule(phases: readonly SchedulePhase[]): Schedule {
  const known: { start: number; until: number; from: number; to: number; shape: PhaseShape }[] = [];
  for (const { until, to, from, shape = 'linear' } of phases) {
    const before = known.at(-1);
    const start = before?.until ?? 0;
    if (!(until > start)) {
      throw new MarianaError('INVALID_ARGUMENT', `a schedule's phase ends at ${until}, but begins at ${start}`);
    }
    known.push({ start, until, from: from ?? before?.to ?? to, to, shape });
  }
  const last = known.at(-1);
  if (!last) throw new MarianaError('INVALID_ARGUMENT', 'a schedule needs at least one phase');
  return (progress) => {
    const phase = known.find(({ until }) => progress <= until);
    if (!phase) return last.to;
    const share = Math.max(0, (progress - phase.start) / (phase.until - phase.start));
    return phase.to + (phase.from - phase.to) * LEFT[phase.shape](share);
  };
}

export interface WarmupCosineOptions {
  /** Value at the end of the warm-up. */
  readonly peak: number;
  /** Value from `totalSteps` on. Default 0. */
  readonly min?: number;
  /** Steps of the linear rise from 0. Default 0. */
  readonly warmupSteps?: number;
  /** Steps that `peak` is held between warm-up and decay. Default 0. */
  readonly constantSteps?: number;
  /** Step at which `min` is reached. */
  readonly totalSteps: number;
}

/** Linear warm-up, then (after a constant stretch) half a cosine down to `min`. */
export function warmupCosineSchedule(options: WarmupCosineOptions): Schedule {
  const { peak, min = 0, warmupSteps = 0, constantSteps = 0, totalSteps } = options;
  const phases: SchedulePhase[] = [];
  if (warmupSteps > 0) phases.push({ until: warmupSteps, from: 0, to: peak });
  if (constantSteps > 0) phases.push({ until: warmupSteps + constantSteps, from: peak, to: peak });
  return phasedSchedule([...phases, { until: totalSteps, from: peak, to: min, shape: 'cosine' }]);
}

export interface WarmupStableDecayOptions extends Omit<WarmupCosineOptions, 'constantSteps'> {
  /** Steps of the decay, the last ones; with 0 there is none, for a run that is to go on. */
  readonly decaySteps: number;
  /** How the decay falls. Default `1-sqrt`, the better one in arXiv 2405.18392. */
  readonly decayType?: 'linear' | '1-sqrt';
}

/**
 * Linear warm-up, then `peak`, then a decay to `min` over the last steps (WSD). Until the decay begins, nothing depends on
 * `totalSteps`: a run can be extended from any state before it.
 *
 * Sources: MiniCPM (arXiv 2404.06395), section 4; "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
 * Durations" (arXiv 2405.18392), for the shape of the decay.
 *
 * @throws MarianaError `INVALID_ARGUMENT` if the warm-up and the decay are longer than all steps together.
 */
export function warmupStableDecaySchedule(options: WarmupStableDecayOptions): Schedule {
  const { peak, min = 0, warmupSteps = 0, decaySteps, decayType = '1-sqrt', totalSteps } = options;
  const stable = totalSteps - decaySteps;
  if (!(stable >= warmupSteps)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `a warm-up of ${warmupSteps} steps and a decay of ${decaySteps} do not fit into ${totalSteps} steps`,
    );
  }
  const phases: SchedulePhase[] = [];
  if (warmupSteps > 0) phases.push({ until: warmupSteps, from: 0, to: peak });
  if (stable > warmupSteps) phases.push({ until: stable, from: peak, to: peak });
  if (decaySteps > 0) phases.push({ until: totalSteps, from: peak, to: min, shape: decayType });
  return phasedSchedule(phases);
}

/**
 * What DeepSeek-V3 itself was trained with (report, section 4.2). Tokens are consumed tokens, out of 14.8e12.
 *
 * - `warmup`: learning rate by optimizer step, 0 to 2.2e-4 over 2000 steps.
 * - `learningRate`: by tokens, after the warm-up: constant to 10e12, cosine to 2.2e-5 over 4.3e12, constant for 0.333e12,
 *   then 7.3e-6.
 * - `mtpWeight`: by tokens, 0.3 to 10e12, then 0.1.
 * - `biasUpdateRate`: by tokens, 0.001 to 14.3e12, then 0.
 */
export const deepSeekV3Schedules: Readonly<
  Record<'warmup' | 'learningRate' | 'mtpWeight' | 'biasUpdateRate', Schedule>
> = {
  warmup: (step) => 2.2e-4 * Math.min(1, step / 2000),
  learningRate: (tokens) => {
    if (tokens > 14.633e12) return 7.3e-6;
    const share = Math.min(Math.max((tokens - 10e12) / 4.3e12, 0), 1);
    return 2.2e-5 + ((2.2e-4 - 2.2e-5) * (1 + Math.cos(Math.PI * share))) / 2;
  },
  mtpWeight: (tokens) => (tokens <= 10e12 ? 0.3 : 0.1),
  biasUpdateRate: (tokens) => (tokens <= 14.3e12 ? 1e-3 : 0),
};
