/** Settings in the terms of `@mariana/train`. */
import type { Backend } from '@mariana/core';
import {
  type BalanceOptions,
  constantSchedule,
  type Fp8Observer,
  phasedSchedule,
  type Schedule,
  type TrainingData,
  type TrainOptions,
  warmupCosineSchedule,
  warmupStableDecaySchedule,
} from '@mariana/train';
import type { Settings } from './settings.ts';

/** Options of the run. Checkpoints are left to the command, which has metrics to write before. */
export function runOptions(
  settings: Settings,
  data: TrainingData,
  backend: Backend,
  observer: Fp8Observer,
): TrainOptions {
  const {
    steps,
    batch,
    accumulate,
    precision,
    mtpWeight,
    mtpFrom,
    weightDecay,
    maxNorm,
    moments,
    seed,
    out,
    optimizer,
  } = settings;
  return {
    backend,
    data,
    steps,
    batchSize: batch,
    accumulate,
    precision,
    ...(precision === 'fp8' && { fp8: { observer } }),
    learningRate: learningRate(settings),
    optimizer: { algorithm: optimizer, moments, weightDecay },
    maxGradientNorm: maxNorm,
    balance: balance(settings),
    mtpWeight: (step) => (step < mtpFrom ? 0 : mtpWeight),
    seed,
    checkpoint: { folder: out, every: null },
  };
}

function learningRate({ lr, minLr, warmup, schedule, decay = 0, decayType, steps }: Settings): Schedule {
  if (schedule === 'wsd') {
    return warmupStableDecaySchedule({
      peak: lr,
      min: minLr,
      warmupSteps: warmup,
      decaySteps: decay,
      ...(decayType && { decayType }),
      totalSteps: steps,
    });
  }
  if (schedule === 'cosine') {
    return warmupCosineSchedule({ peak: lr, min: minLr, warmupSteps: warmup, totalSteps: Math.max(steps, warmup + 1) });
  }
  return warmup === 0 ? constantSchedule(lr) : phasedSchedule([{ until: warmup, from: 0, to: lr }]);
}

function balance({ balance: how, biasRate = 1e-3, balanceAlpha }: Settings): BalanceOptions {
  if (how === 'none') return { biasUpdateRate: 0, sequenceAlpha: 0, switchAlpha: 0 };
  if (how === 'aux') return { biasUpdateRate: 0, sequenceAlpha: 0, switchAlpha: balanceAlpha ?? 0.01 };
  return { biasUpdateRate: biasRate, sequenceAlpha: balanceAlpha ?? 1e-4, switchAlpha: 0 };
}
