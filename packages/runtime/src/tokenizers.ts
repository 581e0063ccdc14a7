/** Where a model's tokenizer comes from. */
import { type CheckpointFiles, type ModelConfig, readText } from '@mariana/core';
import { Tokenizer, trainBpe } from '@mariana/tokenizer';

/**
 * The tokenizer beside a checkpoint, or null if it has no tokenizer.json.
 *
 * @throws MarianaError `TOKENIZER_INVALID`
 */
export async function readTokenizer(files: CheckpointFiles): Promise<Tokenizer | null> {
  if (!(await files.exists('tokenizer.json'))) return null;
  const optional = async (file: string) => ((await files.exists(file)) ? readText(files, file) : undefined);
  return Tokenizer.fromFiles({
    tokenizerJson: await readText(files, 'tokenizer.json'),
    tokenizerConfig: await optional('tokenizer_config.json'),
    chatTemplate: await optional('chat_template.jinja'),
    generationConfig: await optional('generation_config.json'),
  });
}

/** A tokenizer whose tokens are the 256 bytes, for presets, which come without one; null if the vocabulary is smaller. */
export async function byteTokenizer(config: ModelConfig): Promise<Tokenizer | null> {
  if (config.vocabSize < 256) return null;
  return Tokenizer.fromFiles({ tokenizerJson: await trainBpe([], { vocabSize: 256, specialTokens: [] }) });
}
