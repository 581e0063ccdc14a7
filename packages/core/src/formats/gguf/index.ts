export { configFromGguf } from './deepseek2/config-from-metadata.ts';
export { GgufCheckpoint, type GgufCheckpointOptions, ggufCheckpoint } from './deepseek2/gguf-checkpoint.ts';
export type { GgmlType, GgmlTypeName } from './ggml-types.ts';
export { GgufFile } from './gguf-file.ts';
export { type GgufTensorEntry, MAX_GGUF_HEADER_BYTES } from './header.ts';
export { type GgufTokenizer, tokenizerFromGguf } from './tokenizer/from-metadata.ts';
export type { GgufMetadata, GgufScalar, GgufScalarType, GgufValue } from './value.ts';
export { type GgufContent, type GgufTensorToWrite, ggufTensorBytes, writeGguf } from './writer.ts';
