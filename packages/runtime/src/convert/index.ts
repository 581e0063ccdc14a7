/** Conversion between checkpoints, for Node: `@mariana/runtime/convert`. */
export {
  type Converted,
  type ConvertOptions,
  type ConvertToGguf,
  type ConvertToSafetensors,
  convert,
} from './convert.ts';
export type { ConvertProgress } from './counted.ts';
export { SAFETENSORS_WEIGHTS, type SafetensorsWeights } from './safetensors-model.ts';
