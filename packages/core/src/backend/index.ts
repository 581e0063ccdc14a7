export { Backend, type ExpertWeights, type LoadWeightOptions } from './backend.ts';
export type { Capabilities, MemoryUse } from './capabilities.ts';
export { type AdamWFactors, adamwFactors } from './composites/adamw.ts';
export { checkAdamwAll } from './composites/adamw-all.ts';
export { attentionWeights, cacheRows } from './composites/attention.ts';
export { type AttentionSizes, attentionGradientSizes } from './composites/attention-gradients.ts';
export { checkCandidates, MOST_CANDIDATES } from './composites/candidates.ts';
export { checkExperts, type ExpertTokens, groupByExpert } from './composites/experts.ts';
export { checkCrossEntropy, checkGradient, crossEntropyOf, sumRows } from './composites/gradients.ts';
export { matmulGroupsShape, matmulWithinGroupsShape, type RowGroup } from './composites/matmul-groups.ts';
export { LEAST_NORM, type MuonFactors, muonFactors, muonGroups, NEWTON_SCHULZ } from './composites/muon.ts';
export { checkFp8Codes, decodeWeight } from './decode-weight.ts';
export { castData, dtypeOfData } from './host-data.ts';
export * from './operations.ts';
export { range, scalar } from './scalar.ts';
export * from './shapes.ts';
export { type Shape, Storage, sizeOf, Tensor } from './tensor.ts';
export {
  type BlockScaledWeightSource,
  DenseWeight,
  type DenseWeightSource,
  type GroupScaledWeightSource,
  Weight,
  type WeightFormat,
  type WeightSource,
} from './weight.ts';
