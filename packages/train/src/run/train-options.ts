/** What a training run can be told, and what it takes where it is not told. */
import { type Backend, type ByteSource, MarianaError } from '@mariana/core';
import type { Weights } from '@mariana/layers';
import type { TrainingData } from '../data/packed-data.ts';
import type { ExportDType } from '../export/export-model.ts';
import type { Fp8LinearOptions } from '../fp8/linear.ts';
import type { Precision } from '../fp8/products.ts';
import type { OptimizerOptions } from '../optim/optimizer.ts';
import { constantSchedule, type Schedule, warmupCosineSchedule } from '../optim/schedule.ts';

/** How experts are balanced. */
export interface BalanceOptions {
  /** Step gamma of the routing biases, by step. Default 1e-3. */
  readonly biasUpdateRate?: number | Schedule;
  /** Factor of the sequence-wise loss. Default 1e-4. */
  readonly sequenceAlpha?: number;
  /** Factor of the classic loss, for comparison. Default 0. */
  readonly switchAlpha?: number;
}

/** Where a run leaves its state. */
export interface CheckpointOptions {
  /** Folder; if it holds the state of this run, training goes on from there. */
  readonly folder: string;
  /**
   * Steps between two checkpoints; there is one after the last step in any case. With null there are none but by
   * `TrainingRun.checkpoint()`, for programs that keep files of their own in step with the state. Default 100.
   */
  readonly every?: number | null;
  /** Export the model into the folder each time, in this format. Default: not. */
  readonly export?: ExportDType;
}

export interface TrainOptions {
  /** What computes: any backend, an autodiff backend or one to be wrapped in one. */
  readonly backend: Backend;
  readonly data: TrainingData;
  /** Steps of the whole run, those of an earlier part of it included. */
  readonly steps: number;
  /** Sequences in a batch. Default 8. */
  readonly batchSize?: number;
  /** Batches whose gradients are averaged for one step. Default 1. */
  readonly accumulate?: number;
  /** Format of the operands of linear layers. Default `f32`. */
  readonly precision?: Precision;
  /** Scale formats of FP8 products. Default: F32 throughout. */
  readonly fp8?: Fp8LinearOptions;
  /** By step, from 1. Default: 1e-3 after a warm-up of a twentieth of the steps (200 at most), then a cosine to 1e-4. */
  readonly learningRate?: number | Schedule;
  readonly optimizer?: OptimizerOptions;
  /** Largest norm of all gradients together. Default 1. */
  readonly maxGradientNorm?: number;
  readonly balance?: BalanceOptions;
  /** Factor of the MTP loss, by step. Default 0.3. */
  readonly mtpWeight?: number | Schedule;
  /** Weights to begin with. Default: random ones. */
  readonly weights?: Weights;
  /** Seed of random weights. Default 0. */
  readonly seed?: number;
  readonly checkpoint?: CheckpointOptions;
  /** A state to go on from, where there are no folders. */
  readonly resume?: ByteSource;
  /** Stops the run between two steps: iteration then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly data: TrainingData;
  readonly steps: number;
  readonly batchSize: number;
  readonly accumulate: number;
  readonly learningRate: Schedule;
  readonly maxGradientNorm: number;
  readonly biasUpdateRate: Schedule;
  readonly sequenceAlpha: number;
  readonly switchAlpha: number;
  readonly mtpWeight: Schedule;
  readonly checkpoint: (CheckpointOptions & { readonly every: number | null }) | null;
  readonly signal: AbortSignal | null;
}

/** @throws MarianaError `INVALID_ARGUMENT` for counts and factors that make no sense. */
export function resolveOptions(options: TrainOptions): ResolvedOptions {
  const { steps, batchSize = 8, accumulate = 1, maxGradientNorm = 1, balance = {}, checkpoint } = options;
  const { sequenceAlpha = 1e-4, switchAlpha = 0, biasUpdateRate = 1e-3 } = balance;
  const every = checkpoint?.every === undefined ? 100 : checkpoint.every;
  for (const [name, count] of Object.entries({ steps, batchSize, accumulate, 'checkpoint.every': every ?? 1 })) {
    if (Number.isSafeInteger(count) && count >= 1) continue;
    throw new MarianaError('INVALID_ARGUMENT', `train: ${name} is ${count}; it must be a whole number from 1 up`);
  }
  for (const [name, factor] of Object.entries({ sequenceAlpha, switchAlpha })) {
    if (Number.isFinite(factor) && factor >= 0) continue;
    throw new MarianaError('INVALID_ARGUMENT', `train: balance.${name} is ${factor}; it must be a number from 0 up`);
  }
  const warmup = Math.min(200, Math.ceil(steps / 20));
  return {
    data: options.data,
    steps,
    batchSize,
    accumulate,
    learningRate: schedule(
      options.learningRate ??
        warmupCosineSchedule({ peak: 1e-3, min: 1e-4, warmupSteps: warmup, totalSteps: Math.max(steps, warmup + 1) }),
    ),
    maxGradientNorm,
    biasUpdateRate: schedule(biasUpdateRate),
    sequenceAlpha,
    switchAlpha,
    mtpWeight: schedule(options.mtpWeight ?? 0.3),
    checkpoint: checkpoint ? { ...checkpoint, every } : null,
    signal: options.signal ?? null,
  };
}

function schedule(value: number | Schedule): Schedule {
  return typeof value === 'number' ? constantSchedule(value) : value;
}
