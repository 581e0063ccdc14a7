export type { GgmlType, GgmlTypeName } from './ggml-types.ts';
export { GgufFile } from './gguf-file.ts';
export { type GgufTensorEntry, MAX_GGUF_HEADER_BYTES } from './header.ts';
export type { GgufMetadata, GgufScalar, GgufScalarType, GgufValue } from './value.ts';
export { type GgufContent, type GgufTensorToWrite, ggufTensorBytes, writeGguf } from './writer.ts';
