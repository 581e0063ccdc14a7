import { describe, expect, it } from 'vitest';
import { goldenHeaders } from '../accounting/fixtures/headers.ts';
import { configToJson } from './config-to-json.ts';
import { parseConfig } from './parse-config.ts';
import { preset, presetNames } from './presets.ts';
import { tiny } from './presets-small.ts';

describe('configToJson', () => {
  it('gives back what was read, byte for byte', () => {
    const texts = [
      ...goldenHeaders.map(({ json }) => JSON.stringify(json)),
      ...presetNames.map((name) => JSON.stringify(preset(name).raw)),
      JSON.stringify({ zebra: [1, { a: null }], ...tiny, n_group: null, topk_group: null, q_lora_rank: 0 }),
    ];
    for (const text of texts) {
      expect(JSON.stringify(configToJson(parseConfig(JSON.parse(text))))).toBe(text);
    }
  });

  it('writes what was changed, and nothing else', () => {
    const config = parseConfig({ ...tiny, unknown: 'kept' });
    const json = configToJson({ ...config, numHiddenLayers: 5, eosTokenId: [1, 2], dtype: 'float32', qLoraRank: null });
    expect(json).toEqual({
      ...tiny,
      unknown: 'kept',
      num_hidden_layers: 5,
      eos_token_id: [1, 2],
      torch_dtype: 'float32',
      q_lora_rank: null,
    });
  });

  it.each([
    { ropeTheta: 777 },
    { ropeScaling: null },
    { ropeScaling: { ...preset('deepseek-v3').ropeScaling!, factor: 8 } },
    { quantizationConfig: null },
    {
      quantizationConfig: {
        ...preset('deepseek-v3').quantizationConfig!,
        scaleFmt: 'ue8m0' as const,
        modulesToNotConvert: ['lm_head'],
      },
    },
    {
      quantizationConfig: null,
      integerQuantization: { quantMethod: 'mariana' as const, format: 'int8' as const, groupSize: 128 },
    },
    { eosTokenId: [] },
    { eosTokenId: [3] },
    { numNextnPredictLayers: 0 },
    { ropeInterleave: false },
  ])('reads back the change %j', (change) => {
    const config = preset('deepseek-v3');
    const edited = { ...config, ...change };
    const { raw: _, ...expected } = edited;
    expect(parseConfig(configToJson(edited))).toMatchObject(expected);
  });

  it('replaces rope_parameters when they are changed, so that the file does not contradict itself', () => {
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, rope_theta: 500 };
    const { rope_theta: _, rope_scaling: __, ...plain } = tiny;
    const config = parseConfig({ ...plain, rope_parameters: yarn });
    const json = configToJson({ ...config, ropeTheta: 600 });
    expect(json.rope_parameters).toBeUndefined();
    expect(parseConfig(json)).toMatchObject({ ropeTheta: 600, ropeScaling: config.ropeScaling });
  });

  it('refuses to write a config that could not be read', () => {
    const config = parseConfig(tiny);
    expect(() => configToJson({ ...config, nGroup: 3 })).toThrow(/n_group is 3/);
    expect(() => configToJson({ ...config, hiddenSize: -1 })).toThrow(/hidden_size is -1/);
    const integerQuantization = { quantMethod: 'mariana', format: 'int8', groupSize: 128 } as const;
    expect(() => configToJson({ ...preset('deepseek-v3'), integerQuantization })).toThrow(/not both/);
  });

  it('writes another family with the class that computes it', () => {
    const config = preset('deepseek-v2-lite');
    const json = configToJson({
      ...config,
      family: 'deepseek_v3',
      modelType: 'deepseek_v3',
      scoringFunc: 'sigmoid',
      topkMethod: 'noaux_tc',
    });
    expect(json).toMatchObject({ architectures: ['DeepseekV3ForCausalLM'], model_type: 'deepseek_v3' });
  });
});
