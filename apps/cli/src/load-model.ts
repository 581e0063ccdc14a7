/** Loading a model for a command: backend, progress, and everything freed again afterwards. */
import { Model, type Session } from '@mariana/runtime';
import { type BackendOptions, openBackend } from './backends.ts';
import { bytes } from './format.ts';
import { type Io, remark } from './io.ts';
import { modelPlace } from './model-place.ts';
import { Progress } from './progress.ts';

/** Options of every command that runs a model. */
export interface ModelOptions extends BackendOptions {
  readonly model: string;
  readonly backend?: string;
  readonly json?: true;
  readonly quiet?: true;
}

export interface LoadedModel extends Disposable {
  readonly model: Model;
  /** Milliseconds from the start of the backend until the model was ready. */
  readonly loadMs: number;
}

/**
 * Loads `options.model`: a folder, a URL, or the name of a preset or of the model that comes along.
 *
 * @throws MarianaError as `openBackend` and `Model.load` do; nothing is left behind then.
 */
export async function loadModel(options: ModelOptions, io: Io, { mtp = false } = {}): Promise<LoadedModel> {
  const started = performance.now();
  const { weights, threads, wideVectors } = options;
  const quiet = options.quiet === true;
  const backend = await openBackend(
    options.backend,
    {
      ...(weights !== undefined && { weights }),
      ...(threads !== undefined && { threads }),
      ...(wideVectors !== undefined && { wideVectors }),
    },
    (line) => {
      if (!quiet) remark(io, line);
    },
  );
  const progress = new Progress(io, { label: `loading ${options.model}`, amount: bytes, quiet });
  try {
    const model = await Model.load(modelPlace(options.model), {
      backend,
      mtp,
      signal: io.interrupts.signal,
      onProgress: ({ loadedBytes, totalBytes }) => progress.update(loadedBytes, totalBytes),
    });
    progress.end();
    if (model.isRandom && !quiet && options.json === undefined) {
      remark(
        io,
        `${options.model} is an architecture without a checkpoint: its weights are random, and so is its text`,
      );
    }
    const dispose = () => {
      model.dispose();
      backend.dispose();
    };
    return { model, loadMs: performance.now() - started, [Symbol.dispose]: dispose };
  } catch (error) {
    progress.end();
    backend.dispose();
    throw error;
  }
}

/** A session as the options of `generate` and `chat` ask for it. */
export function openSession(
  model: Model,
  { context, speculate = false }: { readonly context?: number; readonly speculate?: boolean },
): Session {
  return model.session({ speculate, ...(context !== undefined && { contextLength: context }) });
}
