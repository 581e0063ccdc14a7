/** The subjects of training: Mariana in each precision, PyTorch as its users train and as lean as it gets. */
import type { Options } from './options.ts';
import type { Probe, Spec } from './run-group.ts';
import { node, program } from './subject-programs.ts';
import { TRAIN_BATCH } from './train-files.ts';

export const PRECISIONS = ['f32', 'bf16', 'fp8'] as const;
export const marianaTraining = (precision: string) => `mariana train ${precision}`;
export const TRANSFORMERS = 'transformers f32';
export const PYTORCH = 'lean pytorch f32';
export const PYTORCH_BF16 = 'lean pytorch bf16';
export const TRAIN = 'training';
export const SQUARE = 'square product';

/** Rows and columns of the matrices whose product is the machine's peak. */
const SIZE = 1024;

export interface TrainParts {
  readonly options: Options;
  /** What train-files.ts wrote. */
  readonly folder: string;
  /** Python with PyTorch and transformers, if it could be had. */
  readonly torch: string | undefined;
}

export function trainSpecs({ options, folder, torch }: TrainParts): Spec[] {
  const steps = options.quick ? 1 : 4;
  const repeats = options.quick ? 2 : 10;
  const { sequences, sequenceLength } = TRAIN_BATCH;
  const train: Probe = {
    metric: TRAIN,
    request: { do: 'train', steps },
    value: ({ ms }: { ms: number }) => (steps * sequences * sequenceLength) / (ms / 1e3),
  };
  const square: Probe = {
    metric: SQUARE,
    request: { do: 'product', size: SIZE, repeats },
    value: ({ ms }: { ms: number }) => (repeats * 2 * SIZE ** 3) / ms / 1e6,
  };
  return options.threads.flatMap((threads) => [
    ...PRECISIONS.map((precision) => ({
      name: marianaTraining(precision),
      threads,
      ...node('mariana-train.ts', folder, precision, threads),
      // All precisions compute in F32, so one of them tells the peak.
      probes: precision === 'f32' ? [square, train] : [train],
    })),
    ...(torch === undefined ? [] : pytorchSpecs(torch, folder, threads, [square, train])),
  ]);
}

function pytorchSpecs(torch: string, folder: string, threads: number, probes: readonly Probe[]): Spec[] {
  const script = program('pytorch_train.py');
  const kinds = [
    [TRANSFORMERS, 'transformers', probes.slice(1)],
    [PYTORCH, 'lean', probes],
    [PYTORCH_BF16, 'lean-bf16', probes],
  ] as const;
  return kinds.map(([name, kind, own]) => ({
    name,
    threads,
    command: torch,
    args: [script, kind, folder, String(threads)],
    probes: own,
  }));
}
