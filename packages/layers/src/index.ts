/** The layers of the DeepSeek-V3 family. Each can be built from a config and a checkpoint, alone. */
export { LatentCache, type LayerCache, SingleLayerCache } from './cache/latent-cache.ts';
export { PagePool, type PagePoolOptions } from './cache/page-pool.ts';
export { type DecoderForwardOptions, DecoderLayer } from './decoder-layer.ts';
export { DeepSeekMoE, type MoeForwardOptions } from './deepseek-moe.ts';
export { Embedding } from './embedding.ts';
export { FeedForward } from './feed-forward.ts';
export { Layer, type LayerLoadOptions, type LoadOptions, type Parameter, type Weights } from './layer.ts';
export { Linear } from './linear.ts';
export {
  type AttentionForm,
  type AttentionForwardOptions,
  MultiHeadLatentAttention,
} from './multi-head-latent-attention.ts';
export {
  MultiTokenPrediction,
  type MultiTokenPredictionForwardOptions,
  type MultiTokenPredictionInput,
  type MultiTokenPredictionLoadOptions,
} from './multi-token-prediction.ts';
export { RmsNorm } from './rms-norm.ts';
export { RotaryEmbedding, type RotaryTables } from './rotary-embedding.ts';
export { Router } from './router.ts';
export {
  checkTokens,
  Transformer,
  type TransformerForwardOptions,
  type TransformerLoadOptions,
  type TransformerOutput,
} from './transformer.ts';
