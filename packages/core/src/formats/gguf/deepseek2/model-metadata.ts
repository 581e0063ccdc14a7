/**
 * The metadata of a model as a `deepseek2` GGUF file has them: the keys that llama.cpp's converter writes
 * (conversion/base.py and deepseek.py, `set_gguf_parameters`) and its loader wants (src/models/deepseek2.cpp), and what
 * cannot be said in them.
 */

import type { ModelConfig } from '../../../config/model-config.ts';
import { latentNormEps, qkHeadDim, routerParameters } from '../../../config/semantics.ts';
import { MarianaError } from '../../../errors.ts';
import type { GgufMetadata, GgufValue } from '../value.ts';
import { ARCHITECTURE } from './config-from-metadata.ts';
import { yarnKeysOf } from './yarn.ts';

/** How the matrices of a model are stored in a GGUF file. */
export type GgufQuant = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** `general.file_type` (llama.cpp's `llama_ftype`). */
const FILE_TYPES: Readonly<Record<GgufQuant, number>> = { f32: 0, f16: 1, bf16: 32, q8_0: 7 };

/** Every `GgufQuant`. */
export const GGUF_QUANTS = Object.keys(FILE_TYPES) as readonly GgufQuant[];

/** `general.quantization_version`: the layout of ggml's blocks. */
const QUANTIZATION_VERSION = 2;

const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const f32 = (value: number): GgufValue => ({ type: 'f32', value });
const text = (value: string): GgufValue => ({ type: 'string', value });

/**
 * The keys of a model, without those of its tokenizer.
 *
 * The numbers are the effective ones: a router that does not scale (softmax with normalised weights) gets the scale 1,
 * and one that takes no notice of groups gets one group, since llama.cpp would scale and group.
 *
 * @throws MarianaError `CONFIG_UNSUPPORTED` for a config that no such file can describe, or that llama.cpp would misread.
 */
export function modelMetadata(config: ModelConfig, quant: GgufQuant, name: string): GgufMetadata {
  refuseWhatCannotBeSaid(config);
  const { kvLoraRank, qkRopeHeadDim: rope, numHiddenLayers: layers } = config;
  const experts = config.nRoutedExperts;
  const router = experts === 0 ? null : routerParameters(config);
  const model: [string, GgufValue | undefined][] = [
    ['block_count', u32(layers)],
    ['context_length', u32(config.maxPositionEmbeddings)],
    ['embedding_length', u32(config.hiddenSize)],
    ['feed_forward_length', u32(config.intermediateSize)],
    ['attention.head_count', u32(config.numAttentionHeads)],
    // Absorbed latent attention is attention with one key a token, as wide as the cache.
    ['attention.head_count_kv', u32(1)],
    ['attention.key_length', u32(kvLoraRank + rope)],
    ['attention.value_length', u32(kvLoraRank)],
    ['attention.key_length_mla', u32(qkHeadDim(config))],
    ['attention.value_length_mla', u32(config.vHeadDim)],
    // Zero says "none", without which llama.cpp refuses all but a few models that it knows by their size.
    ['attention.q_lora_rank', u32(config.qLoraRank ?? 0)],
    ['attention.kv_lora_rank', u32(kvLoraRank)],
    ['attention.layer_norm_rms_epsilon', f32(config.rmsNormEps)],
    ['rope.dimension_count', u32(rope)],
    ['rope.freq_base', f32(config.ropeTheta)],
    ...ropeScaling(config),
    ['vocab_size', u32(config.vocabSize)],
    ['leading_dense_block_count', u32(router === null ? layers : Math.min(layers, config.firstKDenseReplace))],
    ['expert_count', u32(experts)],
    ['expert_used_count', u32(config.numExpertsPerTok)],
    ['expert_shared_count', u32(config.nSharedExperts)],
    ['expert_feed_forward_length', u32(router === null ? config.intermediateSize : config.moeIntermediateSize)],
    ['expert_group_count', router === null ? undefined : u32(router.nGroup)],
    ['expert_group_used_count', router === null ? undefined : u32(router.topkGroup)],
    ['expert_gating_func', router === null ? undefined : u32(router.scoring === 'sigmoid' ? 2 : 1)],
    ['expert_weights_scale', router === null ? undefined : f32(router.scale)],
    ['expert_weights_norm', router?.normalize ? { type: 'bool', value: true } : undefined],
  ];
  return new Map([
    ['general.architecture', text(ARCHITECTURE)],
    ['general.type', text('model')],
    ['general.name', text(name)],
    ['general.file_type', u32(FILE_TYPES[quant])],
    ['general.quantization_version', u32(QUANTIZATION_VERSION)],
    ...model.flatMap(([key, value]): [string, GgufValue][] =>
      value === undefined ? [] : [[`${ARCHITECTURE}.${key}`, value]],
    ),
  ]);
}

/** In what llama.cpp will compute otherwise than the original implementations, whatever the file says. */
export function modelWarnings(config: ModelConfig): string[] {
  const warnings: string[] = [];
  if (config.nRoutedExperts > 0 && config.topkMethod === 'group_limited_greedy' && config.nGroup > 1) {
    warnings.push('llama.cpp ranks groups of experts by their two best scores, this model by the best one');
  }
  if (config.rmsNormEps !== latentNormEps) {
    warnings.push(
      `llama.cpp uses the epsilon ${config.rmsNormEps} in all norms, the two inside attention have ${latentNormEps}`,
    );
  }
  if (config.numNextnPredictLayers > 0) warnings.push('the multi-token-prediction layers are left out');
  return warnings;
}

function ropeScaling({ ropeScaling: scaling }: ModelConfig): [string, GgufValue | undefined][] {
  if (scaling === null) return [];
  const { logMultiplier, attentionFactor } = yarnKeysOf(scaling.factor, scaling);
  return [
    ['rope.scaling.type', text('yarn')],
    ['rope.scaling.factor', f32(scaling.factor)],
    ['rope.scaling.original_context_length', u32(scaling.originalMaxPositionEmbeddings)],
    ['rope.scaling.yarn_beta_fast', f32(scaling.betaFast)],
    ['rope.scaling.yarn_beta_slow', f32(scaling.betaSlow)],
    ['rope.scaling.yarn_log_multiplier', logMultiplier === undefined ? undefined : f32(logMultiplier)],
    ['rope.scaling.attn_factor', attentionFactor === undefined ? undefined : f32(attentionFactor)],
  ];
}

function refuseWhatCannotBeSaid(config: ModelConfig): void {
  const { numHiddenLayers: layers, vocabSize, moeLayerFreq, nRoutedExperts, nSharedExperts } = config;
  if (nRoutedExperts > 0 && moeLayerFreq !== 1) {
    throw unsupported(`moe_layer_freq is ${moeLayerFreq}; after the first layers a GGUF file has experts in every one`);
  }
  if (nRoutedExperts > 0 && nSharedExperts === 0) {
    throw unsupported('it has routed experts but no shared ones, which llama.cpp does not load');
  }
  const isLite = layers === 26 || layers === 27 || (layers === 48 && vocabSize === 128_256);
  if (isLite && config.qLoraRank !== null) {
    throw unsupported(`llama.cpp takes a model of ${layers} layers for one without q_lora_rank, which this one has`);
  }
}

function unsupported(why: string): MarianaError {
  return new MarianaError('CONFIG_UNSUPPORTED', `this model cannot be written as GGUF: ${why}`);
}
