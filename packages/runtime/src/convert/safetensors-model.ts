/**
 * A model as the tensors and the config of a checkpoint in Hugging Face's layout, its projections in the format asked
 * for. What DeepSeek keeps in high precision stays so: embedding, head and `eh_proj` in 16 bits, norms, routers and
 * correction biases as they come.
 */
import {
  bytesPerElement,
  configToJson,
  type DType,
  type ExpectedTensor,
  encodedRows,
  expectedTensors,
  type Fp8Quantization,
  GROUP_SIZE,
  type IntegerQuantization,
  type JsonObject,
  type ModelConfig,
  type TensorStore,
  type TensorToWrite,
  tensorBytes,
  weightRows,
  weightSource,
} from '@mariana/core';
import { type PackedWeights, packedTensors, scaleSuffix } from './packed-tensors.ts';

/** How the projections of a converted checkpoint are stored. */
export type SafetensorsWeights = 'f32' | 'bf16' | PackedWeights;

/** Every `SafetensorsWeights`. */
export const SAFETENSORS_WEIGHTS: readonly SafetensorsWeights[] = ['f32', 'bf16', 'fp8', 'int8', 'int4'];

export interface SafetensorsModel {
  /** To be written in this order: every tensor then begins at a multiple of its element size. */
  readonly tensors: readonly TensorToWrite[];
  /** config.json. */
  readonly config: JsonObject;
}

/** As DeepSeek-V3's config.json has it. */
const FP8: Fp8Quantization = {
  quantMethod: 'fp8',
  fmt: 'e4m3',
  activationScheme: 'dynamic',
  weightBlockSize: [128, 128],
  scaleFmt: null,
  modulesToNotConvert: [],
};

/** @param weights - A checkpoint that `validateCheckpoint` has accepted. */
export function safetensorsModel(
  config: ModelConfig,
  weights: TensorStore,
  format: SafetensorsWeights,
): SafetensorsModel {
  const kept = keptQuantization(config, format);
  const tensors: TensorToWrite[] = [];
  for (const tensor of expectedTensors(config)) {
    if (weights.has(tensor.name)) tensors.push(...converted(config, weights, tensor, { format, kept }));
  }
  return { tensors: aligned(tensors), config: configJson(config, format, kept) };
}

/** What config.json says of weights that are in the format already, and are copied as they lie. */
function keptQuantization(
  config: ModelConfig,
  format: SafetensorsWeights,
): Fp8Quantization | IntegerQuantization | null {
  if (format === 'fp8') return config.quantizationConfig;
  return config.integerQuantization?.format === format ? config.integerQuantization : null;
}

interface Target {
  readonly format: SafetensorsWeights;
  readonly kept: Fp8Quantization | IntegerQuantization | null;
}

/** The dtype of codes. */
const CODES: Readonly<Partial<Record<SafetensorsWeights, DType>>> = { fp8: 'e4m3', int8: 'i8', int4: 'u8' };

function converted(
  config: ModelConfig,
  weights: TensorStore,
  tensor: ExpectedTensor,
  { format, kept }: Target,
): TensorToWrite[] {
  const { name, shape, quantizable } = tensor;
  const { dtype } = weights.info(name);
  if (format !== 'f32' && format !== 'bf16') {
    if (kept !== null && dtype === CODES[format]) {
      return [copy(weights, name + scaleSuffix(format)), copy(weights, name)];
    }
    if (quantizable) return packedTensors(name, format, rowsOf(config, weights, name, shape));
  }
  const wanted = denseDtype(tensor, dtype, format);
  if (wanted === dtype) return [copy(weights, name)];
  return [{ name, dtype: wanted, shape, data: () => encodedRows(rowsOf(config, weights, name, shape), wanted) }];
}

/** The dtype of a tensor that is not packed. */
function denseDtype({ quantizable, kind }: ExpectedTensor, dtype: DType, format: SafetensorsWeights) {
  const isMatrix = quantizable || kind === 'embedding' || kind === 'head' || kind === 'eh_proj';
  const isDense = dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
  if (isDense && !isMatrix) return dtype;
  if (format === 'f32') return 'f32';
  return format !== 'bf16' && dtype === 'f16' ? 'f16' : 'bf16';
}

function copy(weights: TensorStore, name: string): TensorToWrite {
  const { dtype, shape } = weights.info(name);
  return { name, dtype, shape, data: () => weights.source(name) };
}

function rowsOf(config: ModelConfig, weights: TensorStore, name: string, shape: readonly number[]) {
  const blockSize = config.quantizationConfig?.weightBlockSize;
  return weightRows(weightSource(weights, name, shape as [number, number], blockSize ? { blockSize } : {}));
}

/**
 * Tensors of a whole number of eight bytes in the order given, so that what belongs together is made together; the few
 * others after them, the widest elements first.
 */
function aligned(tensors: readonly TensorToWrite[]): TensorToWrite[] {
  const isEven = (tensor: TensorToWrite) => tensorBytes(tensor) % 8 === 0;
  const rest = tensors.filter((tensor) => !isEven(tensor));
  rest.sort((a, b) => bytesPerElement(b.dtype) - bytesPerElement(a.dtype));
  return [...tensors.filter(isEven), ...rest];
}

function configJson(config: ModelConfig, format: SafetensorsWeights, kept: Target['kept']): JsonObject {
  const quantizationConfig = format === 'fp8' ? ((kept as Fp8Quantization | null) ?? FP8) : null;
  const integerQuantization =
    format === 'int8' || format === 'int4'
      ? ((kept as IntegerQuantization | null) ?? { quantMethod: 'mariana', format, groupSize: GROUP_SIZE[format] })
      : null;
  const dtype = format === 'f32' ? 'float32' : 'bfloat16';
  const { quantization_config, ...json } = configToJson({ ...config, dtype, quantizationConfig, integerQuantization });
  // A model without quantisation does not mention it: other programs stumble over null.
  return quantization_config ? { ...json, quantization_config } : json;
}
