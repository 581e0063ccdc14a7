/**
 * Default body of the online activation quantiser: E4M3 with one scale for each tile of the last axis.
 *
 * Source: `act_quant_kernel` in DeepSeek's inference/kernel.py; DeepSeek-V3 report, section 3.3.2.
 */
import type { Backend } from '../backend.ts';
import type { QuantizeActivationsOptions, QuantizedActivations } from '../operations.ts';
import { scalar } from '../scalar.ts';
import type { Tensor } from '../tensor.ts';

/** Largest finite E4M3 value. */
const E4M3_MAX = 448;
/** Floor on the largest magnitude of a tile, so that a tile of zeros has a usable scale. */
const MIN_AMAX = 1e-4;

export function quantizeActivations(
  backend: Backend,
  x: Tensor,
  { tile = 128, scaleFormat = 'f32' }: QuantizeActivationsOptions = {},
): QuantizedActivations {
  return backend.scope(() => {
    const width = x.shape.at(-1) ?? 0;
    const tiles = Math.ceil(width / tile);
    const lead = x.shape.slice(0, -1);
    const padded = padLastAxis(backend, x, tiles * tile);
    const tiled = backend.reshape(padded, [...lead, tiles, tile]);
    const scales = tileScales(backend, tiled, scaleFormat);
    const scaled = backend.binary('div', tiled, backend.reshape(scales, [...lead, tiles, 1]));
    const flat = backend.reshape(scaled, [...lead, tiles * tile]);
    return { codes: backend.cast(backend.slice(flat, lead.length, 0, width), 'e4m3'), scales };
  });
}

function tileScales(backend: Backend, tiled: Tensor, scaleFormat: 'f32' | 'ue8m0'): Tensor {
  const amax = backend.reduce('max', backend.unary('abs', tiled), -1);
  const floored = backend.binary('max', amax, scalar(backend, MIN_AMAX));
  const scale = backend.binary('div', floored, scalar(backend, E4M3_MAX));
  return scaleFormat === 'f32' ? scale : nextPowerOfTwo(backend, scale);
}

/** The smallest power of two that is at least x. */
function nextPowerOfTwo(backend: Backend, x: Tensor): Tensor {
  const guess = backend.unary('exp2', backend.unary('ceil', backend.unary('log2', x)));
  // Just above a power of two the logarithm rounds to its exponent, and the guess is half of what it must be.
  return backend.where(backend.binary('less', guess, x), backend.binary('add', guess, guess), guess);
}

function padLastAxis(backend: Backend, x: Tensor, width: number): Tensor {
  const missing = width - (x.shape.at(-1) ?? 0);
  if (missing === 0) return x;
  const shape = x.shape.with(-1, missing);
  const zeros = backend.upload(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  return backend.concat([x, zeros], x.rank - 1);
}
