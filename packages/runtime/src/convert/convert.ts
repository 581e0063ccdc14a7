/**
 * Conversion: a model from any place that `Model.load` reads, written in another format, so that loading it needs no
 * conversion, or so that llama.cpp loads it. Tensors pass through a piece at a time; a model need not fit in memory.
 */
import { mkdir, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  configText,
  GGUF_QUANTS,
  type GgufQuant,
  ggufModel,
  ggufTensorBytes,
  MarianaError,
  tensorBytes,
  validateCheckpoint,
} from '@mariana/core';
import { writeFileAtomic, writeGgufFile, writeShardedCheckpoint } from '@mariana/core/node';
import type { ModelLocation } from '../locate.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../open-checkpoint.ts';
import { type ConvertProgress, type CountOptions, counted } from './counted.ts';
import { SAFETENSORS_WEIGHTS, type SafetensorsWeights, safetensorsModel } from './safetensors-model.ts';
import { forGguf, namedFiles } from './tokenizer-files.ts';

interface CommonOptions {
  /** Seed of the weights of a preset. Default 0. */
  readonly seed?: number;
  /** Called while tensors are written. */
  readonly onProgress?: (progress: ConvertProgress) => void;
  /** Stops the conversion; what was there before stays. */
  readonly signal?: AbortSignal;
}

/** To a folder in Hugging Face's layout. */
export interface ConvertToSafetensors extends CommonOptions {
  readonly to: 'safetensors';
  /**
   * How projections are stored. `int8`, `int4`: grouped integers (groups of 128 and 32 inputs) with `weight_scale`.
   * `fp8`: DeepSeek's blocks of 128 x 128 with `weight_scale_inv`. `bf16`, `f32`: dense. Default `int8`.
   */
  readonly weights?: SafetensorsWeights;
  /** Most bytes of weights in one file. Default 5e9. */
  readonly maxShardBytes?: number;
}

/** To one GGUF file that llama.cpp loads. */
export interface ConvertToGguf extends CommonOptions {
  readonly to: 'gguf';
  /** How matrices are stored. Default `q8_0`. */
  readonly quant?: GgufQuant;
}

export type ConvertOptions = ConvertToSafetensors | ConvertToGguf;

/** What a conversion wrote. */
export interface Converted {
  /** Names of the files, in the folder that they were written to. */
  readonly files: readonly string[];
  /** Bytes of all tensors. */
  readonly totalBytes: number;
  /** What does not come over as it was, in sentences for people. */
  readonly warnings: readonly string[];
}

/**
 * Converts a model.
 *
 * @param location - As for `Model.load`: folder, GGUF file, URL, preset, or files.
 * @param out - Folder for `safetensors`, path of the file for `gguf`; folders are made if need be. Files of the same
 *   names are replaced, once the new ones are complete, and weights of another checkpoint in the folder are removed.
 * @throws MarianaError as `Model.load` does for what cannot be read; `CONFIG_UNSUPPORTED` or `TOKENIZER_INVALID` for
 *   what a GGUF file cannot say; `TENSOR_INVALID` for values that a format cannot hold; `FILE_WRITE_FAILED`, before
 *   anything is written if the disk is too full; `INVALID_ARGUMENT` for unknown options.
 */
export async function convert(location: ModelLocation, out: string, options: ConvertOptions): Promise<Converted> {
  checkOptions(options);
  const opened = await openCheckpoint(location, options);
  try {
    validateCheckpoint(opened.config, opened.weights, { source: opened.name });
    return options.to === 'gguf' ? await toGguf(opened, out, options) : await toSafetensors(opened, out, options);
  } finally {
    await opened.weights.close();
  }
}

async function toGguf(opened: OpenedCheckpoint, out: string, options: ConvertToGguf): Promise<Converted> {
  const { config, weights, tokenizer } = opened;
  const model = ggufModel(config, weights, {
    quant: options.quant ?? 'q8_0',
    name: basename(out).replace(/\.gguf$/i, ''),
    tokenizer: tokenizer && forGguf(tokenizer),
  });
  const tensors = [...model.tensors];
  const totalBytes = tensors.reduce((sum, tensor) => sum + ggufTensorBytes(tensor), 0);
  await makeRoom(dirname(out), totalBytes);
  await writeGgufFile(out, { metadata: model.metadata, tensors: counted(tensors, countOptions(totalBytes, options)) });
  return { files: [basename(out)], totalBytes, warnings: model.warnings };
}

async function toSafetensors(opened: OpenedCheckpoint, out: string, options: ConvertToSafetensors): Promise<Converted> {
  const { config, weights, tokenizer } = opened;
  const model = safetensorsModel(config, weights, options.weights ?? 'int8');
  const totalBytes = model.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  await makeRoom(out, totalBytes);
  const written = await writeShardedCheckpoint(out, counted(model.tensors, countOptions(totalBytes, options)), {
    order: 'given',
    ...(options.maxShardBytes !== undefined && { maxShardBytes: options.maxShardBytes }),
  });
  const texts = {
    'config.json': configText(model.config),
    ...(tokenizer && namedFiles(tokenizer)),
  };
  for (const [name, text] of Object.entries(texts)) {
    await writeFileAtomic(join(out, name), (sink) => sink.write(new TextEncoder().encode(text)));
  }
  return { files: [...Object.keys(texts), ...written.files], totalBytes, warnings: [] };
}

function countOptions(totalBytes: number, { onProgress, signal }: ConvertOptions): CountOptions {
  return { totalBytes, onProgress, signal };
}

function checkOptions(options: ConvertOptions): void {
  const check = (key: string, value: unknown, known: readonly string[]) => {
    if (known.includes(value as string)) return;
    throw new MarianaError('INVALID_ARGUMENT', `${key} is ${String(value)}; it must be one of ${known.join(', ')}`);
  };
  check('to', options.to, ['safetensors', 'gguf']);
  if (options.to === 'gguf') check('quant', options.quant ?? 'q8_0', GGUF_QUANTS);
  else check('weights', options.weights ?? 'int8', SAFETENSORS_WEIGHTS);
}

/** Makes the folder, and says now rather than after an hour of writing that the disk is too full. */
async function makeRoom(folder: string, needed: number): Promise<void> {
  let free: number;
  try {
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    free = bavail * bsize;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError('FILE_WRITE_FAILED', `${folder}: cannot be written (${reason}); choose another place`, {
      cause,
      details: { path: folder },
    });
  }
  if (needed <= free) return;
  throw new MarianaError(
    'FILE_WRITE_FAILED',
    `${folder}: ${needed} bytes are needed, but only ${free} are free there; choose another disk`,
    { details: { path: folder, needed, free } },
  );
}
