import { describe, expect, it } from 'vitest';
import { goldenHeaders } from '../accounting/fixtures/headers.ts';
import { failure } from './fixtures/failure.ts';
import type { JsonObject } from './model-config.ts';
import { parseConfig } from './parse-config.ts';
import { deepseekV2Lite, deepseekV3, kimiK2 } from './presets-published.ts';
import { tiny } from './presets-small.ts';

function without(json: JsonObject, ...keys: string[]): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !keys.includes(key)));
}

describe('parseConfig', () => {
  it('reads the config of DeepSeek-V3', () => {
    const { raw, ...config } = parseConfig(deepseekV3);
    expect(raw).toEqual(deepseekV3);
    expect(config).toEqual({
      family: 'deepseek_v3',
      modelType: 'deepseek_v3',
      vocabSize: 129280,
      hiddenSize: 7168,
      intermediateSize: 18432,
      numHiddenLayers: 61,
      numAttentionHeads: 128,
      numKeyValueHeads: 128,
      qLoraRank: 1536,
      kvLoraRank: 512,
      qkNopeHeadDim: 128,
      qkRopeHeadDim: 64,
      vHeadDim: 128,
      maxPositionEmbeddings: 163840,
      ropeTheta: 10000,
      ropeScaling: {
        type: 'yarn',
        factor: 40,
        originalMaxPositionEmbeddings: 4096,
        betaFast: 32,
        betaSlow: 1,
        mscale: 1,
        mscaleAllDim: 1,
      },
      ropeInterleave: true,
      rmsNormEps: 1e-6,
      nRoutedExperts: 256,
      nSharedExperts: 1,
      numExpertsPerTok: 8,
      moeIntermediateSize: 2048,
      firstKDenseReplace: 3,
      moeLayerFreq: 1,
      scoringFunc: 'sigmoid',
      topkMethod: 'noaux_tc',
      nGroup: 8,
      topkGroup: 4,
      normTopkProb: true,
      routedScalingFactor: 2.5,
      numNextnPredictLayers: 1,
      tieWordEmbeddings: false,
      hiddenAct: 'silu',
      initializerRange: 0.02,
      auxLossAlpha: 0.001,
      seqAux: true,
      bosTokenId: 0,
      eosTokenId: [1],
      dtype: 'bfloat16',
      quantizationConfig: {
        quantMethod: 'fp8',
        fmt: 'e4m3',
        activationScheme: 'dynamic',
        weightBlockSize: [128, 128],
        scaleFmt: null,
        modulesToNotConvert: [],
      },
      integerQuantization: null,
    });
  });

  it.each(goldenHeaders.map(({ name, json }) => [name, json] as const))('reads the config of %s', (_, json) => {
    expect(parseConfig(json).raw).toEqual(json);
  });

  it('keeps unknown keys, and shares nothing with the object it was given', () => {
    const json = { ...tiny, added_by_someone: { list: [1, 'two', null] } };
    const config = parseConfig(json);
    json.added_by_someone.list.push(3);
    expect(config.raw.added_by_someone).toEqual({ list: [1, 'two', null] });
    expect(Object.isFrozen(config.raw)).toBe(true);
  });

  it('keeps a key called __proto__ as data', () => {
    const json = JSON.parse(`${JSON.stringify(tiny).slice(0, -1)},"__proto__":{"hidden_size":1}}`) as unknown;
    const config = parseConfig(json);
    expect(config.hiddenSize).toBe(64);
    expect(Object.keys(config.raw)).toContain('__proto__');
    expect(Object.getPrototypeOf(config.raw)).toBe(Object.prototype);
  });
});

describe('defaults', () => {
  const optional = [
    'first_k_dense_replace',
    'scoring_func',
    'topk_method',
    'n_group',
    'topk_group',
    'norm_topk_prob',
    'routed_scaling_factor',
    'rms_norm_eps',
    'rope_theta',
    'rope_scaling',
    'moe_layer_freq',
    'tie_word_embeddings',
    'hidden_act',
    'num_key_value_heads',
    'num_nextn_predict_layers',
    'attention_bias',
    'eos_token_id',
    'torch_dtype',
    'quantization_config',
  ];

  it('are those of the V3 config class', () => {
    expect(parseConfig(without(deepseekV3, ...optional))).toMatchObject({
      firstKDenseReplace: 3,
      scoringFunc: 'sigmoid',
      topkMethod: 'noaux_tc',
      nGroup: 8,
      topkGroup: 4,
      normTopkProb: true,
      routedScalingFactor: 2.5,
      rmsNormEps: 1e-6,
      ropeTheta: 10000,
      ropeScaling: null,
      moeLayerFreq: 1,
      tieWordEmbeddings: false,
      numKeyValueHeads: 128,
      numNextnPredictLayers: 0,
      eosTokenId: [],
      dtype: null,
      quantizationConfig: null,
    });
  });

  it('are those of the V2 config class', () => {
    expect(parseConfig(without(deepseekV2Lite, ...optional))).toMatchObject({
      firstKDenseReplace: 0,
      scoringFunc: 'softmax',
      topkMethod: 'greedy',
      nGroup: 1,
      topkGroup: 1,
      normTopkProb: false,
      routedScalingFactor: 1,
    });
  });

  it('read the misspelt default of the V2 config class', () => {
    expect(parseConfig({ ...deepseekV2Lite, topk_method: 'gready' }).topkMethod).toBe('greedy');
  });

  it('read null groups as none, in either family', () => {
    expect(parseConfig({ ...tiny, n_group: null, topk_group: null })).toMatchObject({ nGroup: 1, topkGroup: 1 });
  });

  it.each([null, undefined, 0])('read q_lora_rank %s as a plain query projection', (rank) => {
    expect(parseConfig({ ...tiny, q_lora_rank: rank }).qLoraRank).toBeNull();
  });

  it.each([null, 0])('read n_routed_experts %s as a model without experts', (experts) => {
    const json = { ...without(tiny, 'num_experts_per_tok', 'moe_intermediate_size'), n_routed_experts: experts };
    expect(parseConfig(json)).toMatchObject({ nRoutedExperts: 0, nSharedExperts: 0, numExpertsPerTok: 0 });
  });

  it('read several end tokens, and both names of the dtype', () => {
    expect(parseConfig({ ...tiny, eos_token_id: [1, 7] }).eosTokenId).toEqual([1, 7]);
    expect(parseConfig({ ...without(tiny, 'torch_dtype'), dtype: 'float16' }).dtype).toBe('float16');
  });
});

describe('dispatch', () => {
  it.each([
    ['deepseek_v3', ['DeepseekV3ForCausalLM'], 'deepseek_v3'],
    ['kimi_k2', ['DeepseekV3ForCausalLM'], 'deepseek_v3'],
    ['kimi_k2', undefined, 'deepseek_v3'],
    ['deepseek_v3', null, 'deepseek_v3'],
    ['deepseek_v3', [], 'deepseek_v3'],
    [undefined, ['DeepseekV3ForCausalLM'], 'deepseek_v3'],
    // Where the two disagree, the class that computed the weights decides.
    ['deepseek_v2', ['DeepseekV3ForCausalLM'], 'deepseek_v3'],
  ])('of model_type %s, architectures %j gives %s', (modelType, architectures, family) => {
    expect(parseConfig({ ...tiny, model_type: modelType, architectures }).family).toBe(family);
  });

  it.each([
    ['model_type', { model_type: 'llama' }],
    ['model_type', { model_type: 'deepseek_v32' }],
    ['model_type', { model_type: 'kimi_k25' }],
    ['model_type', { model_type: 'glm4_moe_lite', architectures: ['Glm4MoeLiteForCausalLM'] }],
    ['architectures', { architectures: ['DeepseekV32ForCausalLM'] }],
    ['architectures', { architectures: ['DeepseekV3ForCausalLMNextN'] }],
    ['architectures', { architectures: ['DeepseekV3ForSequenceClassification'] }],
    ['use_mla', { use_mla: false }],
    ['index_topk', { index_topk: 2048 }],
    ['sliding_window', { sliding_window: 128 }],
    ['layer_types', { layer_types: ['full_attention', 'sliding_attention'] }],
    ['linear_attn_config', { linear_attn_config: { kda_layers: [1] } }],
    ['hidden_act', { hidden_act: 'gelu' }],
    ['attention_bias', { attention_bias: true }],
    ['scoring_func', { scoring_func: 'tanh' }],
    ['topk_method', { topk_method: 'random' }],
    ['topk_method', { topk_method: 'greedy' }],
    ['topk_method', { scoring_func: 'softmax' }],
    ['quantization_config.quant_method', { quantization_config: { quant_method: 'compressed-tensors' } }],
    ['quantization_config.fmt', { quantization_config: { ...deepseekV3.quantization_config, fmt: 'e5m2' } }],
    [
      'quantization_config.activation_scheme',
      { quantization_config: { ...deepseekV3.quantization_config, activation_scheme: 'static' } },
    ],
    ['quantization_config.scale_fmt', { quantization_config: { ...deepseekV3.quantization_config, scale_fmt: 'x' } }],
  ])('refuses another %s: %j', (path, change) => {
    const error = failure({ ...tiny, ...change }, 'model/config.json');
    expect(error.code).toBe('CONFIG_UNSUPPORTED');
    expect(error.details.path).toBe(path);
    expect(error.message).toMatch(/^model\/config\.json: /);
  });

  it.each([
    ['model_type', { model_type: undefined, architectures: undefined }],
    ['model_type', { model_type: 7 }],
    ['architectures', { architectures: 'DeepseekV3ForCausalLM' }],
    ['architectures', { architectures: ['DeepseekV3ForCausalLM', 'DeepseekV2ForCausalLM'] }],
    ['architectures[0]', { architectures: [null] }],
  ])('cannot read %s: %j', (path, change) => {
    const error = failure({ ...tiny, ...change });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.details.path).toBe(path);
  });

  it('reads the power-of-two scales of DeepSeek-V3.1 and the lists of transformers', () => {
    const quantization = { quant_method: 'fp8', weight_block_size: [64, 32], scale_fmt: 'ue8m0' };
    const modules = { ...quantization, modules_to_not_convert: ['lm_head'] };
    expect(parseConfig({ ...kimiK2, quantization_config: modules }).quantizationConfig).toMatchObject({
      weightBlockSize: [64, 32],
      scaleFmt: 'ue8m0',
      modulesToNotConvert: ['lm_head'],
    });
  });
});

describe('converted checkpoints', () => {
  it.each([
    ['int8', 128],
    ['int4', 32],
  ])('say that their weights are %s in groups of %i', (format, group_size) => {
    const config = parseConfig({ ...tiny, quantization_config: { quant_method: 'mariana', format, group_size } });
    expect(config.quantizationConfig).toBeNull();
    expect(config.integerQuantization).toEqual({ quantMethod: 'mariana', format, groupSize: group_size });
  });
});

describe('bad configs', () => {
  const required = [
    'vocab_size',
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'kv_lora_rank',
    'qk_nope_head_dim',
    'qk_rope_head_dim',
    'v_head_dim',
    'max_position_embeddings',
    'n_routed_experts',
    'n_shared_experts',
    'num_experts_per_tok',
    'moe_intermediate_size',
  ];
  const absurd = [undefined, 'many', '64', -1, 1.5, 1e12, Number.NaN, Number.POSITIVE_INFINITY, true, [], {}];

  it.each(required)('show the path of %s, missing or absurd', (key) => {
    for (const value of absurd) {
      const error = failure({ ...tiny, [key]: value }, 'here.json');
      expect([error.code, error.details.path, value]).toEqual(['CONFIG_INVALID', key, value]);
      expect(error.message).toMatch(new RegExp(`^here\\.json: ${key} is .*; expected `));
    }
  });

  it.each(required.filter((key) => !key.startsWith('n_')))('do not take 0 or null for %s', (key) => {
    for (const value of [0, null]) expect(failure({ ...tiny, [key]: value }).details.path).toBe(key);
  });

  it('name every wrong key, in one line', () => {
    const error = failure({ ...tiny, hidden_size: -1, v_head_dim: 'x' });
    expect(error.message).toBe(
      'config.json: hidden_size is -1; expected a whole number from 1 to 1048576 (also wrong: v_head_dim)',
    );
    expect(error.details.others).toEqual(['v_head_dim']);
  });

  it.each<[string, JsonObject]>([
    ['qk_rope_head_dim', { qk_rope_head_dim: 7 }],
    ['num_key_value_heads', { num_key_value_heads: 2 }],
    ['n_group', { n_group: 3 }],
    ['n_group', { n_group: 8, topk_group: 4 }],
    ['topk_group', { n_group: 2, topk_group: 3 }],
    ['num_experts_per_tok', { num_experts_per_tok: 5 }],
    ['num_experts_per_tok', { n_group: 1, num_experts_per_tok: 9 }],
    ['eos_token_id', { eos_token_id: 'stop' }],
    ['eos_token_id[1]', { eos_token_id: [1, -2] }],
    ['moe_layer_freq', { moe_layer_freq: [0, 1, 1] }],
    ['moe_layer_freq', { moe_layer_freq: 0 }],
    ['rms_norm_eps', { rms_norm_eps: 0 }],
    ['routed_scaling_factor', { routed_scaling_factor: -2.5 }],
    ['tie_word_embeddings', { tie_word_embeddings: 'no' }],
    ['quantization_config.quant_method', { quantization_config: {} }],
    ['quantization_config.weight_block_size', { quantization_config: { quant_method: 'fp8' } }],
    [
      'quantization_config.weight_block_size[1]',
      { quantization_config: { quant_method: 'fp8', weight_block_size: [128, 0] } },
    ],
    ['quantization_config.weight_block_size', { quantization_config: { quant_method: 'fp8', weight_block_size: 128 } }],
    ['quantization_config.format', { quantization_config: { quant_method: 'mariana', group_size: 32 } }],
    ['quantization_config.format', { quantization_config: { quant_method: 'mariana', format: 'int2' } }],
    ['quantization_config.group_size', { quantization_config: { quant_method: 'mariana', format: 'int8' } }],
    [
      'quantization_config.group_size',
      { quantization_config: { quant_method: 'mariana', format: 'int8', group_size: 48 } },
    ],
  ])('are refused at %s: %j', (path, change) => {
    const error = failure({ ...tiny, ...change });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.details.path).toBe(path);
  });

  it('let a greedy router ignore groups, but not a group-limited one', () => {
    expect(parseConfig({ ...deepseekV2Lite, n_group: 5 }).nGroup).toBe(5);
    const limited = { ...deepseekV2Lite, topk_method: 'group_limited_greedy' };
    expect(failure({ ...limited, n_group: 5 }).details.path).toBe('n_group');
    // One expert a group is fine where a group counts as its best expert.
    expect(parseConfig({ ...limited, n_group: 64, topk_group: 8 }).nGroup).toBe(64);
  });

  it('are refused where every size is possible but all together are not', () => {
    const error = failure({
      ...tiny,
      hidden_size: 1 << 20,
      intermediate_size: 1 << 20,
      num_hidden_layers: 4096,
      first_k_dense_replace: 4096,
    });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('parameters');
  });

  it.each([null, 7, 'text', true, [], undefined, () => 1, new Map(), new Date()])('are not read from %s', (json) => {
    expect(failure(json)).toMatchObject({ code: 'CONFIG_INVALID', details: { path: '(whole file)' } });
  });

  it('are not followed around a cycle, or down a hole', () => {
    const cycle: Record<string, unknown> = { ...tiny };
    cycle.self = cycle;
    cycle.again = [cycle, cycle];
    expect(failure(cycle).code).toBe('CONFIG_INVALID');
    let deep: unknown = 1;
    for (let level = 0; level < 10_000; level++) deep = [deep];
    expect(failure({ ...tiny, deep }).code).toBe('CONFIG_INVALID');
  });
});
