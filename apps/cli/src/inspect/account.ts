/** The figures of a config: parameters, memory, operations. */
import {
  ACCOUNTED_FORMATS,
  type AccountedFormat,
  countParameters,
  type Flops,
  flopsPerToken,
  isMoeLayer,
  kvCacheBytesPerToken,
  type ModelConfig,
  type ParameterCount,
  type WeightBytes,
  weightBytes,
} from '@mariana/core';

export interface Account {
  /** The config's shape, under the checkpoint's own names. */
  readonly model: Readonly<Record<string, string | number | null>>;
  readonly parameters: ParameterCount;
  /** Share of the parameters that takes part in computing one token. */
  readonly activeShare: number;
  /** Bytes of cache a token, in BF16, over all layers. */
  readonly kvBytesPerToken: { readonly latent: number; readonly multiHead: number };
  /** Bytes of the weights in each format. Multi-token-prediction layers are included. */
  readonly weightBytes: Readonly<Record<AccountedFormat, WeightBytes>>;
  /** Floating-point operations for one token, at `contextLength`. */
  readonly flopsPerToken: {
    readonly contextLength: number;
    readonly prefill: { readonly naive: Flops; readonly absorbed: Flops };
    readonly decode: { readonly naive: Flops; readonly absorbed: Flops };
  };
}

/** Accounts for a config. @throws MarianaError `INVALID_ARGUMENT` for an impossible context length. */
export function account(config: ModelConfig, contextLength: number): Account {
  const parameters = countParameters(config);
  const flops = (phase: 'prefill' | 'decode') => ({
    naive: flopsPerToken(config, { contextLength, phase, form: 'naive' }),
    absorbed: flopsPerToken(config, { contextLength, phase, form: 'absorbed' }),
  });
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer);
  return {
    model: {
      model_type: config.modelType,
      num_hidden_layers: config.numHiddenLayers,
      moe_layers: layers.filter((layer) => isMoeLayer(config, layer)).length,
      num_nextn_predict_layers: config.numNextnPredictLayers,
      hidden_size: config.hiddenSize,
      num_attention_heads: config.numAttentionHeads,
      q_lora_rank: config.qLoraRank,
      kv_lora_rank: config.kvLoraRank,
      qk_rope_head_dim: config.qkRopeHeadDim,
      n_routed_experts: config.nRoutedExperts,
      n_shared_experts: config.nSharedExperts,
      num_experts_per_tok: config.numExpertsPerTok,
      vocab_size: config.vocabSize,
      max_position_embeddings: config.maxPositionEmbeddings,
    },
    parameters,
    activeShare: parameters.active / parameters.total,
    kvBytesPerToken: {
      latent: kvCacheBytesPerToken(config),
      multiHead: kvCacheBytesPerToken(config, { attention: 'multi-head' }),
    },
    weightBytes: Object.fromEntries(ACCOUNTED_FORMATS.map((format) => [format, weightBytes(config, format)])) as Record<
      AccountedFormat,
      WeightBytes
    >,
    flopsPerToken: { contextLength, prefill: flops('prefill'), decode: flops('decode') },
  };
}
