/** Where a model's tokenizer comes from. */
import { type CheckpointFiles, type ModelConfig, readText } from '@mariana/core';
import { type TokenizerFiles, trainBpe } from '@mariana/tokenizer';

/** The tokenizer files beside a checkpoint, unread; null if it has no tokenizer.json. */
export async function readTokenizerFiles(files: CheckpointFiles): Promise<TokenizerFiles | null> {
  if (!(await files.exists('tokenizer.json'))) return null;
  const optional = async (file: string) => ((await files.exists(file)) ? readText(files, file) : undefined);
  return {
    tokenizerJson: await readText(files, 'tokenizer.json'),
    tokenizerConfig: await optional('tokenizer_config.json'),
    chatTemplate: await optional('chat_template.jinja'),
    generationConfig: await optional('generation_config.json'),
  };
}

/** A tokenizer whose tokens are the 256 bytes, for presets, which come without one; null if the vocabulary is smaller. */
export async function byteTokenizer(config: ModelConfig): Promise<TokenizerFiles | null> {
  if (config.vocabSize < 256) return null;
  return { tokenizerJson: await trainBpe([], { vocabSize: 256, specialTokens: [] }) };
}
