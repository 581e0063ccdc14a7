import { configToJson, isMarianaError, parseConfig, preset, presetNames } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CardView,
  configOf,
  FIRST_VIEW,
  titleOf,
  viewFromParameters,
  viewOfPreset,
  viewOfText,
  viewToParameters,
  withChange,
} from '../../src/places/model-card/view.ts';

const shared = (view: CardView): CardView => viewFromParameters(new URLSearchParams(viewToParameters(view).toString()));

function failure(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    if (isMarianaError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('the address of a card', () => {
  it('is short for what is seen first', () => {
    expect(viewToParameters(FIRST_VIEW).toString()).toBe('preset=deepseek-v3');
    expect(viewFromParameters(new URLSearchParams())).toEqual(FIRST_VIEW);
  });

  it.each(presetNames)('brings back %s with all choices', (name) => {
    const view: CardView = { ...viewOfPreset(name), context: 4096, groups: 4, cache: 'e4m3', tokens: 2e12 };
    expect(shared(view)).toEqual(view);
    expect(configOf(shared(view))).toEqual(preset(name));
  });

  it('brings back any config that was dropped in, as far as a card depends on it', () => {
    const sizes = fc.record({
      hidden_size: fc.integer({ min: 1, max: 4096 }),
      kv_lora_rank: fc.integer({ min: 1, max: 1024 }),
      q_lora_rank: fc.option(fc.integer({ min: 1, max: 512 })),
      num_hidden_layers: fc.integer({ min: 1, max: 80 }),
      vocab_size: fc.integer({ min: 1, max: 200_000 }),
      tie_word_embeddings: fc.boolean(),
      n_shared_experts: fc.option(fc.integer({ min: 0, max: 4 })),
    });
    fc.assert(
      fc.property(fc.constantFrom(...presetNames), sizes, (base, changes) => {
        const json = { ...configToJson(preset(base)), ...changes };
        const view = viewOfText(JSON.stringify(json), 'mine/config.json');
        const { raw: _, ...wanted } = parseConfig(json);
        const { raw: __, ...found } = configOf(shared(view));
        expect(found).toMatchObject({
          vocabSize: wanted.vocabSize,
          hiddenSize: wanted.hiddenSize,
          numHiddenLayers: wanted.numHiddenLayers,
          qLoraRank: wanted.qLoraRank,
          kvLoraRank: wanted.kvLoraRank,
          nSharedExperts: wanted.nSharedExperts,
          nRoutedExperts: wanted.nRoutedExperts,
          tieWordEmbeddings: wanted.tieWordEmbeddings,
          quantizationConfig: wanted.quantizationConfig,
        });
      }),
      { numRuns: 60 },
    );
  });

  it('keeps that a key is absent, and calls a preset by its name', () => {
    const { num_nextn_predict_layers: _, ...json } = configToJson(preset('deepseek-v3'));
    const view = viewOfText(JSON.stringify(json), 'config.json');
    expect(viewToParameters(view).toString()).toBe('preset=deepseek-v3&name=config.json&num_nextn_predict_layers=');
    expect(configOf(shared(view)).numNextnPredictLayers).toBe(0);
    expect(titleOf(viewOfText(JSON.stringify(configToJson(preset('small'))), 'config.json'))).toBe('small');
  });

  it('forgets a change that is taken back', () => {
    const changed = withChange(FIRST_VIEW, 'kv_lora_rank', 256);
    expect(viewToParameters(changed).get('kv_lora_rank')).toBe('256');
    expect(configOf(changed).kvLoraRank).toBe(256);
    expect(withChange(changed, 'kv_lora_rank', 512)).toEqual(FIRST_VIEW);
  });

  it.each([
    ['preset=gpt-9', /preset=gpt-9.*use one of deepseek-v3/],
    ['context=0', /context=0.*1 to 131072/],
    ['context=1e3', /context=1e3/],
    ['groups=-1', /groups=-1/],
    ['cache=int2', /cache=int2.*bf16/],
    ['tokens=many', /tokens=many.*above 0/],
    ['tokens=', /tokens=/],
  ])('%s is refused in words', (address, message) => {
    const error = failure(() => viewFromParameters(new URLSearchParams(address)));
    expect(error.code).toBe('USAGE');
    expect(error.message).toMatch(message);
  });

  it('never fails but with words, whatever it says', () => {
    const value = fc.oneof(fc.string(), fc.double().map(String), fc.json());
    const key = fc.constantFrom('hidden_size', 'n_group', 'model_type', 'quantization_config', 'context', 'tokens');
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), (pairs) => {
        try {
          configOf(viewFromParameters(new URLSearchParams(pairs)));
        } catch (error) {
          expect(isMarianaError(error)).toBe(true);
        }
      }),
    );
  });
});

describe('a config that is dropped in', () => {
  it.each([
    ['', /empty.*drop the config\.json/],
    ['{"hidden_size": 12,\n  }', /line 2, column 3.*correct the file/],
    ['[1, 2]', /a JSON object/],
    ['{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}', /model_type "llama".*it loads/],
    [JSON.stringify({ ...configToJson(preset('deepseek-v3')), hidden_size: 'wide' }), /hidden_size/],
  ])('and is none is refused with place and advice: %#', (text, message) => {
    const error = failure(() => viewOfText(text, 'config.json'));
    expect(error.code).toMatch(/^CONFIG_/);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^config\.json/);
  });
});
