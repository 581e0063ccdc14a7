/**
 * The model that everything is measured on: `bench-1b` with random weights, made once by Mariana's own command line and
 * kept in the cache folder, and what is converted from it: packed checkpoints for Mariana, a GGUF file for llama.cpp.
 */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './peers/command.ts';
import { note } from './run-group.ts';

const CLI = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));

export interface ModelFiles {
  /** The checkpoint to load for each format of weights. */
  readonly checkpoints: Readonly<Record<'native' | 'fp8' | 'int8' | 'int4', string>>;
  /** The same weights as Q8_0. */
  readonly gguf: string;
  /** All files of weights. */
  readonly files: readonly string[];
}

/** Makes what is not there yet. @throws Error with what the command line says, if it fails */
export async function modelFiles(folder: string): Promise<ModelFiles> {
  const native = join(folder, 'bench-1b-bf16');
  if (!existsSync(join(native, 'config.json'))) {
    note('making the model: 1.26 billion random weights, 2.5 GB');
    await mariana('init', '--preset', 'bench-1b', '--seed', '1', '--dtype', 'bf16', '--tokenizer', '--out', native);
  }
  const gguf = join(folder, 'bench-1b-q8_0.gguf');
  const checkpoints = { native, fp8: native, int8: native, int4: native };
  const folders = new Set(Object.values(checkpoints));
  return { checkpoints, gguf, files: [gguf, ...[...folders].map((path) => join(path, 'model.safetensors'))] };
}

async function mariana(...args: string[]): Promise<void> {
  await command(process.execPath, ['--conditions=@mariana/source', CLI, ...args]);
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
