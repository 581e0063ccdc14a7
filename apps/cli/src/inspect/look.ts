/** Finds out what `mariana inspect` was given, and checks the weights that are there against the config. */
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import {
  Checkpoint,
  type CheckpointFiles,
  isPresetName,
  type ModelConfig,
  parseConfig,
  preset,
  readJson,
  UrlFiles,
  validateCheckpoint,
} from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';

/** What was found of a checkpoint's files. */
export interface FoundCheckpoint {
  readonly tensors: number;
  readonly bytes: number;
  /** Number of tensors of each dtype. */
  readonly dtypes: Readonly<Record<string, number>>;
  readonly fp8Weights: number;
  /** Whether the multi-token-prediction layers are there. */
  readonly mtp: boolean;
  /** Copies of embedding and head that those layers leave out. */
  readonly omittedCopies: readonly string[];
  readonly tokenizer: boolean;
}

/** What is inspected. */
export interface Inspected {
  readonly source: string;
  readonly kind: 'preset' | 'config' | 'checkpoint';
  readonly config: ModelConfig;
  readonly checkpoint: FoundCheckpoint | null;
}

/**
 * Looks at a preset, a folder, a URL or a config.json.
 *
 * @throws MarianaError for what cannot be read, for a config that is not sound, and for weights that do not fit it.
 */
export async function look(target: string): Promise<Inspected> {
  if (/^https?:\/\//i.test(target)) return lookInto(new UrlFiles(target));
  // What is wrong with a path is said by whoever opens it.
  const found = await stat(target).catch(() => undefined);
  if (found === undefined && isPresetName(target)) {
    return { source: target, kind: 'preset', config: preset(target), checkpoint: null };
  }
  if (found?.isFile()) {
    const json = await readJson(new DirectoryFiles(dirname(target)), basename(target));
    return { source: target, kind: 'config', config: parseConfig(json, { source: target }), checkpoint: null };
  }
  return lookInto(new DirectoryFiles(target));
}

async function lookInto(files: CheckpointFiles): Promise<Inspected> {
  const config = parseConfig(await readJson(files, 'config.json'), { source: `${files.name}/config.json` });
  const hasWeights = (await files.exists('model.safetensors')) || (await files.exists('model.safetensors.index.json'));
  if (!hasWeights) return { source: files.name, kind: 'config', config, checkpoint: null };
  const weights = await Checkpoint.open(files);
  try {
    const { fp8Weights, mtp, omittedCopies } = validateCheckpoint(config, weights, { source: files.name });
    const dtypes: Record<string, number> = {};
    let bytes = 0;
    for (const name of weights.names()) {
      const { dtype, byteLength } = weights.info(name);
      dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
      bytes += byteLength;
    }
    const tokenizer = await files.exists('tokenizer.json');
    const tensors = weights.names().length;
    const checkpoint = { tensors, bytes, dtypes, fp8Weights, mtp, omittedCopies, tokenizer };
    return { source: files.name, kind: 'checkpoint', config, checkpoint };
  } finally {
    await weights.close();
  }
}
