/**
 * What a DeepSeek-V3-family model looks like, as the rest of Mariana reads it. `ModelConfig` is Hugging Face's
 * config.json with its words in camelCase, every default filled in and every contradiction refused (see
 * `parseConfig`). It is plain data: what follows from it (which layers hold experts, how the router works, how
 * positions rotate) is computed by the small functions beside this file and never stored, so that an edited copy
 * cannot disagree with itself.
 */

/**
 * Which defaults and which router rules apply. `deepseek_v3` also covers Kimi-K2 and Moonlight, whose checkpoints
 * name the same class.
 */
export type ModelFamily = 'deepseek_v3' | 'deepseek_v2';

/** A value that JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** YaRN context extension (`rope_scaling`), under the checkpoint's own names. */
export interface YarnScaling {
  readonly type: 'yarn';
  /** Context extension factor, at least 1. */
  readonly factor: number;
  /** Context length, in tokens, that the unscaled frequencies were trained on. */
  readonly originalMaxPositionEmbeddings: number;
  /** Rotations within the original context above which a frequency stays as it is. Default 32. */
  readonly betaFast: number;
  /** Rotations within the original context below which a frequency is divided by `factor`. Default 1. */
  readonly betaSlow: number;
  /** Numerator of the factor on cos and sin. Default 1. */
  readonly mscale: number;
  /** Denominator of the factor on cos and sin; its square scales the softmax. 0 means no such scaling. Default 0. */
  readonly mscaleAllDim: number;
}

/** Block-scaled FP8 weights (`quantization_config` with `quant_method: "fp8"`). */
export interface Fp8Quantization {
  readonly quantMethod: 'fp8';
  /** Number format of the codes: E4M3FN. */
  readonly fmt: 'e4m3';
  /** Activations are quantised as they come, in tiles of 1 x `weightBlockSize[1]`. */
  readonly activationScheme: 'dynamic';
  /** Rows and columns that share one entry of `weight_scale_inv`. */
  readonly weightBlockSize: readonly [number, number];
  /** `ue8m0`: activation scales are powers of two (DeepSeek-V3.1); null: any float. */
  readonly scaleFmt: 'ue8m0' | null;
  /** Names of modules that stay unquantised, besides those that always do. */
  readonly modulesToNotConvert: readonly string[];
}

/**
 * Weights in grouped integers, as `mariana convert` writes them (`quantization_config` with `quant_method: "mariana"`).
 * A quantised projection is `weight` in I8 [out, in] or U8 [out, ceil(in / 2)] with `weight_scale` in F32
 * [out, ceil(in / groupSize)]; see `quantizeGroups` for what the codes mean. Tensors say themselves which of the two they
 * are, or that they are not quantised.
 */
export interface IntegerQuantization {
  readonly quantMethod: 'mariana';
  /** What most projections are. */
  readonly format: 'int8' | 'int4';
  /** Consecutive inputs of a row that share a scale: 32, 64 or 128. */
  readonly groupSize: number;
}

/**
 * A checked model config. Sizes are whole numbers of elements, counts are whole numbers; names are those of
 * config.json in camelCase.
 */
export interface ModelConfig {
  /** The family whose rules apply; from `architectures` first, then `model_type`. */
  readonly family: ModelFamily;
  /** `model_type` as written, or the family's where the file has none. */
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Width of a dense feed-forward layer. */
  readonly intermediateSize: number;
  /** Decoder layers of the main model; multi-token-prediction layers follow at this index. */
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Equal to `numAttentionHeads`: latent attention has a key and a value per head. */
  readonly numKeyValueHeads: number;
  /** Rank of the query's low-rank projection; null where a plain `q_proj` is used. */
  readonly qLoraRank: number | null;
  /** Width of the cached latent. */
  readonly kvLoraRank: number;
  /** Query and key dimensions of a head that carry no position. */
  readonly qkNopeHeadDim: number;
  /** Query and key dimensions of a head that are rotated; even. One rotated key is shared by all heads. */
  readonly qkRopeHeadDim: number;
  /** Value dimensions of a head. */
  readonly vHeadDim: number;
  /** Longest sequence in tokens. */
  readonly maxPositionEmbeddings: number;
  /** Base of the rotary frequencies. Default 10000. */
  readonly ropeTheta: number;
  readonly ropeScaling: YarnScaling | null;
  /** Rotated dimensions lie in pairs (2i, 2i+1); false: in halves (i, i + dim/2). Default true. */
  readonly ropeInterleave: boolean;
  /** Epsilon of the layer and final norms (see `latentNormEps` for the two inside attention). Default 1e-6. */
  readonly rmsNormEps: number;
  /** Routed experts a layer; 0 in a model without experts. */
  readonly nRoutedExperts: number;
  /** Shared experts a layer, held as one feed-forward of `nSharedExperts * moeIntermediateSize`; 0 for none. */
  readonly nSharedExperts: number;
  /** Routed experts that a token visits; 0 in a model without experts. */
  readonly numExpertsPerTok: number;
  /** Width of one expert; 0 in a model without experts. */
  readonly moeIntermediateSize: number;
  /** The first layers, which are dense. Default 3 (V3) or 0 (V2). */
  readonly firstKDenseReplace: number;
  /** After those, every layer whose index is a multiple of this holds experts. Default 1. */
  readonly moeLayerFreq: number;
  readonly scoringFunc: 'sigmoid' | 'softmax';
  readonly topkMethod: 'noaux_tc' | 'greedy' | 'group_limited_greedy';
  /** Groups the experts are divided into. Default 8 (V3) or 1 (V2). */
  readonly nGroup: number;
  /** Groups a token may choose from. Default 4 (V3) or 1 (V2). */
  readonly topkGroup: number;
  /** Whether the chosen weights are divided by their sum. Default true (V3) or false (V2). */
  readonly normTopkProb: boolean;
  /** Factor on the routed experts' weights. Default 2.5 (V3) or 1 (V2). */
  readonly routedScalingFactor: number;
  /** Multi-token-prediction layers. Default 0. */
  readonly numNextnPredictLayers: number;
  /** Whether the output head is the embedding matrix. Default false. */
  readonly tieWordEmbeddings: boolean;
  readonly hiddenAct: 'silu';
  /** Standard deviation of fresh weights. Default 0.02. */
  readonly initializerRange: number;
  /** Factor of the sequence-wise balance loss. Default 0.001. */
  readonly auxLossAlpha: number;
  /** Whether the balance loss is taken sequence by sequence. Default true. */
  readonly seqAux: boolean;
  readonly bosTokenId: number | null;
  /** Every id that ends a text; empty where the file names none. */
  readonly eosTokenId: readonly number[];
  /** `dtype` or `torch_dtype` as written, for example `bfloat16`. Tensors know their own; this is a statement. */
  readonly dtype: string | null;
  /** FP8 weights, if `quantization_config` says so. */
  readonly quantizationConfig: Fp8Quantization | null;
  /** Weights in grouped integers, if `quantization_config` says so. */
  readonly integerQuantization: IntegerQuantization | null;
  /** The file as it was read, unknown keys included; frozen. */
  readonly raw: JsonObject;
}
