/**
 * A weight of a checkpoint, in whatever format it is stored, as rows of float32: how conversions read one, a few rows at
 * a time.
 */
import { checkFp8Codes } from '../backend/decode-weight.ts';
import type { WeightSource } from '../backend/index.ts';
import { bytesToF32, dequantizeBlocks, dequantizeGroups } from '../dtype/index.ts';
import { type FloatRows, storedRows } from '../formats/rows/index.ts';
import { readBytes } from '../formats/source.ts';

/**
 * The rows of a weight, dequantised.
 *
 * Reading them throws MarianaError `TENSOR_INVALID` for FP8 NaN codes, and what the source throws.
 */
export function weightRows(source: WeightSource): FloatRows {
  const { name, shape, values } = source;
  const [rows, columns] = shape;
  if (!('scales' in source)) return { ...storedRows(source.format, values, rows, columns), name };
  // Scales of FP8 span rows; they are few, and read once.
  const [tall, wide] = 'blockSize' in source ? source.blockSize : [1, source.groupSize];
  const across = Math.ceil(columns / wide);
  const codeBytes = source.format === 'int4' ? Math.ceil(columns / 2) : columns;
  return {
    name,
    rows,
    columns,
    async read(first, count) {
      // Whole blocks, of which the rows that are wanted are then cut out.
      const top = first - (first % tall);
      const bottom = Math.min(rows, Math.ceil((first + count) / tall) * tall);
      const scaleRow = top / tall;
      const scaleRows = Math.ceil(bottom / tall) - scaleRow;
      const [codes, scaleBytes] = await Promise.all([
        readBytes(values, top * codeBytes, (bottom - top) * codeBytes),
        readBytes(source.scales, 4 * scaleRow * across, 4 * scaleRows * across),
      ]);
      const scales = bytesToF32('f32', scaleBytes);
      let decoded: Float32Array;
      if ('blockSize' in source) {
        checkFp8Codes(codes, name);
        decoded = dequantizeBlocks(codes, scales, bottom - top, columns, source.blockSize);
      } else {
        decoded = dequantizeGroups(source.format, codes, scales, bottom - top, columns, source.groupSize);
      }
      return decoded.subarray((first - top) * columns, (first - top + count) * columns);
    },
  };
}
