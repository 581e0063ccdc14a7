/** Finds out what `mariana inspect` was given, and checks the weights that are there against the config. */
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import {
  type ByteSource,
  Checkpoint,
  type CheckpointFiles,
  GgufFile,
  ggufCheckpoint,
  HttpSource,
  isPresetName,
  type ModelConfig,
  parseConfig,
  preset,
  readJson,
  type TensorStore,
  tokenizerFromGguf,
  UrlFiles,
  validateCheckpoint,
} from '@mariana/core';
import { DirectoryFiles, FileSource } from '@mariana/core/node';

/** What was found of a checkpoint's files. */
export interface FoundCheckpoint {
  readonly tensors: number;
  readonly bytes: number;
  /** Number of tensors of each dtype; in a GGUF file, of each of its own types. */
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
 * Looks at a preset, a folder, a GGUF file, a URL of either, or a config.json.
 *
 * @throws MarianaError for what cannot be read, for a config that is not sound, and for weights that do not fit it.
 */
export async function look(target: string): Promise<Inspected> {
  if (/^https?:\/\//i.test(target)) {
    const isGguf = /\.gguf$/i.test(new URL(target).pathname);
    return isGguf ? lookIntoGguf(await HttpSource.open(target)) : lookInto(new UrlFiles(target));
  }
  // What is wrong with a path is said by whoever opens it.
  const found = await stat(target).catch(() => undefined);
  if (found === undefined && isPresetName(target)) {
    return { source: target, kind: 'preset', config: preset(target), checkpoint: null };
  }
  if (found?.isFile() && /\.gguf$/i.test(target)) return lookIntoGguf(await FileSource.open(target));
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
    const dtypes = weights.names().map((name) => weights.info(name).dtype);
    const bytes = weights.names().reduce((sum, name) => sum + weights.info(name).byteLength, 0);
    const tokenizer = await files.exists('tokenizer.json');
    return found(files.name, config, weights, { dtypes, bytes, tokenizer });
  } finally {
    await weights.close();
  }
}

async function lookIntoGguf(source: ByteSource): Promise<Inspected> {
  try {
    const file = await GgufFile.open(source);
    const weights = ggufCheckpoint(file, { packed: false });
    const entries = file.names().map((name) => file.entry(name));
    const dtypes = entries.map(({ type }) => type.name.toLowerCase());
    const bytes = entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const tokenizer = tokenizerFromGguf(file) !== null;
    return found(source.name, weights.config, weights, { dtypes, bytes, tokenizer });
  } finally {
    await source.close();
  }
}

/** What is told of weights, once they are known to fit their config. */
function found(
  source: string,
  config: ModelConfig,
  weights: TensorStore,
  stored: { readonly dtypes: readonly string[]; readonly bytes: number; readonly tokenizer: boolean },
): Inspected {
  const { fp8Weights, mtp, omittedCopies } = validateCheckpoint(config, weights, { source });
  const counts: Record<string, number> = {};
  for (const dtype of stored.dtypes) counts[dtype] = (counts[dtype] ?? 0) + 1;
  const checkpoint = {
    tensors: stored.dtypes.length,
    bytes: stored.bytes,
    dtypes: counts,
    fp8Weights,
    mtp,
    omittedCopies,
    tokenizer: stored.tokenizer,
  };
  return { source, kind: 'checkpoint', config, checkpoint };
}
