/**
 * A trained model as others read it: the tensors of a checkpoint in Hugging Face's layout, and the config that goes with
 * them. FP8 is what DeepSeek publishes: E4M3 projections with F32 `weight_scale_inv` for each block of 128 x 128.
 */
import {
  configToJson,
  type ExpectedTensor,
  expectedTensors,
  type Fp8Quantization,
  fromF32,
  type JsonObject,
  MarianaError,
  type ModelConfig,
  type QuantizedBlocks,
  quantizeBlocks,
  type Tensor,
  type TensorToWrite,
} from '@mariana/core';
import type { TrainableModel } from '../model/trainable-model.ts';

/** Number format of exported weights. */
export type ExportDType = 'f32' | 'bf16' | 'fp8';

/** As DeepSeek-V3's config.json has it. */
const FP8: Fp8Quantization = {
  quantMethod: 'fp8',
  fmt: 'e4m3',
  activationScheme: 'dynamic',
  weightBlockSize: [128, 128],
  scaleFmt: null,
  modulesToNotConvert: [],
};

const TORCH_DTYPE = { f32: 'float32', bf16: 'bfloat16', fp8: 'bfloat16' } as const;

/** The config.json of the exported model. */
export function exportConfig(config: ModelConfig, dtype: ExportDType): JsonObject {
  const json = configToJson({
    ...config,
    dtype: TORCH_DTYPE[dtype],
    quantizationConfig: dtype === 'fp8' ? FP8 : null,
  });
  const { quantization_config, ...rest } = json;
  return quantization_config ? json : rest;
}

/**
 * The tensors of the exported model. Values are read from the backend as each is written, so the model must not be
 * trained on meanwhile. Router biases are F32 in every format; MTP modules get their copies of embedding and head.
 *
 * @throws MarianaError `TENSOR_MISSING` if the config asks for tensors that the model has not.
 */
export function exportTensors(model: TrainableModel, dtype: ExportDType = 'bf16'): TensorToWrite[] {
  const config = model.transformer.mtp.length > 0 ? model.config : { ...model.config, numNextnPredictLayers: 0 };
  const biases = new Map(model.routers.map(({ layer, router }) => [layer, router.correctionBias]));
  return [...expectedTensors(config)].flatMap((expected) => {
    const tensor =
      expected.kind === 'router_bias'
        ? biases.get(expected.layer!)
        : model.parameters.get(expected.sharedWith ?? expected.name)?.tensor;
    if (!tensor) throw new MarianaError('TENSOR_MISSING', `the model to be exported has no ${expected.name}`);
    return tensorsOf(expected, tensor, dtype);
  });
}

function tensorsOf(expected: ExpectedTensor, tensor: Tensor, dtype: ExportDType): TensorToWrite[] {
  const { name, shape, scale } = expected;
  const read = async () => (await tensor.read()) as Float32Array;
  if (expected.kind === 'router_bias' || dtype === 'f32') return [{ name, dtype: 'f32', shape, data: read }];
  if (dtype === 'bf16' || scale === null) {
    return [{ name, dtype: 'bf16', shape, data: async () => fromF32('bf16', await read()) }];
  }
  const [rows, columns] = shape as readonly [number, number];
  // Codes and scales are written far apart; quantising twice costs less than holding either.
  const quantize = async (): Promise<QuantizedBlocks> => quantizeBlocks(await read(), rows, columns);
  return [
    { name, dtype: 'e4m3', shape, data: async () => (await quantize()).codes },
    { name: scale.name, dtype: 'f32', shape: scale.shape, data: async () => (await quantize()).scales },
  ];
}
