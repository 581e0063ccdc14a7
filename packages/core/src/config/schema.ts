/**
 * The zod schema of config.json: type and range of each key that Mariana reads, one at a time. Keys it does not know
 * pass through untouched. What several keys must agree on is checked in `parse-config.ts`; the meaning of each is
 * documented on `ModelConfig`. The limits are far beyond any published model and exist so that a damaged file is
 * called damaged, and not answered with an allocation of a petabyte.
 */
import { z } from 'zod';

/** A whole number; the range is also the error message. */
const whole = (min: number, max: number) => {
  const error = `a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

/** A finite number; the range is also the error message. */
const real = (min: number, max: number) => {
  const error = `a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
};

/** A finite number above zero. */
const positive = (max: number) => {
  const error = `a number above 0, at most ${max}`;
  return z.number({ error }).gt(0, { error }).max(max, { error });
};

/** Base of the rotary frequencies; 1 would make all of them equal and the YaRN bounds infinite. */
const theta = positive(1e12).gt(1, { error: 'a number above 1' });
const flag = z.boolean({ error: 'true or false' });
const text = z.string({ error: 'a string' });
const width = whole(1, 1 << 20);
const tokenId = whole(0, (1 << 24) - 1);

/** `rope_scaling` and `rope_parameters`; which keys a type needs is checked once the type is known. */
const rope = z.looseObject(
  {
    type: text.nullish(),
    rope_type: text.nullish(),
    rope_theta: theta.nullish(),
    factor: real(1, 1e6).nullish(),
    original_max_position_embeddings: whole(1, 1 << 30).nullish(),
    beta_fast: positive(1e6).nullish(),
    beta_slow: positive(1e6).nullish(),
    mscale: real(0, 1e3).nullish(),
    mscale_all_dim: real(0, 1e3).nullish(),
  },
  { error: 'an object, or null for plain rotary embedding' },
);

const quantization = z.looseObject(
  {
    quant_method: text,
    fmt: text.nullish(),
    activation_scheme: text.nullish(),
    scale_fmt: text.nullish(),
    weight_block_size: z
      .tuple([whole(1, 1 << 16), whole(1, 1 << 16)], { error: 'two whole numbers: rows and columns of a block' })
      .nullish(),
    modules_to_not_convert: z.array(text, { error: 'a list of module names' }).nullish(),
    ignored_layers: z.array(text, { error: 'a list of module names' }).nullish(),
    format: text.nullish(),
    group_size: whole(1, 1 << 16).nullish(),
  },
  { error: 'an object, or null for unquantised weights' },
);

/** Hugging Face's keys. `nullish` marks a key that has a default or is not needed by every model. */
export const configSchema = z.looseObject({
  vocab_size: whole(1, 1 << 24),
  hidden_size: width,
  intermediate_size: width,
  num_hidden_layers: whole(1, 1 << 12),
  num_attention_heads: whole(1, 1 << 14),
  num_key_value_heads: whole(1, 1 << 14).nullish(),
  q_lora_rank: whole(0, 1 << 20).nullish(),
  kv_lora_rank: width,
  qk_nope_head_dim: whole(1, 1 << 14),
  qk_rope_head_dim: whole(2, 1 << 14),
  v_head_dim: whole(1, 1 << 14),
  max_position_embeddings: whole(1, 1 << 30),
  rope_theta: theta.nullish(),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(),
  rope_interleave: flag.nullish(),
  rms_norm_eps: positive(1).nullish(),
  n_routed_experts: whole(0, 1 << 16)
    .nullable()
    .optional(),
  n_shared_experts: whole(0, 1 << 10)
    .nullable()
    .optional(),
  num_experts_per_tok: whole(0, 1 << 16).nullish(),
  moe_intermediate_size: whole(0, 1 << 20).nullish(),
  first_k_dense_replace: whole(0, 1 << 12).nullish(),
  moe_layer_freq: whole(1, 1 << 12).nullish(),
  scoring_func: text.nullish(),
  topk_method: text.nullish(),
  n_group: whole(1, 1 << 16).nullish(),
  topk_group: whole(1, 1 << 16).nullish(),
  norm_topk_prob: flag.nullish(),
  routed_scaling_factor: positive(1e6).nullish(),
  num_nextn_predict_layers: whole(0, 1 << 6).nullish(),
  tie_word_embeddings: flag.nullish(),
  hidden_act: text.nullish(),
  attention_bias: flag.nullish(),
  mlp_bias: flag.nullish(),
  initializer_range: positive(1e3).nullish(),
  aux_loss_alpha: real(0, 1e3).nullish(),
  seq_aux: flag.nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)], { error: 'a token id, a list of token ids, or null' }).nullish(),
  dtype: text.nullish(),
  torch_dtype: text.nullish(),
  quantization_config: quantization.nullish(),
});

/** What the schema reads: config.json's keys, typed and in range, not yet checked against each other. */
export type ConfigKeys = z.infer<typeof configSchema>;
export type RopeKeys = z.infer<typeof rope>;
export type QuantizationKeys = z.infer<typeof quantization>;
