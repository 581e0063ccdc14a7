/** The checkpoint that a run begins with, where it does not begin with random weights. */
import { Checkpoint, type ModelConfig, parseConfig, readJson, validateCheckpoint } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';

/** The config of the checkpoint in a folder. @throws MarianaError `FILE_NOT_FOUND`, `CONFIG_INVALID` and its kind */
export async function configOfCheckpoint(folder: string): Promise<ModelConfig> {
  const files = new DirectoryFiles(folder);
  return parseConfig(await readJson(files, 'config.json'), { source: `${folder}/config.json` });
}

/**
 * Opens the weights in a folder, BF16, F32 or FP8, after holding them against the config of the run.
 *
 * @returns The weights; whoever opened them closes them.
 * @throws MarianaError as `Checkpoint.open` and `validateCheckpoint`; nothing is left open then.
 */
export async function openInitialWeights(folder: string, config: ModelConfig): Promise<Checkpoint> {
  const { quantizationConfig, integerQuantization } = await configOfCheckpoint(folder);
  const weights = await Checkpoint.open(new DirectoryFiles(folder));
  try {
    validateCheckpoint({ ...config, quantizationConfig, integerQuantization }, weights, { source: folder });
    return weights;
  } catch (error) {
    await weights.close();
    throw error;
  }
}
