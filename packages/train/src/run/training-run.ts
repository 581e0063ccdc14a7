/**
 * A training run: iterate over it and it trains, one step for each value. Leaving the loop leaves the run as it is, and
 * another loop goes on; so does another process, from the checkpoint.
 */

import { type ByteSink, type ByteSource, configText } from '@mariana/core';
import { openFolder, writeFile, writeWeights } from '#platform';
import { type ExportDType, exportConfig, exportTensors } from '../export/export-model.ts';
import type { TrainableModel } from '../model/trainable-model.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import { type StepReport, trainingStep } from '../step/training-step.ts';
import type { ResolvedOptions } from './train-options.ts';
import { readTrainingState, type TrainingStateInfo, writeTrainingState } from './training-state.ts';

/** Name of the state in a checkpoint's folder. */
export const STATE_FILE = 'training.safetensors';

/** What one step did. */
export interface TrainingProgress extends Omit<StepReport, 'tokens' | 'maxViolation'> {
  /** Steps done, this one included. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Tokens learned from in this step. */
  readonly tokens: number;
  /** Tokens learned from since the run began. */
  readonly totalTokens: number;
  /** Speed of this step alone, without data loading and checkpoints. */
  readonly tokensPerSecond: number;
  readonly learningRate: number;
  /** MaxViolation of the worst balanced layer; 0 in a model without experts. */
  readonly maxViolation: number;
  /** MaxViolation of each MoE layer. */
  readonly violations: ReadonlyMap<number, number>;
}

export interface SaveOptions {
  /** Default `bf16`. */
  readonly dtype?: ExportDType;
  /** Other files of the checkpoint, such as `tokenizer.json`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

export class TrainingRun implements AsyncIterable<TrainingProgress>, Disposable {
  readonly model: TrainableModel;
  readonly optimizer: Optimizer;
  readonly #options: ResolvedOptions;
  readonly #settings: TrainingStateInfo['settings'];
  #tokens = 0;

  /** Use `train`. The run takes model and optimizer over. */
  constructor(model: TrainableModel, optimizer: Optimizer, options: ResolvedOptions) {
    this.model = model;
    this.optimizer = optimizer;
    this.#options = options;
    this.#settings = {
      config: JSON.stringify(exportConfig(model.config, 'f32')),
      data: options.data.fingerprint,
      batchSize: options.batchSize,
      accumulate: options.accumulate,
      moments: optimizer.options.moments ?? 'f32',
      optimizer: optimizer.options.algorithm ?? 'adamw',
    };
  }

  /** Steps done. */
  get step(): number {
    return this.optimizer.step;
  }

  /** Steps of the whole run. */
  get steps(): number {
    return this.#options.steps;
  }

  /** Trains until the last step. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainingProgress, void, undefined> {
    while (this.step < this.steps) yield await this.advance();
  }

  /**
   * Trains one step, and writes a checkpoint if it is time for one.
   *
   * @throws MarianaError what `trainingStep` throws, `FILE_WRITE_FAILED`; the reason of an aborted signal.
   */
  async advance(): Promise<TrainingProgress> {
    const { data, batchSize, accumulate, checkpoint, signal } = this.#options;
    await eventLoop();
    signal?.throwIfAborted();
    const first = this.step * accumulate;
    const batches = await Promise.all(Array.from({ length: accumulate }, (_, i) => data.batch(first + i, batchSize)));
    const step = this.step + 1;
    const learningRate = this.#options.learningRate(step);
    const started = performance.now();
    const { maxViolation: violations, ...report } = await trainingStep(this.model, batches, {
      optimizer: this.optimizer,
      learningRate,
      maxGradientNorm: this.#options.maxGradientNorm,
      biasUpdateRate: this.#options.biasUpdateRate(step),
      sequenceAlpha: this.#options.sequenceAlpha,
      switchAlpha: this.#options.switchAlpha,
      mtpWeight: this.#options.mtpWeight(step),
    });
    const seconds = (performance.now() - started) / 1000;
    this.#tokens += report.tokens;
    const every = checkpoint?.every ?? null;
    if (every !== null && (step % every === 0 || step === this.steps)) await this.checkpoint();
    return {
      ...report,
      step,
      steps: this.steps,
      totalTokens: this.#tokens,
      tokensPerSecond: report.tokens / seconds,
      learningRate,
      maxViolation: Math.max(0, ...violations.values()),
      violations,
    };
  }

  /**
   * Writes the state, and the exported model if that was asked for, into the folder of the options; without one, nothing.
   *
   * @throws MarianaError `FILE_WRITE_FAILED`; the state that was there is then still there.
   */
  async checkpoint(): Promise<void> {
    const { checkpoint } = this.#options;
    if (!checkpoint) return;
    await writeFile(checkpoint.folder, STATE_FILE, (sink) => this.writeState(sink));
    if (checkpoint.export) await this.save(checkpoint.folder, { dtype: checkpoint.export });
  }

  /** Writes the state of the run, for `restore`. */
  async writeState(sink: ByteSink): Promise<void> {
    const info = { step: this.step, tokens: this.#tokens, settings: this.#settings };
    await writeTrainingState(sink, this.model, this.optimizer, info);
  }

  /**
   * Goes on from a state.
   *
   * @throws MarianaError `INVALID_ARGUMENT` if it is of a run with other settings; `CHECKPOINT_CORRUPT`,
   *   `TENSOR_MISSING`, `TENSOR_MISMATCH`.
   */
  async restore(source: ByteSource): Promise<void> {
    this.#tokens = (await readTrainingState(source, this.model, this.optimizer, this.#settings)).tokens;
  }

  /** Goes on from the state in the folder of the options, if there is one. */
  async restoreFromFolder(): Promise<void> {
    const { checkpoint } = this.#options;
    if (!checkpoint) return;
    const files = openFolder(checkpoint.folder);
    if (!(await files.exists(STATE_FILE))) return;
    const source = await files.open(STATE_FILE);
    try {
      await this.restore(source);
    } finally {
      await source.close();
    }
  }

  /**
   * Exports the model into a folder as Hugging Face lays it out: config.json, weights, and other files as given.
   *
   * @throws MarianaError `FILE_WRITE_FAILED`
   */
  async save(folder: string, { dtype = 'bf16', files = {} }: SaveOptions = {}): Promise<void> {
    const config = configText(exportConfig(this.model.config, dtype));
    await writeWeights(folder, exportTensors(this.model, dtype));
    for (const [name, content] of Object.entries({ ...files, 'config.json': config })) {
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      await writeFile(folder, name, (sink) => sink.write(bytes));
    }
  }

  /** Frees the model and the optimizer's moments. */
  dispose(): void {
    this.optimizer.dispose();
    this.model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Lets timers and the page have their turn: a backend that computes on this thread never waits on its own. */
function eventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
