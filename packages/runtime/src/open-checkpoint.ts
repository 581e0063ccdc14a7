/**
 * A model found and opened, nothing of its weights read yet: the same for every place and file format, so that loading
 * and converting differ only in what they do with it.
 */
import {
  Checkpoint,
  type CheckpointFiles,
  GgufCheckpoint,
  GgufFile,
  isMarianaError,
  type ModelConfig,
  parseConfig,
  preset,
  RandomWeights,
  readJson,
  type TensorStore,
  tokenizerFromGguf,
} from '@mariana/core';
import type { TokenizerFiles } from '@mariana/tokenizer';
import { locate, type ModelLocation } from './locate.ts';
import { byteTokenizer, readTokenizerFiles } from './tokenizers.ts';

export interface OpenedCheckpoint {
  /** What to call it in messages. */
  readonly name: string;
  readonly config: ModelConfig;
  /** To be closed by whoever opened it. */
  readonly weights: TensorStore;
  /** What its tokenizer is made of; null if it has none. */
  readonly tokenizer: TokenizerFiles | null;
  /** Whether the weights are random (a preset). */
  readonly isRandom: boolean;
}

/**
 * Opens the config, the weights and the tokenizer files of a model.
 *
 * @param options.seed - Seed of the weights of a preset. Default 0.
 * @throws MarianaError as `Model.load` does; nothing is left open then.
 */
export async function openCheckpoint(
  location: ModelLocation,
  { seed = 0 }: { readonly seed?: number } = {},
): Promise<OpenedCheckpoint> {
  const place = await locate(location);
  if ('preset' in place) {
    const config = preset(place.preset);
    const weights = new RandomWeights(config, { seed });
    return { name: `preset ${place.preset}`, config, weights, tokenizer: await byteTokenizer(config), isRandom: true };
  }
  return place.gguf === undefined ? openHuggingFace(place.files) : openGguf(place.files, place.gguf);
}

async function openHuggingFace(files: CheckpointFiles): Promise<OpenedCheckpoint> {
  const { name } = files;
  const config = parseConfig(await readJson(files, 'config.json'), { source: `${name}/config.json` });
  const tokenizer = await readTokenizerFiles(files);
  return { name, config, weights: await Checkpoint.open(files), tokenizer, isRandom: false };
}

async function openGguf(files: CheckpointFiles, file: string): Promise<OpenedCheckpoint> {
  const source = await files.open(file);
  try {
    const gguf = await GgufFile.open(source);
    const weights = new GgufCheckpoint(gguf);
    const tokenizer = await ggufTokenizer(gguf, files);
    return { name: gguf.name, config: weights.config, weights, tokenizer, isRandom: false };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The tokenizer in the file; where there is none, or one that cannot be used, a tokenizer.json beside it. */
async function ggufTokenizer(file: GgufFile, beside: CheckpointFiles): Promise<TokenizerFiles | null> {
  try {
    const own = tokenizerFromGguf(file);
    if (own !== null) return own;
  } catch (error) {
    if (!isMarianaError(error) || error.code !== 'TOKENIZER_INVALID') throw error;
    const other = await readTokenizerFiles(beside);
    if (other === null) throw error;
    return other;
  }
  return readTokenizerFiles(beside);
}
