/**
 * The model whose training is measured, with random weights as an F32 checkpoint that Mariana and PyTorch both read, and
 * the batches that both learn from. Made once and kept in the cache folder.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  configText,
  expectedTensors,
  type JsonObject,
  parseConfig,
  RandomWeights,
  type TensorToWrite,
} from '@mariana/core';
import { writeShardedCheckpoint } from '@mariana/core/node';

/** An early shape of `packages/model-stories`, written out so that figures of different days are of the same model. */
export const TRAIN_CONFIG = {
  architectures: ['DeepseekV3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 0,
  eos_token_id: 1,
  first_k_dense_replace: 1,
  hidden_act: 'silu',
  hidden_size: 192,
  initializer_range: 0.05,
  intermediate_size: 320,
  kv_lora_rank: 64,
  max_position_embeddings: 512,
  model_type: 'deepseek_v3',
  moe_intermediate_size: 64,
  moe_layer_freq: 1,
  n_group: 1,
  n_routed_experts: 32,
  n_shared_experts: 1,
  norm_topk_prob: true,
  num_attention_heads: 4,
  num_experts_per_tok: 4,
  num_hidden_layers: 3,
  num_key_value_heads: 4,
  num_nextn_predict_layers: 1,
  q_lora_rank: null,
  qk_nope_head_dim: 32,
  qk_rope_head_dim: 16,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 10000,
  routed_scaling_factor: 1,
  scoring_func: 'sigmoid',
  tie_word_embeddings: false,
  topk_group: 1,
  topk_method: 'noaux_tc',
  torch_dtype: 'float32',
  use_cache: true,
  v_head_dim: 32,
  vocab_size: 2048,
} as const satisfies JsonObject;

/** A step's batch, as the recipe has it. */
export const TRAIN_BATCH = { sequences: 4, sequenceLength: 512 } as const;

/** Different batches, so that none is learned by heart. */
const BATCHES = 8;
const SEED = 1;

/** Makes what is not there yet. @returns The folder, with config.json, model.safetensors and batches.json */
export async function trainFiles(cache: string): Promise<string> {
  const version = createHash('sha256').update(JSON.stringify([TRAIN_CONFIG, TRAIN_BATCH, BATCHES, SEED]));
  const folder = join(cache, `train-${version.digest('hex').slice(0, 8)}`);
  // Written last, so that a folder without it is made again.
  const config = join(folder, 'config.json');
  if (existsSync(config)) return folder;
  await mkdir(folder, { recursive: true });
  await writeShardedCheckpoint(folder, randomTensors());
  await writeFile(join(folder, 'batches.json'), JSON.stringify(batches()));
  await writeFile(config, configText(TRAIN_CONFIG));
  return folder;
}

/** Fresh weights, in F32; the module's embedding and head are copies of the main model's, as they are when it is trained. */
function randomTensors(): TensorToWrite[] {
  const config = parseConfig(TRAIN_CONFIG, { source: 'the model of the benchmark' });
  const weights = new RandomWeights(config, { seed: SEED });
  return [...expectedTensors(config)].map(({ name, shape, sharedWith }) => ({
    name,
    dtype: 'f32',
    shape,
    data: () => weights.readF32(sharedWith ?? name),
  }));
}

/** Batches of sequences of one token more than the model reads. */
function batches(): number[][][] {
  let state = SEED;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // the generator of Numerical Recipes
    return 2 + ((state >>> 8) % (TRAIN_CONFIG.vocab_size - 2));
  };
  const { sequences, sequenceLength } = TRAIN_BATCH;
  const sequence = () => Array.from({ length: sequenceLength + 1 }, next);
  return Array.from({ length: BATCHES }, () => Array.from({ length: sequences }, sequence));
}
