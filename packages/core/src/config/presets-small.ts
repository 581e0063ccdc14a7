/**
 * Configs of models that nobody published: small enough to initialise, train and test on any machine, and of the same
 * architecture as DeepSeek-V3 down to every switch.
 */
import type { JsonObject } from './model-config.ts';

/** What the small models have in common. */
const common = {
  architectures: ['DeepseekV3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  aux_loss_alpha: 0.001,
  bos_token_id: 0,
  eos_token_id: 1,
  hidden_act: 'silu',
  initializer_range: 0.02,
  max_position_embeddings: 4096,
  model_type: 'deepseek_v3',
  moe_layer_freq: 1,
  norm_topk_prob: true,
  num_nextn_predict_layers: 0,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 10000,
  routed_scaling_factor: 2.5,
  scoring_func: 'sigmoid',
  seq_aux: true,
  tie_word_embeddings: false,
  topk_method: 'noaux_tc',
  torch_dtype: 'bfloat16',
  use_cache: true,
} as const satisfies JsonObject;

/** 0.3 M parameters with a byte's vocabulary: for tests. */
export const tiny = {
  ...common,
  first_k_dense_replace: 1,
  hidden_size: 64,
  intermediate_size: 128,
  kv_lora_rank: 32,
  moe_intermediate_size: 32,
  n_group: 2,
  n_routed_experts: 8,
  n_shared_experts: 1,
  num_attention_heads: 4,
  num_experts_per_tok: 3,
  num_hidden_layers: 3,
  num_key_value_heads: 4,
  q_lora_rank: 48,
  qk_nope_head_dim: 16,
  qk_rope_head_dim: 8,
  topk_group: 1,
  v_head_dim: 16,
  vocab_size: 256,
} as const satisfies JsonObject;

/** `tiny` with two layers and a multi-token-prediction layer. */
export const tinyMtp = {
  ...tiny,
  num_hidden_layers: 2,
  num_nextn_predict_layers: 1,
} as const satisfies JsonObject;

/** 5 M parameters: trains in minutes on a laptop. */
export const small = {
  ...common,
  first_k_dense_replace: 1,
  hidden_size: 192,
  intermediate_size: 512,
  kv_lora_rank: 64,
  moe_intermediate_size: 96,
  n_group: 4,
  n_routed_experts: 16,
  n_shared_experts: 1,
  num_attention_heads: 4,
  num_experts_per_tok: 4,
  num_hidden_layers: 5,
  num_key_value_heads: 4,
  q_lora_rank: 96,
  qk_nope_head_dim: 32,
  qk_rope_head_dim: 16,
  topk_group: 2,
  v_head_dim: 32,
  vocab_size: 1024,
} as const satisfies JsonObject;

/** 1.26 B parameters, 0.25 B of them active: what the speed of backends is measured on. */
export const bench1b = {
  ...common,
  first_k_dense_replace: 1,
  hidden_size: 1024,
  intermediate_size: 2816,
  kv_lora_rank: 512,
  moe_intermediate_size: 512,
  n_group: 1,
  n_routed_experts: 64,
  n_shared_experts: 2,
  num_attention_heads: 16,
  num_experts_per_tok: 6,
  num_hidden_layers: 12,
  num_key_value_heads: 16,
  q_lora_rank: 768,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  topk_group: 1,
  v_head_dim: 128,
  vocab_size: 8192,
} as const satisfies JsonObject;
