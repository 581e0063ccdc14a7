/** `mariana train`: trains a model on texts, from nothing to a checkpoint that the other commands load. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backend } from '@mariana/core';
import { configToJson } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';
import {
  Fp8RangeRecorder,
  STATE_FILE,
  train as startRun,
  type TrainingProgress,
  type TrainingRun,
  type TrainOptions,
} from '@mariana/train';
import { openBackend } from '../backends.ts';
import { exact, rounded } from '../format.ts';
import { type Io, print, printJson, remark } from '../io.ts';
import { progressLine, span, TrainingDisplay } from '../train/display.ts';
import { makeFolder, settingsOfRun, writeInto } from '../train/folder.ts';
import { openInitialWeights } from '../train/initial-weights.ts';
import { type Metrics, MetricsFile } from '../train/metrics.ts';
import { architecture, type Prepared, prepare } from '../train/prepare.ts';
import { REPORT_FILE, trainingReport } from '../train/report/report.ts';
import { runOptions } from '../train/run-options.ts';
import { type GivenSettings, portableSettings, SETTINGS_FILE, type Settings, settingNames } from '../train/settings.ts';
import { validate } from '../train/validate.ts';

export interface TrainFlags extends GivenSettings {
  readonly resume?: true;
  readonly json?: true;
  readonly quiet?: true;
}

/** How many of a run's steps have their FP8 ranges measured. */
const RANGES = 100;

export async function train(file: string | undefined, flags: TrainFlags, io: Io): Promise<void> {
  const given = Object.fromEntries(settingNames.flatMap((name) => (name in flags ? [[name, flags[name]]] : [])));
  const settings = await settingsOfRun(file, given, flags.resume === true);
  const quiet = flags.quiet === true;
  const base = await architecture(settings);
  const backend = await openBackend(
    settings.backend,
    settings.threads === undefined ? {} : { threads: settings.threads },
    (line) => {
      if (!quiet) remark(io, line);
    },
  );
  try {
    await makeFolder(settings.out);
    // The config goes in whole: the file it came from may change while the run rests.
    const isElsewhere = settings.config !== undefined || settings.init !== undefined;
    const kept = isElsewhere ? { ...settings, config: configToJson(base) } : settings;
    await new Training(kept, await prepare(kept, base, io, quiet), backend, flags, io).run();
  } finally {
    backend.dispose();
  }
}

/** One part of a run: from where it stands to its end, or to ctrl-C. */
class Training {
  readonly #settings: Settings;
  readonly #prepared: Prepared;
  readonly #backend: Backend;
  readonly #flags: TrainFlags;
  readonly #io: Io;
  readonly #recorder = new Fp8RangeRecorder();

  constructor(settings: Settings, prepared: Prepared, backend: Backend, flags: TrainFlags, io: Io) {
    this.#settings = settings;
    this.#prepared = prepared;
    this.#backend = backend;
    this.#flags = flags;
    this.#io = io;
  }

  async run(): Promise<void> {
    const { out } = this.#settings;
    const options = runOptions(this.#settings, this.#prepared.data, this.#backend, this.#recorder);
    using run = await this.#start(options);
    // Not before all that can be refused was accepted. The settings first: with them alone the run can go on.
    await writeInto(out, SETTINGS_FILE, portableSettings(this.#settings));
    for (const [name, content] of Object.entries(this.#prepared.files)) await writeInto(out, name, content);
    const metrics = await MetricsFile.open(out, run.step);
    try {
      this.#describe(run);
      await this.#steps(run, metrics);
      const files = await this.#export(run);
      this.#conclude(run, metrics.lines, files);
    } finally {
      await metrics.close();
    }
  }

  /** With the weights of a checkpoint if it begins with one; a run that goes on finds all in its own state. */
  async #start(options: TrainOptions): Promise<TrainingRun> {
    const { config } = this.#prepared;
    const { init, out } = this.#settings;
    if (init === undefined || (await new DirectoryFiles(out).exists(STATE_FILE))) return startRun(config, options);
    const weights = await openInitialWeights(init, config);
    try {
      return await startRun(config, { ...options, weights });
    } finally {
      await weights.close();
    }
  }

  /** What is about to happen. */
  #describe(run: TrainingRun): void {
    if (this.#flags.quiet || this.#flags.json) return;
    const { training, data } = this.#prepared;
    const { steps, batch, accumulate, sequence } = this.#settings;
    const epochs = (steps * batch * accumulate) / data.sequences;
    remark(
      this.#io,
      `${exact(run.model.size)} parameters, ${exact(training.tokens.length)} tokens in ${exact(training.documents)} ` +
        `documents; ${exact(steps)} steps of ${exact(batch * accumulate * sequence)} tokens see them ` +
        `${epochs < 10 ? Number(epochs.toPrecision(2)) : Math.round(epochs)} times`,
    );
    const { init } = this.#settings;
    if (this.#flags.resume) remark(this.#io, `going on after step ${exact(run.step)}`);
    else if (init !== undefined) remark(this.#io, `beginning with the weights of ${init}`);
  }

  async #steps(run: TrainingRun, metrics: MetricsFile): Promise<void> {
    const { steps, checkpointEvery } = this.#settings;
    const { signal } = this.#io.interrupts;
    const display = new TrainingDisplay(this.#io, { steps, step: run.step, quiet: this.#flags.quiet === true });
    const before = metrics.lines.at(-1)?.seconds ?? 0;
    const begun = performance.now();
    try {
      while (run.step < steps && !signal.aborted) {
        this.#recorder.active = this.#isMeasured(run.step + 1);
        const progress = await run.advance();
        const seconds = () => before + (performance.now() - begun) / 1000;
        const line = await this.#measure(run, progress, seconds);
        await metrics.add(line);
        display.update(line);
        if (line.validation !== undefined) display.note(validationLine(line));
        if (run.step % checkpointEvery === 0 || run.step === steps) await this.#save(run, metrics);
      }
      if (!signal.aborted) return;
      await this.#save(run, metrics);
      display.note(`saved after step ${run.step}; go on with: mariana train --resume --out ${this.#settings.out}`);
    } finally {
      display.end();
    }
    signal.throwIfAborted();
  }

  /** Some of the steps, at equal distances, with the first and the last. */
  #isMeasured(step: number): boolean {
    const { precision, steps } = this.#settings;
    return precision === 'fp8' && (step === 1 || step === steps || step % Math.ceil(steps / RANGES) === 0);
  }

  async #measure(run: TrainingRun, progress: TrainingProgress, seconds: () => number): Promise<Metrics> {
    const { validation } = this.#prepared;
    const { evalEvery, checkpointEvery, steps, batch, evalSequences } = this.#settings;
    const { step } = progress;
    const fp8 = this.#recorder.active ? await this.#recorder.take() : undefined;
    const isEvaluated = validation !== null && (step % (evalEvery ?? checkpointEvery) === 0 || step === steps);
    const evaluation = isEvaluated ? await validate(run.model, validation, { batch, evalSequences }) : undefined;
    return {
      step,
      loss: progress.loss,
      crossEntropy: progress.crossEntropy,
      balanceLoss: progress.balanceLoss,
      mtpLoss: progress.mtpLoss,
      gradientNorm: progress.gradientNorm,
      learningRate: progress.learningRate,
      tokens: progress.totalTokens,
      tokensPerSecond: rounded(progress.tokensPerSecond),
      seconds: rounded(seconds()),
      maxViolation: progress.maxViolation,
      load: Object.fromEntries(Array.from(progress.load, ([layer, counts]) => [layer, [...counts]])),
      ...(evaluation !== undefined && { validation: evaluation }),
      ...(fp8 !== undefined && { fp8 }),
    };
  }

  /** Metrics first: a state must not know of steps that they do not. */
  async #save(run: TrainingRun, metrics: MetricsFile): Promise<void> {
    await metrics.sync();
    await run.checkpoint();
    const { config } = this.#prepared;
    const html = trainingReport({ settings: this.#settings, config, parameters: run.model.size, lines: metrics.lines });
    await writeInto(this.#settings.out, REPORT_FILE, html);
  }

  /** The model in Hugging Face's layout; its tokenizer is there already. */
  async #export(run: TrainingRun): Promise<string[]> {
    const { out, dtype } = this.#settings;
    const { bosTokenId, eosTokenId } = this.#prepared.config;
    const generation = {
      ...(bosTokenId !== null && { bos_token_id: bosTokenId }),
      eos_token_id: eosTokenId.length === 1 ? eosTokenId[0] : eosTokenId,
      do_sample: true,
      temperature: 0.7,
      top_p: 0.95,
    };
    const files = { 'generation_config.json': `${JSON.stringify(generation, null, 2)}\n` };
    await run.save(out, { dtype, files });
    return (await readdir(out)).sort();
  }

  #conclude(run: TrainingRun, lines: readonly Metrics[], files: readonly string[]): void {
    const { out, steps } = this.#settings;
    const last = lines.at(-1);
    const validation = lines.findLast((line) => line.validation !== undefined)?.validation ?? null;
    if (this.#flags.json) {
      const { step: _, load, fp8, validation: __, ...figures } = last ?? ({} as Partial<Metrics>);
      printJson(this.#io, { out, steps, parameters: run.model.size, ...figures, validation, files });
      return;
    }
    if (last === undefined) return;
    print(this.#io, `${out}: ${progressLine(last, steps)}, ${exact(last.tokens)} tokens in ${span(last.seconds)}`);
    if (validation !== null) print(this.#io, `validation: ${validationFigures(validation)}`);
    print(this.#io, `report: ${join(out, REPORT_FILE)}`);
    print(this.#io, `try it: mariana generate --model ${out} --prompt "..."`);
  }
}

function validationLine({ step, validation }: Metrics): string {
  return `step ${step}  validation ${validationFigures(validation!)}`;
}

function validationFigures({ crossEntropy, bitsPerByte }: NonNullable<Metrics['validation']>): string {
  return `loss ${crossEntropy.toFixed(4)}  ${bitsPerByte.toFixed(4)} bits per byte`;
}
