export {
  type ConformanceCase,
  type ConformanceOptions,
  type ConformanceRunner,
  type ConformanceSuite,
  conformance,
  conformanceCases,
} from './conformance.ts';
export { ConformanceError, type ConformanceFailure } from './conformance-error.ts';
export {
  type ActivationRounding,
  DEFAULT_TOLERANCE,
  type Tolerance,
  type Ulps,
  WGSL_TOLERANCE,
} from './tolerance.ts';
