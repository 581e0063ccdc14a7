/**
 * `experts` without a word to the host: the routing stays on the device, and the kernels pick each token's matrices
 * there. For a few tokens every slot streams its expert; for many, slots are first grouped by expert.
 */
import type { ExpertWeights, Routing, Tensor, Weight } from '@mariana/core';
import { type ExpertsConfig, expertsDownKernel, expertsGateUpKernel } from '../kernels/experts-decode.ts';
import { groupedDownKernel, groupedGateUpKernel, groupedSumKernel } from '../kernels/experts-grouped.ts';
import { expertsSortKernel, mostTiles } from '../kernels/experts-sort.ts';
import { formatKey } from '../kernels/experts-weights.ts';
import { type StackPart, WebGpuWeight, type WeightStack } from '../weights/gpu-weight.ts';
import type { KernelDevice } from './device.ts';

/** Up to here tokens seldom meet in an expert, and grouping them costs more than it saves. */
const FEW_TOKENS = 8;
/** Most workgroups along an axis. */
const MOST = 65535;
/** Most experts that are grouped on the device. */
const MOST_EXPERTS = 3500;

/** The three matrices of a layer's experts as stacks. */
export interface Stacks {
  readonly gate: WeightStack;
  readonly up: WeightStack;
  readonly down: WeightStack;
  readonly config: ExpertsConfig;
  readonly experts: number;
}

/** The stack that these weights are, one after the other; null if they are not exactly that. */
function stackOf(weights: readonly Weight[]): WeightStack | null {
  const [first] = weights;
  if (!(first instanceof WebGpuWeight) || first.stack.layout.count !== weights.length) return null;
  for (const [index, weight] of weights.entries()) {
    if (!(weight instanceof WebGpuWeight) || weight.stack !== first.stack || weight.index !== index) return null;
    weight.assertAlive();
  }
  return first.stack;
}

/** Whether parts lie between matrices, and not inside of one. */
function inWholeMatrices({ layout, parts }: WeightStack): boolean {
  return parts.every(({ firstRow, rows }) => firstRow % layout.shape[0] === 0 && rows % layout.shape[0] === 0);
}

/** Null if the weights do not lie side by side, or are not those of one feed-forward for each expert. */
export function stacksOf({ gate, up, down }: ExpertWeights): Stacks | null {
  const stacks = [stackOf(gate), stackOf(up), stackOf(down)] as const;
  const [g, u, d] = stacks;
  if (
    g === null ||
    u === null ||
    d === null ||
    u.layout.count !== g.layout.count ||
    d.layout.count !== g.layout.count
  ) {
    return null;
  }
  const [width, hidden] = g.layout.shape;
  const { format, scaleBlock } = g.layout;
  const alike = [u, d].every(({ layout }) => formatKey(layout) === formatKey(g.layout));
  const fits = `${u.layout.shape}` === `${[width, hidden]}` && `${d.layout.shape}` === `${[hidden, width]}`;
  if (!alike || !fits || width === 0 || hidden === 0) return null;
  if (![g, u, d].every(inWholeMatrices) || g.layout.count > MOST_EXPERTS) return null;
  return {
    gate: g,
    up: u,
    down: d,
    config: { weights: { format, scaleBlock }, hidden, width },
    experts: g.layout.count,
  };
}

/** Null where the default body must do it: weights that do not lie side by side, operands that do not fit. */
export function experts(
  device: KernelDevice,
  x: Tensor,
  { indices, weights }: Pick<Routing, 'indices' | 'weights'>,
  matrices: ExpertWeights,
): Tensor | null {
  const [tokens, perToken] = indices.shape;
  if (tokens === undefined || perToken === undefined || indices.rank !== 2 || x.rank !== 2 || tokens !== x.shape[0]) {
    return null;
  }
  if (indices.dtype !== 'i32' || weights.dtype !== 'f32' || x.dtype !== 'f32' || weights.size !== indices.size)
    return null;
  const stacks = stacksOf(matrices);
  if (stacks === null || x.shape[1] !== stacks.config.hidden || indices.size === 0) return null;
  const slots = tokens * perToken;
  const operands = { x, indices, weights, tokens, perToken };
  if (tokens <= FEW_TOKENS && slots <= MOST) return decode(device, stacks, operands);
  const tiles = mostTiles(slots, stacks.experts);
  return tiles > MOST || tokens > MOST ? null : grouped(device, stacks, operands, tiles);
}

interface Operands {
  readonly x: Tensor;
  readonly indices: Tensor;
  readonly weights: Tensor;
  readonly tokens: number;
  readonly perToken: number;
}

/** A run for each part of a stack; `name` is what the kernel calls the matrix. */
export function* runs(stack: WeightStack, name: string) {
  const [out] = stack.layout.shape;
  for (const part of stack.parts) {
    const uniforms = { first_expert: part.firstRow / out, experts: part.rows / out };
    yield { part, uniforms, buffers: buffersOf(part, name) };
  }
}

export function buffersOf({ codes, scales }: StackPart, name: string): Record<string, GPUBuffer> {
  return { [name]: codes, ...(scales === undefined ? {} : { [`${name}_scales`]: scales }) };
}

function decode(device: KernelDevice, stacks: Stacks, { x, indices, weights, tokens, perToken }: Operands): Tensor {
  const { config, gate, up, down } = stacks;
  const shape = { tokens, perToken };
  const inner = device.output([tokens * perToken, config.width], 'f32');
  const result = device.output(x.shape, 'f32');
  const ups = [...runs(up, 'up')];
  const choice = { indices: device.buffer(indices) };
  for (const [i, { uniforms, buffers }] of [...runs(gate, 'gate')].entries()) {
    device.run(expertsGateUpKernel(config), {
      shape,
      buffers: { ...buffers, ...ups[i]!.buffers, ...choice, x: device.buffer(x), inner: inner.buffer },
      uniforms: { ...uniforms, per_token: perToken, inner_start: 0 },
    });
  }
  let add = 0;
  for (const { uniforms, buffers } of runs(down, 'down')) {
    device.run(expertsDownKernel(config), {
      shape,
      buffers: {
        ...buffers,
        ...choice,
        inner: inner.buffer,
        weights: device.buffer(weights),
        result: result.buffer,
      },
      uniforms: { ...uniforms, per_token: perToken, add },
    });
    add = 1;
  }
  inner.tensor.dispose();
  return result.tensor;
}

function grouped(
  device: KernelDevice,
  stacks: Stacks,
  { x, indices, weights, tokens, perToken }: Operands,
  tiles: number,
): Tensor {
  const { config, gate, up, down, experts } = stacks;
  const slots = tokens * perToken;
  const list = device.output([slots], 'i32');
  const pieces = device.output([tiles, 3], 'i32');
  const inner = device.output([slots, config.width], 'f32');
  const shares = device.output([slots, config.hidden], 'f32');
  const result = device.output(x.shape, 'f32');
  const choice = device.buffer(indices);
  const groups = { list: list.buffer, tiles: pieces.buffer };
  device.run(expertsSortKernel(experts), {
    shape: { experts },
    buffers: { indices: choice, ...groups },
    uniforms: { slots, most_tiles: tiles },
  });
  const ups = [...runs(up, 'up')];
  for (const [i, { uniforms, buffers }] of [...runs(gate, 'gate')].entries()) {
    device.run(groupedGateUpKernel(config), {
      shape: { tiles },
      buffers: { ...buffers, ...ups[i]!.buffers, ...groups, x: device.buffer(x), inner: inner.buffer },
      uniforms: { ...uniforms, per_token: perToken },
    });
  }
  for (const { uniforms, buffers } of runs(down, 'down')) {
    device.run(groupedDownKernel(config), {
      shape: { tiles },
      buffers: {
        ...buffers,
        ...groups,
        inner: inner.buffer,
        weights: device.buffer(weights),
        shares: shares.buffer,
      },
      uniforms,
    });
  }
  device.run(groupedSumKernel(config), {
    shape: { tokens },
    buffers: { shares: shares.buffer, indices: choice, result: result.buffer },
    uniforms: { per_token: perToken, experts, add: 0 },
  });
  for (const { tensor } of [list, pieces, inner, shares]) tensor.dispose();
  return result.tensor;
}
