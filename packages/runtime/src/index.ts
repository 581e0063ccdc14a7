/** Models and sessions: load a checkpoint, read a prompt, generate, score. */
export { residentBytes } from './fit.ts';
export type { FinishReason, GeneratedChunk, GenerateOptions, Generation } from './generate.ts';
export type { ModelLocation } from './locate.ts';
export { Model, type ModelLoadOptions } from './model.ts';
export type { LoadProgress } from './progress.ts';
export type { SamplingOptions } from './sampling/options.ts';
export { type Random, seededRandom } from './sampling/random.ts';
export {
  argmax,
  type Candidates,
  candidates,
  draw,
  logSoftmax,
  penalizeRepetition,
  sample,
  type TokenLogprob,
  topTokens,
} from './sampling/sample.ts';
export { type Score, type ScoreOptions, score } from './score.ts';
export { type AppendOptions, Session, type SessionObserver, type SessionOptions } from './session.ts';
export type { SpeculationStats } from './speculation.ts';
