/** Training of the DeepSeek-V3 family: autodiff, losses, balancing, the FP8 recipe, optimizer, training steps. */
export * from './autodiff/index.ts';
export {
  type SequenceBalanceLoss,
  type SequenceBalanceOptions,
  type SwitchBalanceLoss,
  type SwitchBalanceOptions,
  sequenceBalanceLoss,
  switchBalanceLoss,
} from './balance/balance-losses.ts';
export { expertLoad, maxViolation, updateBias } from './balance/expert-load.ts';
export { type ExtendContextOptions, extendContext } from './context/extend-context.ts';
export { type DocumentPiece, jsonlDocuments, textDocument } from './data/documents.ts';
export { type LearnedTokenizer, type LearnTokenizerOptions, learnTokenizer } from './data/learn-tokenizer.ts';
export { PackedData, type PackedDataOptions, packDocuments, type TrainingData } from './data/packed-data.ts';
export {
  type TokenizedDocuments,
  type TokenizeOptions,
  type TokenStream,
  tokenizeDocuments,
} from './data/tokenize-documents.ts';
export { type ExportDType, exportConfig, exportTensors } from './export/export-model.ts';
export {
  type Fp8LinearOptions,
  type Fp8Observer,
  fp8Forward,
  fp8InputGradient,
  fp8Linear,
  fp8WeightGradient,
  roundToFp8,
} from './fp8/linear.ts';
export { Bf16Product, Fp8Product, type Precision, productFor, usesShortFormat } from './fp8/products.ts';
export {
  dequantizeFp8Blocks,
  dequantizeFp8Tiles,
  type Fp8Blocks,
  type Fp8Options,
  type Fp8Tiles,
  quantizeFp8Blocks,
  quantizeFp8Tiles,
} from './fp8/quantize.ts';
export { type Fp8Range, Fp8RangeRecorder, type Fp8Ranges } from './fp8/range-recorder.ts';
export { type CrossEntropy, crossEntropy } from './losses/cross-entropy.ts';
export {
  type DepthPrediction,
  type DepthRows,
  depthRows,
  type MultiTokenPredictionLoss,
  type MultiTokenPredictionLossOptions,
  multiTokenPredictionLoss,
} from './losses/multi-token-prediction-loss.ts';
export { type LossOptions, type ModelLoss, modelLoss, type TokenBatch } from './model/model-loss.ts';
export {
  type RouterAt,
  TrainableModel,
  type TrainableModelOptions,
  TrainableParameter,
} from './model/trainable-model.ts';
export { type AdamWOptions, type AdamWState, adamwStep } from './optim/adamw.ts';
export { type ClippedGradients, clipByGlobalNorm, globalNorm } from './optim/clip.ts';
export { isMuonParameter, type MuonOptions, type MuonState, muonStep } from './optim/muon.ts';
export {
  type Moments,
  Optimizer,
  type OptimizerOptions,
  type ParameterUpdate,
  type UpdateOptions,
} from './optim/optimizer.ts';
export {
  constantSchedule,
  deepSeekV3Schedules,
  phasedSchedule,
  type Schedule,
  type SchedulePhase,
  type WarmupCosineOptions,
  type WarmupStableDecayOptions,
  warmupCosineSchedule,
  warmupStableDecaySchedule,
} from './optim/schedule.ts';
export { evaluate } from './run/evaluate.ts';
export { train } from './run/train.ts';
export type { BalanceOptions, CheckpointOptions, TrainOptions } from './run/train-options.ts';
export { type SaveOptions, STATE_FILE, type TrainingProgress, TrainingRun } from './run/training-run.ts';
export { type StepReport, type TrainingStepOptions, trainingStep } from './step/training-step.ts';
