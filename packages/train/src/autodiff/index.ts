export { AutodiffBackend, autodiff } from './autodiff-backend.ts';
export { differentiable } from './differentiable.ts';
export {
  type BackwardOptions,
  type CustomOperation,
  type LinearProduct,
  type ParameterOptions,
  RecordingBackend,
} from './recording-backend.ts';
