export { startEngine, type TfjsEngine, type TfjsOptions, tfjs } from './engine.ts';
export type { TensorOf, TfDType, TfModule, TfNamespace, TfTensor, TfValues } from './tf-module.ts';
export { TfjsBackend } from './tfjs-backend.ts';
export { CAUTIOUS, type EngineTraits } from './traits.ts';
