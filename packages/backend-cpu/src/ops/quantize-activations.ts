/**
 * Activations to E4M3 in one pass over each tile: largest magnitude, scale, codes. The same numbers as the default body,
 * NaN and infinities included: a tile with a NaN has a NaN for a scale and in every code; one with an infinity has an
 * infinite scale, NaN where the infinity was, and zeros.
 *
 * Source: `act_quant_kernel` in DeepSeek's inference/kernel.py; DeepSeek-V3 report, section 3.3.2.
 */
import {
  E4M3_MAX,
  encodeE4m3,
  type QuantizeActivationsOptions,
  type QuantizedActivations,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import type { Arena } from '../wasm/index.ts';

/** Floor on the largest magnitude of a tile. */
const MIN_AMAX = Math.fround(1e-4);

/** Null for what the default body refuses. */
export function quantizeActivations(
  backend: CpuBackend,
  x: Tensor,
  { tile = 128, scaleFormat = 'f32' }: QuantizeActivationsOptions = {},
): QuantizedActivations | null {
  const width = x.shape.at(-1);
  if (width === undefined || x.dtype !== 'f32' || !Number.isSafeInteger(tile) || tile < 1) return null;
  backend.pointer(x);
  const codes = backend.output(x.shape, 'e4m3');
  const scales = backend.output([...x.shape.slice(0, -1), Math.ceil(width / tile)]);
  const { arena } = backend.engine;
  let from = backend.pointer(x) / 4;
  let to = backend.pointer(codes);
  let scale = backend.pointer(scales) / 4;
  const rows = width === 0 ? 0 : x.size / width;
  for (let row = 0; row < rows; row++) {
    for (let start = 0; start < width; start += tile) {
      const n = Math.min(tile, width - start);
      quantizeTile(arena, from, n, to, scale++, scaleFormat === 'ue8m0');
      from += n;
      to += n;
    }
  }
  return { codes, scales };
}

function quantizeTile(
  { f32, i32, u8 }: Arena,
  from: number,
  n: number,
  to: number,
  scaleAt: number,
  isPower: boolean,
): void {
  let largest = MIN_AMAX;
  for (let i = from; i < from + n; i++) {
    const magnitude = Math.abs(f32[i]!);
    if (!(magnitude <= largest)) largest = magnitude;
    if (Number.isNaN(largest)) break;
  }
  f32[scaleAt] = largest / E4M3_MAX;
  const bits = i32[scaleAt]!;
  if (isPower && (bits & MANTISSA) !== 0 && bits < INFINITY_BITS) i32[scaleAt] = (bits & INFINITY_BITS) + MANTISSA + 1;
  const scale = f32[scaleAt]!;
  for (let i = 0; i < n; i++) u8[to + i] = encodeE4m3(f32[from + i]! / scale);
}

const MANTISSA = 0x7fffff;
/** The bits of positive infinity: all exponents below are of numbers. */
const INFINITY_BITS = 0x7f800000;
