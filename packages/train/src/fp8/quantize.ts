/**
 * FP8 quantisation for training, in primitives: groups of values that share a scale. Activations and gradients have
 * groups of 128 consecutive values of a row, along the dimension that a product sums over; weights have blocks of
 * 128 x 128, which serve the product with the weight and the one with its transpose alike.
 *
 * For each group: amax = largest magnitude, at least 1e-4; scale = amax / 448, for `ue8m0` rounded UP to a power of two;
 * code = e4m3(value / scale). Value = code * scale. Groups are cut at the edges.
 *
 * Source: DeepSeek-V3 report, sections 3.3.2 and 3.5.2; `act_quant` in DeepSeek's inference/kernel.py.
 */
import { type Backend, E4M3_MAX, MarianaError, type ScaleFormat, scalar, type Tensor } from '@mariana/core';
import { zerosOf } from '../autodiff/shapes.ts';

/** Side of a block, and length of a tile. */
const GROUP = 128;
/** Floor on the largest magnitude of a group. */
const MIN_AMAX = 1e-4;

/** A matrix in FP8 with a scale for each 128 consecutive values of a row. */
export interface Fp8Tiles {
  /** E4M3 [rows, columns]. */
  readonly codes: Tensor;
  /** F32 [rows, ceil(columns / 128)]. */
  readonly scales: Tensor;
}

/** A matrix in FP8 with a scale for each block of 128 x 128. */
export interface Fp8Blocks {
  /** E4M3 [rows, columns]. */
  readonly codes: Tensor;
  /** F32 [ceil(rows / 128), ceil(columns / 128)]. */
  readonly scales: Tensor;
}

export interface Fp8Options {
  /** `f32`: scale = amax / 448. `ue8m0`: that rounded up to a power of two. Default `f32`. */
  readonly scaleFormat?: ScaleFormat;
}

/** Quantises a matrix, F32 [rows, columns], in tiles of 1 x 128. */
export function quantizeFp8Tiles(backend: Backend, x: Tensor, { scaleFormat = 'f32' }: Fp8Options = {}): Fp8Tiles {
  checkMatrix('quantizeFp8Tiles', x);
  return backend.quantizeActivations(x, { tile: GROUP, scaleFormat });
}

/** The F32 values of a matrix in tiles. */
export function dequantizeFp8Tiles(backend: Backend, { codes, scales }: Fp8Tiles): Tensor {
  const [rows, columns] = checkMatrix('dequantizeFp8Tiles', codes);
  return backend.scope(() => scaleColumns(backend, backend.cast(codes, 'f32'), scales, rows, columns));
}

/** Quantises a weight, F32 [out, in], in blocks of 128 x 128. */
export function quantizeFp8Blocks(
  backend: Backend,
  weight: Tensor,
  { scaleFormat = 'f32' }: Fp8Options = {},
): Fp8Blocks {
  const [rows, columns] = checkMatrix('quantizeFp8Blocks', weight);
  return backend.scope(() => {
    const [down, across] = [Math.ceil(rows / GROUP), Math.ceil(columns / GROUP)];
    const magnitudes = pad(backend, backend.unary('abs', weight), down * GROUP, across * GROUP);
    const ofColumns = backend.reduce('max', backend.reshape(magnitudes, [down, GROUP, across * GROUP]), 1);
    const amax = backend.reduce('max', backend.reshape(ofColumns, [down, across, GROUP]), 2);
    const floored = backend.binary('max', amax, scalar(backend, MIN_AMAX));
    const exact = backend.binary('div', floored, scalar(backend, E4M3_MAX));
    const scales = scaleFormat === 'f32' ? exact : nextPowerOfTwo(backend, exact);
    const scaled = backend.binary('div', weight, repeatBlocks(backend, scales, rows, columns));
    return { codes: backend.cast(scaled, 'e4m3'), scales };
  });
}

/** The F32 values of a matrix in blocks. */
export function dequantizeFp8Blocks(backend: Backend, { codes, scales }: Fp8Blocks): Tensor {
  return backend.scope(() => {
    const [rows, columns] = checkMatrix('dequantizeFp8Blocks', codes);
    return backend.binary('mul', backend.cast(codes, 'f32'), repeatBlocks(backend, scales, rows, columns));
  });
}

/** The smallest power of two that is not below x > 0. */
function nextPowerOfTwo(backend: Backend, x: Tensor): Tensor {
  const guess = backend.unary('exp2', backend.unary('ceil', backend.unary('log2', x)));
  // The logarithm of a number just above a power of two may round down to it.
  return backend.where(backend.binary('less', guess, x), backend.binary('add', guess, guess), guess);
}

/** values [rows, columns] times scales [rows, tiles], each for 128 columns: broadcast where tiles are whole. */
function scaleColumns(backend: Backend, values: Tensor, scales: Tensor, rows: number, columns: number): Tensor {
  if (columns <= GROUP && columns > 0) return backend.binary('mul', values, scales);
  if (columns % GROUP !== 0) return backend.binary('mul', values, repeatColumns(backend, scales, rows, columns));
  const tiles = backend.reshape(values, [rows, columns / GROUP, GROUP]);
  const scaled = backend.binary('mul', tiles, backend.reshape(scales, [rows, columns / GROUP, 1]));
  return backend.reshape(scaled, [rows, columns]);
}

/** scales [rows, tiles] to [rows, columns], each repeated 128 times. */
function repeatColumns(backend: Backend, scales: Tensor, rows: number, columns: number): Tensor {
  const tiles = Math.ceil(columns / GROUP);
  const apart = backend.reshape(scales, [rows, tiles, 1]);
  const spread = backend.binary('add', apart, zerosOf(backend, [GROUP]));
  return backend.slice(backend.reshape(spread, [rows, tiles * GROUP]), 1, 0, columns);
}

/** scales [down, across] to [rows, columns], each repeated over a block. */
function repeatBlocks(backend: Backend, scales: Tensor, rows: number, columns: number): Tensor {
  const down = scales.shape[0]!;
  const ofRows = repeatColumns(backend, scales, down, columns);
  const apart = backend.reshape(ofRows, [down, 1, columns]);
  const spread = backend.binary('add', apart, zerosOf(backend, [GROUP, 1]));
  return backend.slice(backend.reshape(spread, [down * GROUP, columns]), 0, 0, rows);
}

/** Zeros below and to the right. */
function pad(backend: Backend, x: Tensor, rows: number, columns: number): Tensor {
  const [have, width] = x.shape as [number, number];
  const below = rows === have ? x : backend.concat([x, zerosOf(backend, [rows - have, width])], 0);
  return columns === width ? below : backend.concat([below, zerosOf(backend, [rows, columns - width])], 1);
}

function checkMatrix(operation: string, x: Tensor): [number, number] {
  const [rows, columns] = x.shape;
  if (x.rank !== 2 || rows === undefined || columns === undefined) {
    throw new MarianaError('SHAPE_MISMATCH', `${operation}: takes a matrix [rows, columns], not a ${x}`);
  }
  return [rows, columns];
}
