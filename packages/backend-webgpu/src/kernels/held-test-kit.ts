/** A weight in any held format for the tests of products: as it lies in buffers, and the values that it means. */
import {
  dequantizeBlocks,
  dequantizeGroups,
  fromF32,
  quantizeBlocks,
  quantizeGroups,
  toF32,
  viewAsBytes,
} from '@mariana/core';
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import { floats, uniform } from './kernel-test-kit.ts';

/** A weight [rows, inputs] of any numbers. */
export function held(format: HeldFormat, rows: number, inputs: number, seed = 9) {
  const values = floats(rows * inputs, uniform(seed, -2, 2));
  const padded = Math.ceil(inputs / FORMAT_TEXTS[format].inputs) * 16;
  const lay = (bytes: Uint8Array, padding = 0) => {
    const out = new Uint8Array(rows * padded).fill(padding);
    const width = bytes.length / rows;
    for (let row = 0; row < rows; row++) out.set(bytes.subarray(row * width, (row + 1) * width), row * padded);
    return out;
  };
  const vectors = padded / 16;
  if (format === 'f32') return { values, codes: lay(viewAsBytes(values)), scales: undefined, uniforms: { vectors } };
  if (format === 'bf16') {
    const codes = fromF32('bf16', values);
    return { values: toF32('bf16', codes), codes: lay(viewAsBytes(codes)), scales: undefined, uniforms: { vectors } };
  }
  if (format === 'fp8') {
    const { codes, scales } = quantizeBlocks(values, rows, inputs);
    const uniforms = { vectors, scale_rows: 128, scale_columns: Math.ceil(inputs / 128), scale_vectors: 8 };
    return { values: dequantizeBlocks(codes, scales, rows, inputs), codes: lay(codes), scales, uniforms };
  }
  const { codes, scales } = quantizeGroups(format, values, rows, inputs);
  const group = format === 'int8' ? 128 : 32;
  const uniforms = {
    vectors,
    scale_rows: 1,
    scale_columns: Math.ceil(inputs / group),
    scale_vectors: format === 'int8' ? 8 : 1,
  };
  const bytes = viewAsBytes(codes);
  return {
    values: dequantizeGroups(format, codes, scales, rows, inputs),
    codes: lay(bytes, format === 'int4' ? 0x88 : 0),
    scales,
    uniforms,
  };
}
