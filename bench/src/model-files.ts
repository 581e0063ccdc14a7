/**
 * The model that everything is measured on: `bench-1b` with random weights, made once and kept in the cache folder, and
 * what Mariana's own converter makes of it: packed checkpoints for Mariana, a GGUF file for llama.cpp.
 */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type ConvertOptions, convert } from '@mariana/runtime/convert';
import { note } from './run-group.ts';

const PRESET = 'bench-1b';
const SEED = 1;

export interface ModelFiles {
  /** The checkpoint to load for each format of weights. */
  readonly checkpoints: Readonly<Record<'native' | 'fp8' | 'int8' | 'int4', string>>;
  /** The same weights as Q8_0. */
  readonly gguf: string;
  /** All files of weights. */
  readonly files: readonly string[];
}

/** Makes what is not there yet, which takes minutes and 8 GB. @throws MarianaError as `convert` does */
export async function modelFiles(folder: string): Promise<ModelFiles> {
  const native = join(folder, `${PRESET}-bf16`);
  await make(native, PRESET, { to: 'safetensors', weights: 'bf16', seed: SEED });
  const packed = async (weights: 'fp8' | 'int8' | 'int4') => {
    const path = join(folder, `${PRESET}-${weights}`);
    await make(path, native, { to: 'safetensors', weights });
    return path;
  };
  const checkpoints = {
    native,
    fp8: await packed('fp8'),
    int8: await packed('int8'),
    int4: await packed('int4'),
  };
  const gguf = join(folder, `${PRESET}-q8_0.gguf`);
  await make(gguf, native, { to: 'gguf', quant: 'q8_0' });
  return { checkpoints, gguf, files: [gguf, ...Object.values(checkpoints).map(weightsOf)] };
}

async function make(path: string, from: string, options: ConvertOptions): Promise<void> {
  // A checkpoint's config is written last, and a GGUF file gets its name when it is whole.
  if (existsSync(options.to === 'gguf' ? path : join(path, 'config.json'))) return;
  note(`making ${path}`);
  await convert(from, path, options);
}

function weightsOf(checkpoint: string): string {
  return join(checkpoint, 'model.safetensors');
}

/** Reads a file to its end, so that whoever opens it next finds it in memory. */
export async function warm(path: string): Promise<void> {
  const file = await open(path);
  try {
    const piece = new Uint8Array(16 * 2 ** 20);
    while ((await file.read(piece, 0, piece.length)).bytesRead > 0);
  } finally {
    await file.close();
  }
}
