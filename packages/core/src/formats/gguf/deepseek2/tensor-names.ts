/**
 * Which tensor of a `deepseek2` GGUF file is which of a Hugging Face checkpoint (llama.cpp's gguf-py/gguf/constants.py
 * and tensor_mapping.py). Most are the same matrix under another name; experts are stacked into one tensor, and `kv_b_proj` is
 * split into its halves, which gguf-checkpoint.ts and model-tensors.ts take care of.
 */

/** Tensors outside of the layers: GGUF's name, Hugging Face's. */
export const WHOLE_NAMES: readonly (readonly [gguf: string, huggingFace: string])[] = [
  ['token_embd.weight', 'model.embed_tokens.weight'],
  ['output_norm.weight', 'model.norm.weight'],
  ['output.weight', 'lm_head.weight'],
];

/** Tensors of a layer that are the same in both: names below `blk.N.` and `model.layers.N.`. */
export const LAYER_NAMES: readonly (readonly [gguf: string, huggingFace: string])[] = [
  ['attn_norm.weight', 'input_layernorm.weight'],
  ['attn_q.weight', 'self_attn.q_proj.weight'],
  ['attn_q_a.weight', 'self_attn.q_a_proj.weight'],
  ['attn_q_a_norm.weight', 'self_attn.q_a_layernorm.weight'],
  ['attn_q_b.weight', 'self_attn.q_b_proj.weight'],
  ['attn_kv_a_mqa.weight', 'self_attn.kv_a_proj_with_mqa.weight'],
  ['attn_kv_a_norm.weight', 'self_attn.kv_a_layernorm.weight'],
  // Files from before the split.
  ['attn_kv_b.weight', 'self_attn.kv_b_proj.weight'],
  ['attn_output.weight', 'self_attn.o_proj.weight'],
  ['ffn_norm.weight', 'post_attention_layernorm.weight'],
  ['ffn_gate.weight', 'mlp.gate_proj.weight'],
  ['ffn_up.weight', 'mlp.up_proj.weight'],
  ['ffn_down.weight', 'mlp.down_proj.weight'],
  ['ffn_gate_inp.weight', 'mlp.gate.weight'],
  ['exp_probs_b.bias', 'mlp.gate.e_score_correction_bias'],
  ['ffn_gate_shexp.weight', 'mlp.shared_experts.gate_proj.weight'],
  ['ffn_up_shexp.weight', 'mlp.shared_experts.up_proj.weight'],
  ['ffn_down_shexp.weight', 'mlp.shared_experts.down_proj.weight'],
];

/** Stacked experts: GGUF's name below `blk.N.`, Hugging Face's below `model.layers.N.mlp.experts.E.`. */
export const EXPERT_NAMES: readonly (readonly [gguf: string, huggingFace: string])[] = [
  ['ffn_gate_exps.weight', 'gate_proj.weight'],
  ['ffn_up_exps.weight', 'up_proj.weight'],
  ['ffn_down_exps.weight', 'down_proj.weight'],
];

/** Gates and ups of all experts in one tensor, each expert's gate before its up, as newer converters can write them. */
export const FUSED_EXPERTS = 'ffn_gate_up_exps.weight';

/** The halves of `kv_b_proj`, transposed and not. */
export const KEY_HALF = 'attn_k_b.weight';
export const VALUE_HALF = 'attn_v_b.weight';

/** Layer and the rest of a name such as `blk.3.attn_norm.weight`; undefined for a name outside of the layers. */
export function splitLayerName(name: string): { readonly layer: number; readonly rest: string } | undefined {
  const match = /^blk\.(0|[1-9]\d{0,8})\.(.+)$/.exec(name);
  return match === null ? undefined : { layer: Number(match[1]), rest: match[2]! };
}
