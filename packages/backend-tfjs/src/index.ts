export { startEngine, type TfjsEngine, type TfjsOptions, tfjs } from './engine.ts';
export { checkIndices, type IndexRange, rangeOf } from './index-range.ts';
export { collapseBroadcast, collapseTranspose, splitAtAxis } from './ops/collapse-shapes.ts';
export type { TensorOf, TfDType, TfModule, TfNamespace, TfTensor, TfValues } from './tf-module.ts';
export { TfjsBackend } from './tfjs-backend.ts';
export type { Deferred } from './tfjs-storage.ts';
export { CAUTIOUS, type EngineTraits } from './traits.ts';
