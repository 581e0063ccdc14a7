/** The model in training as others read it: a checkpoint in Hugging Face's layout, in memory, and texts that it writes. */
import { type Backend, configText, MemoryFiles, MemorySink, writeSafetensors } from '@mariana/core';
import { Model } from '@mariana/runtime';
import { exportConfig, exportTensors, type TrainableModel } from '@mariana/train';
import type { TokenizerTexts } from './train-kept.ts';

/** Tokens of a sample, at most. */
const SAMPLE_TOKENS = 96;

/** Files of the checkpoint, weights in BF16. The model must not be trained on meanwhile. */
export async function checkpointFiles(
  model: TrainableModel,
  { tokenizerJson, tokenizerConfig }: TokenizerTexts,
): Promise<Record<string, Blob>> {
  const weights = new MemorySink();
  await writeSafetensors(weights, exportTensors(model, 'bf16'), { metadata: { format: 'pt' } });
  const json = (value: unknown) => new Blob([`${JSON.stringify(value, null, 2)}\n`], { type: 'application/json' });
  const { bosTokenId, eosTokenId } = model.config;
  return {
    'config.json': new Blob([configText(exportConfig(model.config, 'bf16'))], { type: 'application/json' }),
    'generation_config.json': json({
      bos_token_id: bosTokenId,
      eos_token_id: eosTokenId[0],
      do_sample: true,
      temperature: 0.8,
      top_p: 0.95,
    }),
    'model.safetensors': weights.blob(),
    'tokenizer.json': new Blob([tokenizerJson], { type: 'application/json' }),
    'tokenizer_config.json': new Blob([tokenizerConfig], { type: 'application/json' }),
  };
}

/**
 * Lets a checkpoint write, as the Generate place would with the same seed.
 *
 * @param onText - Told of the text so far, now and then.
 * @returns What follows the prompt.
 */
export async function writeSample(
  files: Readonly<Record<string, Blob>>,
  backend: Backend,
  { prompt, seed, onText }: { prompt: string; seed: number; onText: (text: string) => void },
): Promise<string> {
  using model = await Model.load(new MemoryFiles(files, 'the model in training'), { backend });
  using session = model.session();
  let text = '';
  const options = { maxTokens: SAMPLE_TOKENS, temperature: 0.8, topP: 0.95, seed };
  for await (const chunk of session.generate(prompt, options)) {
    text += chunk.text;
    onText(text);
  }
  return text;
}
