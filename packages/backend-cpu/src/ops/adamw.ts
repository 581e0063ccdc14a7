/** AdamW in one pass over parameters whose moments are F32, and all of them in one job: the same numbers as the default bodies. */
import {
  type AdamWAllOptions,
  type AdamWOptions,
  type AdamWState,
  adamwFactors,
  checkAdamwAll,
  checkDtype,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

/** Null for BF16 moments, which the default body rounds. */
export function adamw(
  backend: CpuBackend,
  state: AdamWState,
  gradient: Tensor,
  options: AdamWOptions,
): AdamWState | null {
  return adamwAll(backend, [state], [gradient], options)?.[0] ?? null;
}

/** Null where a moment is BF16. */
export function adamwAll(
  backend: CpuBackend,
  states: readonly AdamWState[],
  gradients: readonly Tensor[],
  options: AdamWAllOptions,
): AdamWState[] | null {
  checkAdamwAll(states, gradients, options);
  const factors = states.map((state, i) => adamwFactors(state, gradients[i]!, options));
  if (states.some(({ firstMoment, secondMoment }) => firstMoment.dtype !== 'f32' || secondMoment.dtype !== 'f32')) {
    return null;
  }
  const { gradientScale } = options;
  if (gradientScale) backend.pointer(gradientScale);
  for (const [i, state] of states.entries()) {
    for (const tensor of [state.parameter, state.firstMoment, state.secondMoment, gradients[i]!]) {
      backend.pointer(tensor);
    }
  }
  const next = states.map(({ parameter: { shape } }) => ({
    parameter: backend.output(shape),
    firstMoment: backend.output(shape),
    secondMoment: backend.output(shape),
  }));
  const job = backend.engine.job();
  for (const [i, state] of states.entries()) {
    kernels.adamw(job, {
      ...pointersOf(backend, state),
      gradient: backend.pointer(gradients[i]!),
      out: pointersOf(backend, next[i]!),
      n: state.parameter.size,
      factors: factors[i]!,
      gradientScale: gradientScale && backend.pointer(gradientScale),
    });
  }
  job.run();
  return next;
}

function pointersOf(backend: CpuBackend, { parameter, firstMoment, secondMoment }: AdamWState) {
  return {
    parameter: backend.pointer(parameter),
    firstMoment: backend.pointer(firstMoment),
    secondMoment: backend.pointer(secondMoment),
  };
}

/** All sums in one job, each by one thread. */
export function squaredNorms(backend: CpuBackend, tensors: readonly Tensor[]): Tensor {
  for (const tensor of tensors) {
    checkDtype('squaredNorms', tensor, 'f32');
    backend.pointer(tensor);
  }
  const out = backend.output([tensors.length]);
  const to = backend.pointer(out);
  const job = backend.engine.job();
  for (const [i, tensor] of tensors.entries()) {
    kernels.squaredNorm(job, { x: backend.pointer(tensor), y: to + 4 * i, n: tensor.size });
  }
  job.run();
  return out;
}
