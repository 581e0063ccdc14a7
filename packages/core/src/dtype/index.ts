export {
  BLOCK_LAYOUTS,
  type BlockFormat,
  type BlockLayout,
  decodeBlocks,
  encodeBlocks,
  isBlockFormat,
  isWritableBlockFormat,
  type WritableBlockFormat,
} from './block-formats.ts';
export { bytesToF32, type FromF32Options, fromF32, toF32, viewAsBytes } from './convert.ts';
export * from './dtype.ts';
export {
  decodeE4m3,
  decodeE5m2,
  decodeE8m0,
  E4M3_MAX,
  E5M2_MAX,
  e4m3Values,
  e5m2Values,
  encodeE4m3,
  encodeE5m2,
  indexOfE4m3NaN,
} from './float8.ts';
export { decodeBf16, decodeF16, encodeBf16, encodeF16 } from './float16.ts';
export * from './fp8-blocks.ts';
export * from './fp8-tiles.ts';
export * from './groups.ts';
export type { ScaleFormat } from './scale.ts';
export * from './tensor-dtype.ts';
