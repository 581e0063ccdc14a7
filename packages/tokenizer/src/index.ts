/** Tokenizers of DeepSeek-family checkpoints: encoding, streaming decode, chat templates, and a byte-level BPE trainer. */

export { type TrainBpeOptions, type TrainBpeProgress, trainBpe } from './bpe-trainer.ts';
export type { DecodeOptions, StreamDecoder } from './stream-decoder.ts';
export {
  type ChatMessage,
  type ChatOptions,
  type EncodeOptions,
  Tokenizer,
  type TokenizerFiles,
} from './tokenizer.ts';
export type { AddedToken, BpeModel, TokenizerJson, TokenizerStep } from './tokenizer-json.ts';
