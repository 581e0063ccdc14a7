/**
 * Bytes that a model takes: its weights in each format, and its cache a token. From a config alone, so that what will
 * not fit can be said before anything is read.
 */
import type { ModelConfig } from '../config/model-config.ts';
import { isMoeLayer, layerCount, qkHeadDim } from '../config/semantics.ts';
import { bytesPerElement, type DType } from '../dtype/dtype.ts';
import { MarianaError } from '../errors.ts';
import {
  expertTemplates,
  isQuantizable,
  layerTemplates,
  mtpInputTemplates,
  mtpOutputTemplates,
  type TensorTemplate,
} from './tensor-templates.ts';

/** Formats in which projections can be held; see `weightBytes`. */
export type AccountedFormat = 'f32' | 'bf16' | 'fp8' | 'int8' | 'int4';

/** Every `AccountedFormat`, widest first. */
export const ACCOUNTED_FORMATS: readonly AccountedFormat[] = Object.freeze(['f32', 'bf16', 'fp8', 'int8', 'int4']);

/** Options of `weightBytes`. */
export interface WeightBytesOptions {
  /** Whether to count the multi-token-prediction layers. Default true. */
  mtp?: boolean;
  /** Whether those layers hold copies of embedding and head, as files do. Default true. */
  sharedCopies?: boolean;
  /** Consecutive inputs of a row that share an F32 scale. Default 128 for `int8`, 32 for `int4`. */
  groupSize?: number;
}

/** Bytes of a model's weights. */
export interface WeightBytes {
  /** The projections of attention, feed-forwards and experts, in the format asked for. */
  readonly quantized: number;
  /** Their scales, F32. */
  readonly scales: number;
  /** What keeps its precision: embedding, head, norms, router and `eh_proj` (BF16), correction bias (F32). */
  readonly highPrecision: number;
  readonly total: number;
}

/** Formats that come with scales, and the consecutive inputs of a row that share one. */
const DEFAULT_GROUP = { int8: 128, int4: 32 } as const;

/**
 * Bytes of the weights in `format`, exactly: of a file's tensor data, and of a backend that holds them packed.
 *
 * - `f32`: everything in 4 bytes. `bf16`: everything in 2, but the correction bias in 4.
 * - `fp8`: projections in 1 byte with an F32 scale for each block of `quantization_config.weight_block_size` (128 x 128
 *   where the config has none), blocks cut at the edges.
 * - `int8`, `int4`: 1 byte, or two codes a byte, with an F32 scale for each group of inputs, cut at the end of the row.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for another format or a group size that is not a whole number above 0.
 */
export function weightBytes(
  config: ModelConfig,
  format: AccountedFormat,
  options: WeightBytesOptions = {},
): WeightBytes {
  if (!ACCOUNTED_FORMATS.includes(format)) {
    throw new MarianaError('INVALID_ARGUMENT', `weight format ${String(format)}: use ${ACCOUNTED_FORMATS.join(', ')}`);
  }
  const { mtp = true, sharedCopies = true, groupSize } = options;
  if (groupSize !== undefined && !(Number.isSafeInteger(groupSize) && groupSize > 0)) {
    throw new MarianaError('INVALID_ARGUMENT', `groupSize ${groupSize}: use a whole number above 0`);
  }
  let quantized = 0;
  let scales = 0;
  let highPrecision = 0;
  const add = (template: TensorTemplate, copies: number): void => {
    const size = copies * template.shape.reduce((product, dimension) => product * dimension, 1);
    if (!isQuantizable(template.kind)) {
      highPrecision += size * (format === 'f32' || template.kind === 'router_bias' ? 4 : 2);
      return;
    }
    const [rows, columns] = template.shape as readonly [number, number];
    quantized += copies * rows * rowBytes(format, columns);
    scales += copies * 4 * scaleCount(config, format, rows, columns, groupSize);
  };
  const table: TensorTemplate = { suffix: '', shape: [config.vocabSize, config.hiddenSize], kind: 'embedding' };
  add(table, config.tieWordEmbeddings ? 1 : 2);
  add({ suffix: '', shape: [config.hiddenSize], kind: 'norm' }, 1);
  const layers = mtp ? layerCount(config) : config.numHiddenLayers;
  for (let layer = 0; layer < layers; layer++) {
    for (const template of layerTemplates(config, layer)) add(template, 1);
    if (isMoeLayer(config, layer)) {
      for (const template of expertTemplates(config)) add(template, config.nRoutedExperts);
    }
  }
  for (const template of [...mtpInputTemplates(config), ...mtpOutputTemplates(config)]) {
    const copy = template.kind === 'embedding' || template.kind === 'head';
    if (!copy || sharedCopies) add(template, layers - config.numHiddenLayers);
  }
  return { quantized, scales, highPrecision, total: quantized + scales + highPrecision };
}

function rowBytes(format: AccountedFormat, columns: number): number {
  if (format === 'f32') return 4 * columns;
  if (format === 'bf16') return 2 * columns;
  return format === 'int4' ? Math.ceil(columns / 2) : columns;
}

function scaleCount(
  config: ModelConfig,
  format: AccountedFormat,
  rows: number,
  columns: number,
  groupSize: number | undefined,
): number {
  if (format === 'f32' || format === 'bf16') return 0;
  if (format === 'fp8') {
    const [blockRows, blockColumns] = config.quantizationConfig?.weightBlockSize ?? [128, 128];
    return Math.ceil(rows / blockRows) * Math.ceil(columns / blockColumns);
  }
  return rows * Math.ceil(columns / (groupSize ?? DEFAULT_GROUP[format]));
}

/** Options of `kvCacheBytesPerToken`. */
export interface KvCacheOptions {
  /** Format of the cached numbers. Default `bf16`. */
  dtype?: DType;
  /**
   * What is cached. `latent` (default): the normed latent and the one rotated key of latent attention.
   * `multi-head`: a key and a value per head, as plain attention with the same head sizes would. `grouped`: a key and a
   * value per group of heads.
   */
  attention?: 'latent' | 'multi-head' | 'grouped';
  /** Groups for `grouped`, at most the number of heads. Default 8. */
  groups?: number;
  /** Whether to count the caches of the multi-token-prediction layers. Default false. */
  mtp?: boolean;
}

/**
 * Bytes of cache that one token takes, over all layers.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for an unknown kind of attention or an impossible number of groups.
 */
export function kvCacheBytesPerToken(config: ModelConfig, options: KvCacheOptions = {}): number {
  const { dtype = 'bf16', attention = 'latent', groups = 8, mtp = false } = options;
  const heads = config.numAttentionHeads;
  if (attention === 'grouped' && !(Number.isSafeInteger(groups) && groups > 0 && groups <= heads)) {
    throw new MarianaError('INVALID_ARGUMENT', `${groups} groups: use a whole number from 1 to ${heads}, the heads`);
  }
  const perHead = qkHeadDim(config) + config.vHeadDim;
  const numbers = {
    latent: config.kvLoraRank + config.qkRopeHeadDim,
    'multi-head': heads * perHead,
    grouped: groups * perHead,
  };
  if (!Object.hasOwn(numbers, attention)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `attention ${String(attention)}: use ${Object.keys(numbers).join(', ')}`,
    );
  }
  return (mtp ? layerCount(config) : config.numHiddenLayers) * numbers[attention] * bytesPerElement(dtype);
}
