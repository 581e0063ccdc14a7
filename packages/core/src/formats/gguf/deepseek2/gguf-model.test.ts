/** A model written as GGUF and read back is the model: its config, every value, and its tokenizer. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectedTensors } from '../../../accounting/expected-tensors.ts';
import { validateCheckpoint } from '../../../accounting/validate-checkpoint.ts';
import { RandomWeights } from '../../../checkpoint/random-weights.ts';
import { weightRows } from '../../../checkpoint/weight-rows.ts';
import { weightSource } from '../../../checkpoint/weight-source.ts';
import type { ModelConfig } from '../../../config/model-config.ts';
import { parseConfig } from '../../../config/parse-config.ts';
import { preset } from '../../../config/presets.ts';
import { tiny } from '../../../config/presets-small.ts';
import { decodeBlocks, encodeBlocks } from '../../../dtype/block-formats.ts';
import { MemorySink } from '../../sink.ts';
import { MemorySource } from '../../sources/memory-source.ts';
import type { TensorStore } from '../../tensor-store.ts';
import { GgufFile } from '../gguf-file.ts';
import type { GgufValue } from '../value.ts';
import { writeGguf } from '../writer.ts';
import { configFromGguf } from './config-from-metadata.ts';
import { ggufCheckpoint } from './gguf-checkpoint.ts';
import { type GgufModelOptions, ggufModel } from './gguf-model.ts';
import { mscalesOf, yarnKeysOf } from './yarn.ts';

async function write(
  config: ModelConfig,
  weights: TensorStore,
  options: GgufModelOptions = {},
  keys: Readonly<Record<string, GgufValue | null>> = {},
): Promise<GgufFile> {
  const sink = new MemorySink();
  const content = ggufModel(config, weights, options);
  const metadata = new Map(content.metadata);
  for (const [key, value] of Object.entries(keys)) {
    if (value === null) metadata.delete(key);
    else metadata.set(key, value);
  }
  await writeGguf(sink, { ...content, metadata });
  return GgufFile.open(new MemorySource(sink.bytes(), 'model.gguf'));
}

/** A tokenizer of one token. */
const BYTES = {
  pre_tokenizer: { type: 'ByteLevel', use_regex: true },
  decoder: { type: 'ByteLevel' },
  model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
};

/** A tensor of a checkpoint in F32, whatever its format. */
async function values(config: ModelConfig, store: TensorStore, name: string, shape: readonly number[]) {
  const [rows, columns] = shape;
  if (columns === undefined) return store.readF32(name);
  const blockSize = config.quantizationConfig?.weightBlockSize;
  return weightRows(weightSource(store, name, [rows!, columns], blockSize && { blockSize })).read(0, rows!);
}

const CONFIGS: Readonly<Record<string, ModelConfig>> = {
  'V3 with q-lora and groups': parseConfig(tiny),
  'V3 without q-lora': parseConfig({ ...tiny, q_lora_rank: null, rms_norm_eps: 1e-5 }),
  'V2 with softmax': parseConfig({
    ...tiny,
    architectures: ['DeepseekV2ForCausalLM'],
    model_type: 'deepseek_v2',
    scoring_func: 'softmax',
    topk_method: 'greedy',
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: false,
    routed_scaling_factor: 1,
  }),
  'a tied head': parseConfig({ ...tiny, tie_word_embeddings: true }),
  'no experts': parseConfig({ ...tiny, n_routed_experts: null }),
  'odd sizes': parseConfig({
    ...tiny,
    num_attention_heads: 5,
    num_key_value_heads: 5,
    qk_rope_head_dim: 6,
    vocab_size: 131,
    kv_lora_rank: 33,
  }),
};

describe.each(Object.entries(CONFIGS))('a model of %s', (_name, config) => {
  it('has the values that it was written with', async () => {
    const weights = new RandomWeights(config, { seed: 3 });
    const checkpoint = ggufCheckpoint(await write(config, weights, { quant: 'f32' }));
    validateCheckpoint(checkpoint.config, checkpoint);
    for (const { name, shape, mtp } of expectedTensors(config)) {
      if (mtp) expect(checkpoint.has(name)).toBe(false);
      else expect(await checkpoint.readF32(name), name).toEqual(await values(config, weights, name, shape));
    }
  });

  it('has the config that it was written with, but for what a file cannot say', async () => {
    const { config: read } = ggufCheckpoint(await write(config, new RandomWeights(config)));
    const { raw: _, ...expected } = config;
    const unsaid: Partial<ModelConfig> = {
      dtype: null,
      numNextnPredictLayers: 0,
      modelType: read.modelType,
      initializerRange: read.initializerRange,
      auxLossAlpha: read.auxLossAlpha,
      seqAux: read.seqAux,
    };
    // Without experts nothing says how they would be chosen.
    const router: (keyof ModelConfig)[] =
      config.nRoutedExperts > 0
        ? []
        : ['family', 'scoringFunc', 'topkMethod', 'nGroup', 'topkGroup', 'normTopkProb', 'routedScalingFactor'];
    for (const field of [...router, ...(config.nRoutedExperts > 0 ? [] : ['firstKDenseReplace'])]) {
      Object.assign(unsaid, { [field]: read[field as keyof ModelConfig] });
    }
    expect(read).toMatchObject({ ...expected, ...unsaid });
  });
});

describe('formats', () => {
  const config = CONFIGS['V3 with q-lora and groups']!;
  const weights = new RandomWeights(config, { seed: 1 });

  it.each(['bf16', 'f16'] as const)('%s keeps what it can hold, and never narrows norms and routers', async (quant) => {
    const file = await write(config, weights, { quant });
    for (const name of file.names()) {
      const { type, shape } = file.entry(name);
      const exact = shape.length === 1 || name.includes('ffn_gate_inp');
      expect(type.name, name).toBe(exact ? 'F32' : quant.toUpperCase());
    }
    const checkpoint = ggufCheckpoint(file);
    for (const name of ['model.embed_tokens.weight', 'model.layers.1.self_attn.kv_b_proj.weight']) {
      expect(checkpoint.info(name).dtype).toBe(quant);
      const [read, original] = [await checkpoint.readF32(name), await weights.readF32(name)];
      read.forEach((value, i) => {
        expect(Math.abs(value - original[i]!)).toBeLessThanOrEqual(quant === 'bf16' ? 0 : 2 ** -25);
      });
    }
  });

  it('q8_0 comes back as packed integers of the same values, or as F32', async () => {
    const file = await write(config, weights, { quant: 'q8_0' });
    const packed = ggufCheckpoint(file);
    const plain = ggufCheckpoint(file, { packed: false });
    expect(packed.config.integerQuantization).toEqual({ quantMethod: 'mariana', format: 'int8', groupSize: 32 });
    expect(plain.config.integerQuantization).toBeNull();
    expect(validateCheckpoint(packed.config, packed).integerWeights).toBeGreaterThan(10);
    expect(validateCheckpoint(plain.config, plain).integerWeights).toBe(0);
    for (const { name, shape, mtp, kind } of expectedTensors(config)) {
      if (mtp) continue;
      const read = await values(packed.config, packed, name, shape);
      expect(await plain.readF32(name), name).toEqual(read);
      const columns = shape.at(-1)!;
      if (kind === 'dense_mlp') {
        const original = await weights.readF32(name);
        expect(columns % 32).toBe(0);
        expect(read, name).toEqual(decodeBlocks('q8_0', encodeBlocks('q8_0', original)));
      }
    }
  });

  it('FP8 weights are written as what they mean', async () => {
    const fp8 = parseConfig({ ...tiny, quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] } });
    const source = new RandomWeights(fp8, { dtype: 'fp8' });
    const checkpoint = ggufCheckpoint(await write(fp8, source, { quant: 'f32' }));
    for (const { name, shape, mtp } of expectedTensors(fp8)) {
      if (!mtp) expect(await checkpoint.readF32(name), name).toEqual(await values(fp8, source, name, shape));
    }
  });

  it('rotary rows in halves are written in pairs', async () => {
    const halves = parseConfig({ ...tiny, rope_interleave: false });
    const source = new RandomWeights(halves);
    const checkpoint = ggufCheckpoint(await write(halves, source, { quant: 'f32' }));
    expect(checkpoint.config.ropeInterleave).toBe(true);
    const { hiddenSize, kvLoraRank: latent, qkRopeHeadDim: rope } = halves;
    const name = 'model.layers.0.self_attn.kv_a_proj_with_mqa.weight';
    const row = (all: Float32Array, index: number) => all.subarray(index * hiddenSize, (index + 1) * hiddenSize);
    const [before, after] = [await source.readF32(name), await checkpoint.readF32(name)];
    for (let i = 0; i < latent; i++) expect(row(after, i)).toEqual(row(before, i));
    for (let i = 0; i < rope / 2; i++) {
      expect(row(after, latent + 2 * i)).toEqual(row(before, latent + i));
      expect(row(after, latent + 2 * i + 1)).toEqual(row(before, latent + rope / 2 + i));
    }
    const queries = 'model.layers.0.self_attn.q_b_proj.weight';
    const head = halves.qkNopeHeadDim + rope;
    const width = halves.qLoraRank!;
    const query = (all: Float32Array, index: number) => all.subarray(index * width, (index + 1) * width);
    const [qBefore, qAfter] = [await source.readF32(queries), await checkpoint.readF32(queries)];
    for (const first of [0, head]) {
      expect(query(qAfter, first)).toEqual(query(qBefore, first));
      const at = first + halves.qkNopeHeadDim;
      expect(query(qAfter, at + 1)).toEqual(query(qBefore, at + rope / 2));
      expect(query(qAfter, at + 2)).toEqual(query(qBefore, at + 1));
    }
  });

  it('refuses values that F16 cannot hold, naming the tensor', async () => {
    const huge: TensorStore = Object.create(weights, {
      source: {
        value: (name: string) =>
          name === 'lm_head.weight'
            ? new MemorySource(new Uint8Array(weights.info(name).byteLength).fill(0x7f), name)
            : weights.source(name),
      },
    });
    Object.assign(huge, { info: weights.info.bind(weights), has: weights.has.bind(weights) });
    await expect(write(config, huge, { quant: 'f16' })).rejects.toMatchObject({
      code: 'TENSOR_INVALID',
      message: expect.stringContaining('lm_head.weight'),
    });
  });
});

describe('YaRN', () => {
  it.each([
    [1, 1],
    [0.707, 0.707],
    [1, 0],
    [0, 0],
    [0.8, 1.2],
    [2, 0.5],
    [0, 1],
  ])('keeps mscale %d and mscale_all_dim %d', async (mscale, mscale_all_dim) => {
    const rope_scaling = { type: 'yarn', factor: 40, original_max_position_embeddings: 64, mscale, mscale_all_dim };
    const config = parseConfig({ ...tiny, rope_scaling });
    const read = configFromGguf(await write(config, new RandomWeights(config)));
    expect(read.ropeScaling).toEqual(config.ropeScaling);
  });

  it('is the inverse of itself for any mscales', () => {
    const mscale = fc.double({ min: 0, max: 4, noNaN: true });
    fc.assert(
      fc.property(fc.double({ min: 1.5, max: 200, noNaN: true }), mscale, mscale, (factor, a, b) => {
        const keys = yarnKeysOf(factor, { mscale: a, mscaleAllDim: b });
        const back = mscalesOf(factor, keys);
        expect(back.mscale).toBeCloseTo(a, 3);
        expect(back.mscaleAllDim).toBeCloseTo(b, 3);
      }),
    );
  });

  it('reads a file without the multiplier as a config without mscales', () => {
    const none = { logMultiplier: undefined, attentionFactor: undefined };
    expect(mscalesOf(40, none)).toEqual({ mscale: 1, mscaleAllDim: 0 });
    expect(mscalesOf(40, { ...none, logMultiplier: 0 })).toEqual({ mscale: 1, mscaleAllDim: 0 });
    expect(mscalesOf(40, { ...none, logMultiplier: Math.fround(0.0707) })).toEqual({
      mscale: 0.707,
      mscaleAllDim: 0.707,
    });
  });
});

describe('what cannot be written', () => {
  it.each([
    [{ moe_layer_freq: 2 }, /moe_layer_freq is 2/],
    [{ n_shared_experts: 0 }, /no shared ones/],
    [{ num_hidden_layers: 27 }, /27 layers/],
  ])('is refused: %j', (change, message) => {
    const config = parseConfig({ ...tiny, ...change });
    expect(() => ggufModel(config, new RandomWeights(config))).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
  });

  it('is said: where llama.cpp computes otherwise', () => {
    const warnings = (change: object) => {
      const config = parseConfig({ ...tiny, num_nextn_predict_layers: 0, ...change });
      const tokenizer = { tokenizerJson: BYTES };
      return ggufModel(config, new RandomWeights(config), { tokenizer }).warnings;
    };
    expect(warnings({})).toEqual([]);
    expect(warnings({ rms_norm_eps: 1e-5 })).toEqual([expect.stringContaining('epsilon')]);
    expect(warnings({ num_nextn_predict_layers: 1 })).toEqual([expect.stringContaining('multi-token')]);
    const v2 = { architectures: ['DeepseekV2ForCausalLM'], model_type: 'deepseek_v2', scoring_func: 'softmax' };
    expect(warnings({ ...v2, topk_method: 'group_limited_greedy' })).toEqual([expect.stringContaining('groups')]);
  });
});

describe('configs of files by other writers', () => {
  const config = CONFIGS['V3 with q-lora and groups']!;
  const weights = new RandomWeights(config);
  const read = async (keys: Parameters<typeof write>[3]) => configFromGguf(await write(config, weights, {}, keys));
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });

  it('take the defaults of their time where keys are missing', async () => {
    const old = await read({
      'deepseek2.expert_gating_func': null,
      'deepseek2.expert_group_count': null,
      'deepseek2.expert_group_used_count': null,
      'deepseek2.expert_weights_norm': null,
      'deepseek2.expert_weights_scale': null,
      'deepseek2.vocab_size': null,
      'deepseek2.rope.freq_base': null,
      'deepseek2.attention.q_lora_rank': null,
    });
    expect(old).toMatchObject({
      family: 'deepseek_v2',
      scoringFunc: 'softmax',
      topkMethod: 'greedy',
      nGroup: 1,
      normTopkProb: false,
      routedScalingFactor: 1,
      vocabSize: config.vocabSize,
      ropeTheta: 10_000,
      qLoraRank: config.qLoraRank,
    });
  });

  it('may have head sizes under the plain names, as before the split', async () => {
    const old = await read({
      'deepseek2.attention.key_length_mla': null,
      'deepseek2.attention.value_length_mla': null,
      'deepseek2.attention.key_length': u32(config.qkNopeHeadDim + config.qkRopeHeadDim),
      'deepseek2.attention.value_length': u32(config.vHeadDim),
    });
    expect(old).toMatchObject({ qkNopeHeadDim: config.qkNopeHeadDim, vHeadDim: config.vHeadDim });
  });

  it('may have one number for each layer if all are the same', async () => {
    const key = 'deepseek2.expert_feed_forward_length';
    const list = (...value: number[]): GgufValue => ({ type: 'array', of: 'u32', value });
    expect(await read({ [key]: list(32, 32, 32) })).toMatchObject({ moeIntermediateSize: 32 });
    await expect(read({ [key]: list(32, 64) })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('the same number for every layer'),
    });
  });

  it.each([
    ['general.architecture', { type: 'string', value: 'qwen3' } as GgufValue, 'CONFIG_UNSUPPORTED'],
    ['general.architecture', null, 'CONFIG_INVALID'],
    ['split.count', u32(3), 'CONFIG_UNSUPPORTED'],
    ['deepseek2.expert_gating_func', u32(3), 'CONFIG_UNSUPPORTED'],
    ['deepseek2.rope.scaling.type', { type: 'string', value: 'linear' } as GgufValue, 'CONFIG_UNSUPPORTED'],
    ['deepseek2.attention.temperature_scale', { type: 'f32', value: 0.1 } as GgufValue, 'CONFIG_UNSUPPORTED'],
    ['deepseek2.attention.indexer.top_k', u32(64), 'CONFIG_UNSUPPORTED'],
    ['deepseek2.embedding_length', null, 'CONFIG_INVALID'],
    ['deepseek2.embedding_length', { type: 'string', value: 'big' } as GgufValue, 'CONFIG_INVALID'],
    ['deepseek2.block_count', u32(0), 'CONFIG_INVALID'],
    ['deepseek2.attention.head_count', u32(2 ** 31), 'CONFIG_INVALID'],
    ['deepseek2.rope.freq_base', { type: 'f32', value: Number.NaN } as GgufValue, 'CONFIG_INVALID'],
    ['deepseek2.expert_weights_norm', u32(1), 'CONFIG_INVALID'],
    ['deepseek2.expert_count', u32(7), 'CONFIG_INVALID'],
  ])('are refused for %s %j: %s', async (key, value, code) => {
    await expect(read({ [key]: value })).rejects.toMatchObject({ code });
  });
});

describe('tensors of files by other writers', () => {
  const config = CONFIGS['V3 with q-lora and groups']!;
  const weights = new RandomWeights(config);

  /** The model with the tensors that `change` makes of its own. */
  const rewrite = async (
    change: (
      tensors: Map<string, Parameters<typeof writeGguf>[1]['tensors'] extends Iterable<infer T> ? T : never>,
    ) => void,
  ) => {
    const content = ggufModel(config, weights, { quant: 'f32' });
    const tensors = new Map([...content.tensors].map((tensor) => [tensor.name, tensor]));
    change(tensors);
    const sink = new MemorySink();
    await writeGguf(sink, { metadata: content.metadata, tensors: tensors.values() });
    return GgufFile.open(new MemorySource(sink.bytes(), 'model.gguf'));
  };

  it('may hold kv_b_proj in one piece', async () => {
    const name = 'model.layers.1.self_attn.kv_b_proj.weight';
    const original = await weights.readF32(name);
    const file = await rewrite((tensors) => {
      tensors.delete('blk.1.attn_k_b.weight');
      tensors.delete('blk.1.attn_v_b.weight');
      const shape = weights.info(name).shape;
      tensors.set('old', { name: 'blk.1.attn_kv_b.weight', type: 'F32', shape, data: original });
    });
    const checkpoint = ggufCheckpoint(file);
    validateCheckpoint(checkpoint.config, checkpoint);
    expect(await checkpoint.readF32(name)).toEqual(original);
  });

  it('may hold gates and ups of the experts in one stack', async () => {
    const { nRoutedExperts: experts, moeIntermediateSize: width, hiddenSize } = config;
    const fused = new Float32Array(experts * 2 * width * hiddenSize);
    const expertName = (expert: number, part: string) => `model.layers.1.mlp.experts.${expert}.${part}_proj.weight`;
    for (let expert = 0; expert < experts; expert++) {
      fused.set(await weights.readF32(expertName(expert, 'gate')), 2 * expert * width * hiddenSize);
      fused.set(await weights.readF32(expertName(expert, 'up')), (2 * expert + 1) * width * hiddenSize);
    }
    const file = await rewrite((tensors) => {
      tensors.delete('blk.1.ffn_gate_exps.weight');
      tensors.delete('blk.1.ffn_up_exps.weight');
      const shape = [experts, 2 * width, hiddenSize];
      tensors.set('fused', { name: 'blk.1.ffn_gate_up_exps.weight', type: 'F32', shape, data: fused });
    });
    const checkpoint = ggufCheckpoint(file);
    validateCheckpoint(checkpoint.config, checkpoint);
    for (const name of [expertName(0, 'up'), expertName(3, 'gate'), expertName(experts - 1, 'up')]) {
      expect(await checkpoint.readF32(name)).toEqual(await weights.readF32(name));
    }
  });

  it('are refused where they are missing, of another shape, in two forms, or unknown', async () => {
    const failure = async (change: Parameters<typeof rewrite>[0]) => {
      const file = await rewrite(change);
      return (async () => {
        const checkpoint = ggufCheckpoint(file);
        return validateCheckpoint(checkpoint.config, checkpoint);
      })();
    };
    const extra = (name: string, shape: number[]) => ({
      name,
      type: 'F32' as const,
      shape,
      data: new Float32Array(shape.reduce((a, b) => a * b)),
    });
    await expect(failure((tensors) => tensors.delete('blk.1.attn_v_b.weight'))).rejects.toMatchObject({
      code: 'TENSOR_MISSING',
      message: expect.stringContaining('attn_v_b'),
    });
    await expect(failure((tensors) => tensors.delete('blk.1.attn_k_b.weight'))).rejects.toMatchObject({
      code: 'TENSOR_MISSING',
    });
    await expect(failure((tensors) => tensors.delete('blk.0.attn_norm.weight'))).rejects.toMatchObject({
      code: 'TENSOR_MISSING',
    });
    await expect(failure((tensors) => tensors.set('x', extra('blk.1.attn_rot_embd.bias', [4])))).rejects.toMatchObject({
      code: 'TENSOR_UNEXPECTED',
      message: expect.stringContaining('attn_rot_embd'),
    });
    await expect(failure((tensors) => tensors.set('x', extra('blk.1.attn_kv_b.weight', [2, 2])))).rejects.toMatchObject(
      { code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining('twice') },
    );
    await expect(
      failure((tensors) => tensors.set('blk.1.ffn_up_exps.weight', extra('blk.1.ffn_up_exps.weight', [3, 3, 32]))),
    ).rejects.toMatchObject({ code: 'TENSOR_MISMATCH', message: expect.stringContaining('ffn_up_exps') });
  });
});

describe('DeepSeek-V3', () => {
  it('is described as its published files are', () => {
    const config = preset('deepseek-v3');
    const { metadata, tensors } = ggufModel(config, new RandomWeights(config), { quant: 'q8_0' });
    const value = (key: string) => metadata.get(`deepseek2.${key}`)?.value;
    expect(value('attention.key_length')).toBe(576);
    expect(value('attention.key_length_mla')).toBe(192);
    expect(value('expert_group_count')).toBe(8);
    expect(value('rope.scaling.yarn_log_multiplier')).toBeCloseTo(0.1);
    expect(value('rope.scaling.attn_factor')).toBeUndefined();
    const list = [...tensors];
    expect(list).toHaveLength(1086);
    const keys = list.find(({ name }) => name === 'blk.60.attn_k_b.weight');
    expect(keys).toMatchObject({ type: 'Q8_0', shape: [128, 512, 128] });
    expect(list.find(({ name }) => name === 'blk.60.ffn_down_exps.weight')?.shape).toEqual([256, 7168, 2048]);
  });
});
