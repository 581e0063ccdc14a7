/** Turns a weight on its way in into plain F32 values: what a backend does with a format that it cannot hold. */
import { bytesToF32, dequantizeBlocks, dequantizeGroups, indexOfE4m3NaN } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';
import { readBytes } from '../formats/source.ts';
import type { WeightSource } from './weight.ts';

/**
 * Reads a weight and decodes it to F32 [out, in].
 *
 * @throws MarianaError `TENSOR_INVALID` for FP8 NaN codes, or what the source throws.
 */
export async function decodeWeight(source: WeightSource): Promise<Float32Array> {
  const [rows, columns] = source.shape;
  const values = await readBytes(source.values);
  if (!('scales' in source)) return bytesToF32(source.format, values);
  const scales = bytesToF32('f32', await readBytes(source.scales));
  if ('blockSize' in source) {
    checkFp8Codes(values, source.name);
    return dequantizeBlocks(values, scales, rows, columns, source.blockSize);
  }
  return dequantizeGroups(source.format, values, scales, rows, columns, source.groupSize);
}

/** @throws MarianaError `TENSOR_INVALID` if there is a NaN among E4M3 codes. */
export function checkFp8Codes(codes: Uint8Array, name: string): void {
  const at = indexOfE4m3NaN(codes);
  if (at < 0) return;
  throw new MarianaError(
    'TENSOR_INVALID',
    `${name}: element ${at} is an FP8 NaN; the file is damaged or was quantised wrongly, fetch or convert it again`,
    { details: { tensor: name, element: at } },
  );
}
