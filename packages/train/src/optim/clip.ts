/**
 * Gradient clipping by the norm of all gradients together (torch `clip_grad_norm_`; Megatron
 * `clip_grad_by_total_norm_fp32`).
 */
import { type Backend, MarianaError, scalar, type Tensor } from '@mariana/core';
import { sumAll } from '../math.ts';

export interface ClippedGradients {
  /** The gradients times the coefficient, in the given order. */
  readonly gradients: readonly Tensor[];
  /** F32 scalar: L2 norm over all gradients, before clipping. */
  readonly norm: Tensor;
  /** F32 scalar: min(1, maxNorm / (norm + 1e-6)). */
  readonly coefficient: Tensor;
}

/** The L2 norm over all elements of all gradients, an F32 scalar. @throws MarianaError `INVALID_ARGUMENT` for none. */
export function globalNorm(backend: Backend, gradients: readonly Tensor[]): Tensor {
  if (gradients.length === 0) throw new MarianaError('INVALID_ARGUMENT', 'globalNorm: takes at least one gradient');
  return backend.scope(() => backend.unary('sqrt', sumAll(backend, backend.squaredNorms(gradients))));
}

/**
 * The norm of all gradients together, and what they have to be multiplied by so that it is at most `maxNorm`.
 *
 * @param gradients - F32, of any shapes; those of ALL parameters, or the norm means nothing.
 * @param maxNorm - 1 in DeepSeek-V3's own training.
 * @throws MarianaError `INVALID_ARGUMENT`.
 */
export function clipping(
  backend: Backend,
  gradients: readonly Tensor[],
  maxNorm: number,
): Pick<ClippedGradients, 'norm' | 'coefficient'> {
  if (!(maxNorm > 0)) throw new MarianaError('INVALID_ARGUMENT', `clipByGlobalNorm: maxNorm ${maxNorm} is not above 0`);
  return backend.scope(() => {
    const norm = globalNorm(backend, gradients);
    const ratio = backend.binary('div', scalar(backend, maxNorm), backend.binary('add', norm, scalar(backend, 1e-6)));
    return { norm, coefficient: backend.binary('min', ratio, scalar(backend, 1)) };
  });
}

/**
 * Scales all gradients down together so that their norm is at most `maxNorm`.
 *
 * @param gradients - F32, of any shapes; those of ALL parameters, or the norm means nothing.
 * @param maxNorm - 1 in DeepSeek-V3's own training.
 * @throws MarianaError `INVALID_ARGUMENT`.
 */
export function clipByGlobalNorm(backend: Backend, gradients: readonly Tensor[], maxNorm: number): ClippedGradients {
  return backend.scope(() => {
    const { norm, coefficient } = clipping(backend, gradients, maxNorm);
    return { gradients: gradients.map((g) => backend.binary('mul', g, coefficient)), norm, coefficient };
  });
}
