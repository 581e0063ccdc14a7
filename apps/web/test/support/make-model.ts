/**
 * Writes the model that the page is tested with: random weights, every part of DeepSeek-V3 (experts in groups, latent
 * attention, a multi-token-prediction module), and a tokenizer learned from a text. The same bytes every time.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configToJson, parseConfig, preset, RandomWeights } from '@mariana/core';
import { writeShardedCheckpoint } from '@mariana/core/node';
import { trainBpe } from '@mariana/tokenizer';

const WEB = fileURLToPath(new URL('../..', import.meta.url));
const CORPUS = join(WEB, 'src/places/train/sample/english-fairy-tales.txt');

/** Where the page that is tested finds it: a folder of the run. */
export const TEST_MODEL: string = process.env.MARIANA_WEB_MODEL ?? '';

const BOS = '<s>';
const EOS = '</s>';

export async function makeModel(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const base = preset('small');
  const config = parseConfig({ ...base.raw, vocab_size: 512, initializer_range: 0.08, num_nextn_predict_layers: 1 });
  const { quantization_config, ...json } = configToJson(config);
  const tokenizerJson = await trainBpe([readFileSync(CORPUS, 'utf8')], {
    vocabSize: 512,
    specialTokens: [BOS, EOS],
    bosToken: BOS,
  });
  const tokenizerConfig = { add_bos_token: true, bos_token: BOS, eos_token: EOS };
  const write = (file: string, value: unknown) => writeFileSync(join(folder, file), JSON.stringify(value));
  write('config.json', json);
  write('tokenizer.json', tokenizerJson);
  write('tokenizer_config.json', tokenizerConfig);
  const weights = new RandomWeights(config, { seed: 7 });
  const tensors = weights.names().map((name) => ({
    name,
    dtype: weights.info(name).dtype,
    shape: weights.info(name).shape,
    data: () => weights.source(name),
  }));
  await writeShardedCheckpoint(folder, tensors, {});
}
