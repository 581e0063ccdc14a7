/** What a config implies: parameters, bytes, operations, hours of training, and the tensors of its checkpoint. */
export {
  type AttentionParameters,
  countParameters,
  type MtpParameters,
  type ParameterCount,
} from './count-parameters.ts';
export { type ExpectedTensor, expectedTensor, expectedTensors } from './expected-tensors.ts';
export { type Flops, type FlopsOptions, flopsPerToken, trainingFlopsPerToken } from './flops.ts';
export {
  ACCOUNTED_FORMATS,
  type AccountedFormat,
  type KvCacheOptions,
  kvCacheBytesPerToken,
  type WeightBytes,
  type WeightBytesOptions,
  weightBytes,
} from './memory.ts';
export { isQuantizable, type TensorKind } from './tensor-templates.ts';
export {
  H800_PEAK_FLOPS,
  type PublishedTraining,
  publishedTraining,
  publishedUtilization,
  type TrainingCost,
  type TrainingCostOptions,
  trainingCost,
} from './training-cost.ts';
export { type CheckpointSummary, type CheckpointTensors, validateCheckpoint } from './validate-checkpoint.ts';
