/**
 * Activations to E4M3 in one pass over each tile. The same numbers as the default body, NaN and infinities included: a
 * tile with a NaN has a NaN for a scale and in every code; one with an infinity has an infinite scale, NaN where the
 * infinity was, and zeros.
 */
import type { QuantizeActivationsOptions, QuantizedActivations, Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

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
  if (codes.size === 0) return { codes, scales };
  const job = backend.engine.job();
  kernels.quantizeTiles(job, {
    x: backend.pointer(x),
    rows: x.size / width,
    width,
    // A tile beyond the row is the row; the kernel counts in 32 bits.
    tile: Math.min(tile, width),
    powers: scaleFormat === 'ue8m0',
    codes: backend.pointer(codes),
    scales: backend.pointer(scales),
  });
  job.run();
  return { codes, scales };
}
