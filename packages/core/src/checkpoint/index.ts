export { RandomWeights, type RandomWeightsOptions } from './random-weights.ts';
export type { TensorReader } from './tensor-reader.ts';
export { weightRows } from './weight-rows.ts';
export { readVector, type WeightSourceOptions, weightSource } from './weight-source.ts';
