/** The subjects of training: Mariana in each precision, PyTorch as its users train and as lean as it gets. */
import type { Options } from './options.ts';
import type { Probe, Spec } from './run-group.ts';
import { node, PYTHON_ENV, program } from './subject-programs.ts';
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

function trainProbe(steps: number): Probe {
  const { sequences, sequenceLength } = TRAIN_BATCH;
  return {
    metric: TRAIN,
    request: { do: 'train', steps },
    value: ({ ms }: { ms: number }) => (steps * sequences * sequenceLength) / (ms / 1e3),
  };
}

function squareProbe(repeats: number): Probe {
  return {
    metric: SQUARE,
    request: { do: 'product', size: SIZE, repeats },
    value: ({ ms }: { ms: number }) => (repeats * 2 * SIZE ** 3) / ms / 1e6,
  };
}

export function trainSpecs({ options, folder, torch }: TrainParts): Spec[] {
  const train = trainProbe(options.quick ? 1 : 4);
  const square = squareProbe(options.quick ? 2 : 10);
  return options.threads.flatMap((threads) => [
    ...PRECISIONS.map((precision) => ({
      name: marianaTraining(precision),
      threads,
      ...node('mariana-train.ts', folder, precision, threads),
      // All precisions compute in F32, so one of them tells the peak.
      probes: precision === 'f32' ? [square, train] : [train],
    })),
    ...(torch === undefined ? [] : pytorchSpecs(torch, folder, threads, { square, train })),
  ]);
}

function pytorchSpecs(
  torch: string,
  folder: string,
  threads: number,
  { square, train }: { readonly square: Probe; readonly train: Probe },
): Spec[] {
  const script = program('pytorch_train.py');
  const kinds = [
    [TRANSFORMERS, 'transformers', [train]],
    [PYTORCH, 'lean', [square, train]],
    // Where a processor has no BF16, PyTorch takes far longer with it than in F32.
    [PYTORCH_BF16, 'lean-bf16', [squareProbe(1), trainProbe(1)]],
  ] as const;
  return kinds.map(([name, kind, own]) => ({
    name,
    threads,
    command: torch,
    args: [script, kind, folder, String(threads)],
    env: PYTHON_ENV,
    probes: own,
  }));
}
