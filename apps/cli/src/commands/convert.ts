/** `mariana convert`: a model in another format, for a second load without conversion, or for llama.cpp. */
import { stat } from 'node:fs/promises';
import { GGUF_QUANTS, type GgufQuant, MarianaError } from '@mariana/core';
import {
  type Converted,
  type ConvertProgress,
  convert as convertModel,
  SAFETENSORS_WEIGHTS,
  type SafetensorsWeights,
} from '@mariana/runtime/convert';
import { bytes, duration } from '../format.ts';
import { fillFolder } from '../init/staging.ts';
import { type Io, print, printJson, remark } from '../io.ts';
import { modelPlace } from '../model-place.ts';
import { Progress } from '../progress.ts';

export interface ConvertFlags {
  readonly model: string;
  readonly out: string;
  readonly to?: 'safetensors' | 'gguf';
  readonly weights?: string;
  readonly quant?: string;
  readonly maxShardSize: number;
  readonly seed: number;
  readonly force?: true;
  readonly json?: true;
  readonly quiet?: true;
}

interface Watched {
  readonly signal: AbortSignal;
  readonly seed: number;
  readonly onProgress: (progress: ConvertProgress) => void;
}

export async function convert(flags: ConvertFlags, io: Io): Promise<void> {
  const { model, out } = flags;
  const quiet = flags.quiet === true;
  const to = flags.to ?? (/\.gguf$/i.test(out) ? 'gguf' : 'safetensors');
  const started = performance.now();
  const progress = new Progress(io, { label: `converting ${model}`, amount: bytes, quiet });
  const watched: Watched = {
    signal: io.interrupts.signal,
    seed: flags.seed,
    onProgress: ({ writtenBytes, totalBytes }) => progress.update(writtenBytes, totalBytes),
  };
  let format: string;
  let converted: Converted;
  try {
    if (to === 'gguf') {
      format = choose(flags, 'quant', GGUF_QUANTS, 'q8_0');
      await refuseExisting(flags);
      converted = await convertModel(modelPlace(model), out, { to, quant: format as GgufQuant, ...watched });
    } else {
      format = choose(flags, 'weights', SAFETENSORS_WEIGHTS, 'int8');
      converted = await toFolder(flags, format as SafetensorsWeights, watched);
    }
  } finally {
    progress.end();
  }
  const { totalBytes, warnings } = converted;
  const files = [...converted.files].sort();
  if (!quiet && !flags.json) for (const warning of warnings) remark(io, `note: ${warning}`);
  if (flags.json) printJson(io, { model, out, to, format, totalBytes, files, warnings });
  else {
    print(
      io,
      `${out}: ${bytes(totalBytes)} of weights (${format}) written in ${duration(performance.now() - started)}`,
    );
    for (const file of files) print(io, `  ${file}`);
  }
}

/** The format for the kind of file that is written; the option of the other kind would be without effect. */
function choose(flags: ConvertFlags, key: 'weights' | 'quant', known: readonly string[], byDefault: string): string {
  const other = key === 'quant' ? 'weights' : 'quant';
  if (flags[other] !== undefined) {
    const kind = key === 'quant' ? 'GGUF files' : 'safetensors';
    throw new MarianaError('USAGE', `--${other} is not for ${kind}; use --${key} with one of ${known.join(', ')}`);
  }
  return flags[key] ?? byDefault;
}

/** Files are replaced only on request, as in folders. */
async function refuseExisting({ out, force }: ConvertFlags): Promise<void> {
  if (force) return;
  const exists = await stat(out).then(
    () => true,
    () => false, // whatever is wrong with the place, writing will say it
  );
  if (!exists) return;
  throw new MarianaError('USAGE', `${out}: there is such a file; choose another name, or add --force`, {
    details: { out },
  });
}

async function toFolder(flags: ConvertFlags, weights: SafetensorsWeights, watched: Watched): Promise<Converted> {
  const { model, out, maxShardSize: maxShardBytes } = flags;
  let converted: Converted | undefined;
  await fillFolder(out, { force: flags.force === true }, async (stage) => {
    converted = await convertModel(modelPlace(model), stage, { to: 'safetensors', weights, maxShardBytes, ...watched });
  });
  return converted!;
}
