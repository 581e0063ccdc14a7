/**
 * Weights in FP8 as DeepSeek-V3 stores them: E4M3 codes, and a tensor `weight_scale_inv` with one float32 for each
 * block of 128x128. The block grid starts at the top left and is cut at the edges, whatever the rows mean (blocks of
 * `kv_b_proj` straddle heads). Despite the name, the scale is MULTIPLIED with (DeepSeek-V3 README_WEIGHTS.md,
 * inference/kernel.py `weight_dequant`).
 */

import { E4M3_VALUES, encodeE4m3 } from './float8.ts';
import { checkGroup, checkShape, fp8Scale, notFinite, type ScaleFormat } from './scale.ts';

/** How `quantizeBlocks` works. */
export interface BlockOptions {
  /** Rows and columns of the rectangle that shares a scale; [128, 128] by default. */
  blockSize?: readonly [rows: number, columns: number];
  /** `f32` by default. */
  scaleFormat?: ScaleFormat;
}

/** An FP8 weight: `value[n][k] = e4m3(codes[n][k]) * scales[n div 128][k div 128]`. */
export interface QuantizedBlocks {
  /** E4M3 codes, [N, K]. */
  codes: Uint8Array<ArrayBuffer>;
  /** Float32 scales (a checkpoint's `weight_scale_inv`), [ceil(N / 128), ceil(K / 128)] for blocks of 128x128. */
  scales: Float32Array<ArrayBuffer>;
}

const DEFAULT_BLOCK = [128, 128] as const;

/** Below this the scale would be a float32 subnormal, and dividing by it would no longer be precise. */
const SMALLEST_AMAX = 448 * 2 ** -126;

/**
 * A weight [N, K] as E4M3 codes with one scale a block: `scale = amax / 448` (for `ue8m0` rounded up to a power of
 * two), `code = e4m3(value / scale)`, in float32. A block of zeros has scale 1.
 *
 * The error is at most 2^-4 of the value (half a unit of three mantissa bits), or 2^-10 scales for values so small in
 * their block that their codes are subnormal.
 *
 * @throws MarianaError `TENSOR_INVALID` for a NaN or an infinity, `SHAPE_MISMATCH` if `values` is not [rows, columns],
 *   `INVALID_ARGUMENT` for an impossible block.
 */
export function quantizeBlocks(
  values: Float32Array,
  rows: number,
  columns: number,
  options: BlockOptions = {},
): QuantizedBlocks {
  const { blockSize = DEFAULT_BLOCK, scaleFormat = 'f32' } = options;
  const [high, wide] = blockSize;
  checkShape('weight', values.length, rows, columns);
  checkGroup('block rows', high);
  checkGroup('block columns', wide);
  const across = Math.ceil(columns / wide);
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(Math.ceil(rows / high) * across);
  for (let b = 0; b < scales.length; b++) {
    const top = Math.floor(b / across) * high;
    const left = (b % across) * wide;
    const bottom = Math.min(top + high, rows);
    const right = Math.min(left + wide, columns);
    let amax = 0;
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const magnitude = Math.abs(values[row * columns + column]!);
        if (!(magnitude < Number.POSITIVE_INFINITY)) throw notFinite(values[row * columns + column]!, row, column);
        if (magnitude > amax) amax = magnitude;
      }
    }
    const scale = amax === 0 ? 1 : fp8Scale(Math.max(amax, SMALLEST_AMAX), scaleFormat);
    scales[b] = scale;
    for (let row = top; row < bottom; row++) {
      for (let i = row * columns + left; i < row * columns + right; i++) codes[i] = encodeE4m3(values[i]! / scale);
    }
  }
  return { codes, scales };
}

/**
 * The float32 values of an FP8 weight [N, K]: code times the scale of its block. DeepSeek's own tools round the product
 * to BF16 afterwards; this does not. A NaN code gives NaN: see `indexOfE4m3NaN`.
 *
 * @throws MarianaError `SHAPE_MISMATCH` if codes or scales do not fit rows and columns, `INVALID_ARGUMENT` for an impossible
 *   block.
 */
export function dequantizeBlocks(
  codes: Uint8Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  blockSize: readonly [rows: number, columns: number] = DEFAULT_BLOCK,
): Float32Array<ArrayBuffer> {
  const [high, wide] = blockSize;
  checkGroup('block rows', high);
  checkGroup('block columns', wide);
  const across = Math.ceil(columns / wide);
  checkShape('codes', codes.length, rows, columns);
  checkShape('scales', scales.length, Math.ceil(rows / high), across);
  const values = new Float32Array(codes.length);
  for (let row = 0; row < rows; row++) {
    const scaleRow = Math.floor(row / high) * across;
    for (let column = 0; column < columns; column++) {
      const i = row * columns + column;
      values[i] = E4M3_VALUES[codes[i]!]! * scales[scaleRow + Math.floor(column / wide)]!;
    }
  }
  return values;
}
