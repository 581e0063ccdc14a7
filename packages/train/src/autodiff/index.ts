export {
  AutodiffBackend,
  autodiff,
  type BackwardOptions,
  type CustomOperation,
  type LinearProduct,
  type ParameterOptions,
} from './autodiff-backend.ts';
export { differentiable } from './differentiable.ts';
