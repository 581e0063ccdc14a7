/** Model configs: reading, writing, presets, and what follows from them. */
export { supportedArchitectures, supportedModelTypes } from './architecture.ts';
export { configText } from './config-text.ts';
export { configToJson } from './config-to-json.ts';
export type {
  Fp8Quantization,
  IntegerQuantization,
  JsonObject,
  JsonValue,
  ModelConfig,
  ModelFamily,
  YarnScaling,
} from './model-config.ts';
export { type ParseConfigOptions, parseConfig } from './parse-config.ts';
export { isPresetName, type PresetName, preset, presetNames } from './presets.ts';
export {
  isMoeLayer,
  latentNormEps,
  layerCount,
  qkHeadDim,
  type RopeParameters,
  type RouterParameters,
  ropeParameters,
  routerParameters,
  softmaxScale,
  yarnMagnitude,
} from './semantics.ts';
