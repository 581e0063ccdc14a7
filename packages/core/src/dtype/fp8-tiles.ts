/**
 * Activations in FP8: each row is cut into tiles of 128 columns, and each tile becomes E4M3 codes and one scale. This
 * is `act_quant` of DeepSeek-V3's inference/kernel.py ("DeepSeek-V3 Technical Report", section 3.3.2), written to be
 * read and to be tested against.
 */

import { E4M3_VALUES, encodeE4m3 } from './float8.ts';
import { checkGroup, checkShape, fp8Scale, type ScaleFormat } from './scale.ts';

/** How `quantizeTiles` works. */
export interface TileOptions {
  /** Columns that share a scale; 128 by default. */
  tile?: number;
  /** `f32` by default. */
  scaleFormat?: ScaleFormat;
}

/** FP8 activations: `value[row][column] = e4m3(codes[row][column]) * scales[row][column div tile]`. */
export interface QuantizedTiles {
  /** E4M3 codes, of the shape of the activations. */
  codes: Uint8Array<ArrayBuffer>;
  /** Float32 scales, [rows, ceil(columns / tile)]. */
  scales: Float32Array<ArrayBuffer>;
}

/** Tiles whose values are all smaller are scaled as if this were their largest: a tile of zeros has a scale too. */
const SMALLEST_AMAX = Math.fround(1e-4);

/**
 * Activations [rows, columns] as E4M3 codes with one scale for each tile of a row.
 *
 * For each tile, all in float32: `amax = max(|x|)`, at least 1e-4; `scale = amax / 448`, for `ue8m0` rounded up to a
 * power of two; `code = e4m3(x / scale)`. The last tile of a row may be narrower. (kernel.py requires whole tiles;
 * where it runs, the results are the same.) A NaN becomes a NaN code and leaves its tile's scale alone; an infinity
 * makes its tile's scale infinite, its own code NaN, and the others zero.
 *
 * @throws MarianaError `SHAPE_MISMATCH` if `values` is not [rows, columns], `INVALID_ARGUMENT` for an impossible tile.
 */
export function quantizeTiles(
  values: Float32Array,
  rows: number,
  columns: number,
  options: TileOptions = {},
): QuantizedTiles {
  const { tile = 128, scaleFormat = 'f32' } = options;
  checkShape('activations', values.length, rows, columns);
  checkGroup('tile', tile);
  const tiles = Math.ceil(columns / tile);
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(rows * tiles);
  for (let row = 0; row < rows; row++) {
    for (let t = 0; t < tiles; t++) {
      const start = row * columns + t * tile;
      const end = Math.min(start + tile, (row + 1) * columns);
      let amax = SMALLEST_AMAX;
      for (let i = start; i < end; i++) {
        const magnitude = Math.abs(values[i]!);
        if (magnitude > amax) amax = magnitude;
      }
      const scale = fp8Scale(amax, scaleFormat);
      scales[row * tiles + t] = scale;
      for (let i = start; i < end; i++) codes[i] = encodeE4m3(values[i]! / scale);
    }
  }
  return { codes, scales };
}

/**
 * The float32 values of FP8 activations [rows, columns]: code times the scale of its tile.
 *
 * @throws MarianaError `SHAPE_MISMATCH`, `INVALID_ARGUMENT` as `quantizeTiles`.
 */
export function dequantizeTiles(
  codes: Uint8Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  tile = 128,
): Float32Array<ArrayBuffer> {
  checkGroup('tile', tile);
  const tiles = Math.ceil(columns / tile);
  checkShape('codes', codes.length, rows, columns);
  checkShape('scales', scales.length, rows, tiles);
  const values = new Float32Array(codes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const i = row * columns + column;
      values[i] = E4M3_VALUES[codes[i]!]! * scales[row * tiles + Math.floor(column / tile)]!;
    }
  }
  return values;
}
