/** From what somebody chose to the terms of `@mariana/train`. */
import { type BalanceOptions, warmupCosineSchedule } from '@mariana/train';
import type { TrainSettings } from './train-protocol.ts';

/** Warm-up over a twentieth of the steps, then a cosine to a tenth. */
export function scheduleOf({ steps, learningRate }: TrainSettings): (step: number) => number {
  const warmupSteps = Math.ceil(steps / 20);
  const totalSteps = Math.max(steps, warmupSteps + 1);
  return warmupCosineSchedule({ peak: learningRate, min: learningRate / 10, warmupSteps, totalSteps });
}

/** The biases move five times as fast as in the report: a run here is a thousand times shorter. */
export function balanceOf({ balance }: TrainSettings): BalanceOptions {
  if (balance === 'none') return { biasUpdateRate: 0, sequenceAlpha: 0, switchAlpha: 0 };
  if (balance === 'loss') return { biasUpdateRate: 0, sequenceAlpha: 0, switchAlpha: 0.01 };
  return { biasUpdateRate: 5e-3, sequenceAlpha: 1e-4, switchAlpha: 0 };
}
