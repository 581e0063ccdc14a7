/**
 * The gated feed-forward of a few tokens, in two dispatches: its inner values, and what is made of them. Routed experts
 * and shared ones, with their weights and the residual, share the second.
 */
import type { Tensor } from '@mariana/core';
import { expertsGateUpKernel } from '../kernels/experts-decode.ts';
import { expertsMixtureKernel } from '../kernels/experts-mixture.ts';
import type { WeightStack } from '../weights/gpu-weight.ts';
import type { KernelDevice } from './device.ts';
import { buffersOf, runs, type Stacks } from './experts.ts';
import type { NormOf } from './normed-linear.ts';

/** The matrices gate and up of a feed-forward that all tokens take, and what they take. */
export interface Gated {
  readonly x: Tensor | NormOf;
  readonly gate: WeightStack;
  readonly up: WeightStack;
}

/** Experts that the router chose. */
export interface Chosen {
  readonly x: Tensor | NormOf;
  /** I32 [tokens, perToken, 2], of `routePacked`. */
  readonly choice: Tensor;
  readonly stacks: Stacks;
}

/** Zeros for as many tokens as a feed-forward gets: the numbers of its only expert. */
export interface ZeroIndices {
  zeros(): GPUBuffer;
}

/** Whether `gatedInner` takes these matrices: whole ones, held alike. */
export function gatedFits(gate: WeightStack, up: WeightStack): boolean {
  const { format, scaleBlock, shape } = gate.layout;
  const isAlike = up.layout.format === format && `${up.layout.scaleBlock}` === `${scaleBlock}`;
  const isAlone = gate.layout.count === 1 && up.layout.count === 1;
  return (
    isAlike && isAlone && `${up.layout.shape}` === `${shape}` && gate.whole !== undefined && up.whole !== undefined
  );
}

/** silu(gate x) * (up x), written to `inner` from a number on: a feed-forward is an expert that everybody takes. */
export function gatedInner(
  device: KernelDevice & ZeroIndices,
  { x, gate, up }: Gated,
  inner: GPUBuffer,
  start = 0,
): void {
  const { format, scaleBlock, shape } = gate.layout;
  const [width, hidden] = shape;
  const { tokens, norm, buffers, uniforms } = inputOf(device, x, hidden);
  device.run(expertsGateUpKernel({ weights: { format, scaleBlock }, hidden, width }, { normed: norm }), {
    shape: { tokens, perToken: 1 },
    buffers: {
      ...buffersOf(gate.whole!, 'gate'),
      ...buffersOf(up.whole!, 'up'),
      ...buffers,
      indices: device.zeros(),
      inner,
    },
    uniforms: { ...uniforms, per_token: 1, first_expert: 0, experts: 1, inner_start: start },
  });
}

/** Whether `mixture` takes these experts, with such a matrix down beside them. */
export function mixtureFits({ config }: Stacks, down?: WeightStack): boolean {
  if (config.width % 4 !== 0) return false;
  if (down === undefined) return true;
  const [hidden, width] = down.layout.shape;
  return down.layout.count === 1 && down.whole !== undefined && hidden === config.hidden && width % 4 === 0;
}

/**
 * What the chosen experts make of their tokens, with what the shared ones do, added to a residual.
 *
 * @param shared - The feed-forward of the shared experts, if there is one, with its matrix down.
 * @param residual - F32 [tokens, hidden], or null.
 * @returns F32 [tokens, hidden].
 */
export function mixture(
  device: KernelDevice & ZeroIndices,
  { x, choice, stacks }: Chosen,
  shared: (Gated & { readonly down: WeightStack }) | null,
  residual: Tensor | null,
): Tensor {
  const { config, gate, up, down } = stacks;
  const [tokens, perToken] = choice.shape as [number, number, number];
  const sharedStart = tokens * perToken * config.width;
  const sharedWidth = shared?.gate.layout.shape[0] ?? 0;
  const inner = device.output([sharedStart + tokens * sharedWidth], 'f32');
  innerOfChosen(device, { x, choice, stacks: { config, gate, up } }, inner.buffer);
  if (shared !== null) gatedInner(device, shared, inner.buffer, sharedStart);
  let sum = residual;
  for (const [i, { buffers, uniforms }] of [...runs(down, 'down')].entries()) {
    const mine = i === 0 ? shared : null;
    const next = device.output([tokens, config.hidden], 'f32');
    const { format, scaleBlock } = mine?.down.layout ?? config.weights;
    const kernel = expertsMixtureKernel({
      routed: config,
      shared: mine && { weights: { format, scaleBlock }, width: sharedWidth },
      residual: sum !== null,
    });
    device.run(kernel, {
      shape: { tokens, perToken },
      buffers: {
        ...buffers,
        ...(mine && buffersOf(mine.down.whole!, 'shared_down')),
        ...(sum && { residual: device.buffer(sum) }),
        inner: inner.buffer,
        indices: device.buffer(choice),
        result: next.buffer,
      },
      uniforms: { ...uniforms, per_token: perToken, shared_start: sharedStart },
    });
    // Experts in further buffers add to what those before them made.
    if (i > 0) sum?.dispose();
    sum = next.tensor;
  }
  inner.tensor.dispose();
  return sum!;
}

function innerOfChosen(
  device: KernelDevice,
  { x, choice, stacks }: Omit<Chosen, 'stacks'> & { stacks: Pick<Stacks, 'config' | 'gate' | 'up'> },
  inner: GPUBuffer,
): void {
  const { config, gate, up } = stacks;
  const [tokens, perToken] = choice.shape as [number, number, number];
  const input = inputOf(device, x, config.hidden);
  const ups = [...runs(up, 'up')];
  for (const [i, { uniforms, buffers }] of [...runs(gate, 'gate')].entries()) {
    device.run(expertsGateUpKernel(config, { normed: input.norm, packed: true }), {
      shape: { tokens, perToken },
      buffers: { ...buffers, ...ups[i]!.buffers, ...input.buffers, indices: device.buffer(choice), inner },
      uniforms: { ...uniforms, ...input.uniforms, per_token: perToken, inner_start: 0 },
    });
  }
}

/** What the products of gate and up take of an input. */
function inputOf(device: KernelDevice, input: Tensor | NormOf, hidden: number) {
  const norm = 'weight' in input ? input : undefined;
  const x = 'weight' in input ? input.x : input;
  return {
    tokens: x.size / hidden,
    norm: norm !== undefined,
    buffers: { x: device.buffer(x), ...(norm && { norm: device.buffer(norm.weight) }) },
    uniforms: { ...(norm && { epsilon: norm.epsilon }) },
  };
}
