/** AdamW in one pass over a parameter whose moments are F32: the same numbers as the default body. */
import { type AdamWOptions, type AdamWState, adamwFactors, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

/** Null for BF16 moments, which the default body rounds. */
export function adamw(
  backend: CpuBackend,
  state: AdamWState,
  gradient: Tensor,
  options: AdamWOptions,
): AdamWState | null {
  const { parameter, firstMoment, secondMoment } = state;
  const factors = adamwFactors(state, gradient, options);
  if (firstMoment.dtype !== 'f32' || secondMoment.dtype !== 'f32') return null;
  for (const tensor of [parameter, firstMoment, secondMoment, gradient]) backend.pointer(tensor);
  const next = (): Tensor => backend.output(parameter.shape);
  const out = { parameter: next(), firstMoment: next(), secondMoment: next() };
  const job = backend.engine.job();
  kernels.adamw(job, {
    parameter: backend.pointer(parameter),
    firstMoment: backend.pointer(firstMoment),
    secondMoment: backend.pointer(secondMoment),
    gradient: backend.pointer(gradient),
    out: {
      parameter: backend.pointer(out.parameter),
      firstMoment: backend.pointer(out.firstMoment),
      secondMoment: backend.pointer(out.secondMoment),
    },
    n: parameter.size,
    factors,
  });
  job.run();
  return out;
}
