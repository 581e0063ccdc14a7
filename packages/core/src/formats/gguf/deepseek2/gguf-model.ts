/** A model as the content of a `deepseek2` GGUF file that llama.cpp loads: metadata, tokenizer and tensors together. */

import type { TensorReader } from '../../../checkpoint/tensor-reader.ts';
import type { ModelConfig } from '../../../config/model-config.ts';
import { type GgufTokenizerToWrite, placeholderMetadata, tokenizerMetadata } from '../tokenizer/to-metadata.ts';
import type { GgufContent } from '../writer.ts';
import { type GgufQuant, modelMetadata, modelWarnings } from './model-metadata.ts';
import { modelTensors } from './model-tensors.ts';

const NO_TOKENIZER = 'there is no tokenizer: the file speaks token ids, its tokens only stand in for some';

/** How a model is written as GGUF. */
export interface GgufModelOptions {
  /**
   * Format of the matrices. Norms, router and correction bias are F32 in any case; rows that are no whole number of
   * blocks are F16 where `q8_0` is asked for. Default `bf16`.
   */
  readonly quant?: GgufQuant;
  /** `general.name`. Default `model`. */
  readonly name?: string;
  /** The tokenizer; null for none, whereupon the file speaks token ids only. Default null. */
  readonly tokenizer?: GgufTokenizerToWrite | null;
}

/** What `writeGguf` writes, and what llama.cpp will do otherwise than this model is meant. */
export interface GgufModel extends GgufContent {
  readonly warnings: readonly string[];
}

/**
 * The content of a GGUF file for a model: `await writeGguf(sink, ggufModel(config, checkpoint, { quant: 'q8_0' }))`.
 * Nothing is read before it is written, and then a piece at a time.
 *
 * @param weights a checkpoint that `validateCheckpoint` has accepted
 * @throws MarianaError `CONFIG_UNSUPPORTED` for a model that no such file can describe, `TOKENIZER_INVALID`. Writing
 *   throws what reading the checkpoint throws, and `TENSOR_INVALID` for values that have no place in the format.
 */
export function ggufModel(config: ModelConfig, weights: TensorReader, options: GgufModelOptions = {}): GgufModel {
  const { quant = 'bf16', name = 'model', tokenizer = null } = options;
  const { bosTokenId, eosTokenId: eosTokenIds, vocabSize } = config;
  const words =
    tokenizer === null
      ? { metadata: placeholderMetadata(vocabSize, { bosTokenId, eosTokenIds }), warnings: [NO_TOKENIZER] }
      : tokenizerMetadata(tokenizer, vocabSize);
  return {
    metadata: new Map([...modelMetadata(config, quant, name), ...words.metadata]),
    tensors: modelTensors(config, weights, quant),
    warnings: [...modelWarnings(config), ...words.warnings],
  };
}
